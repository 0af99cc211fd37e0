package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	servervalidation "k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

const maxBytes = 200 << 10

// definition is one CRD, ready to judge objects.
type definition struct {
	name       string
	structural *schema.Structural
	validator  servervalidation.SchemaValidator
	rules      *cel.Validator
}

// load reads every CRD in a directory. Faults of the CRDs are returned as sentences.
func load(ctx context.Context, directory string) (map[string]*definition, []string, error) {
	files, err := filepath.Glob(filepath.Join(directory, "*.yaml"))
	if err != nil || len(files) == 0 {
		return nil, nil, fmt.Errorf("no CRDs in %s", directory)
	}
	definitions, faults := map[string]*definition{}, []string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, nil, err
		}
		if len(text) > maxBytes {
			faults = append(faults, fmt.Sprintf("%s: larger than %d bytes", file, maxBytes))
		}
		internal, err := decode(text)
		if err != nil {
			faults = append(faults, fmt.Sprintf("%s: %v", file, err))
			continue
		}
		errors := validation.ValidateCustomResourceDefinition(ctx, internal)
		for _, fault := range errors {
			faults = append(faults, fmt.Sprintf("%s: %v", file, fault))
		}
		if len(errors) > 0 {
			continue
		}
		built, err := build(internal)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", file, err)
		}
		definitions[internal.Spec.Group+"/"+internal.Spec.Versions[0].Name+"/"+internal.Spec.Names.Kind] = built
	}
	return definitions, faults, nil
}

func decode(text []byte) (*apiextensions.CustomResourceDefinition, error) {
	var external apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(text, &external); err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	install.Install(scheme)
	scheme.Default(&external)
	external.Status.StoredVersions = []string{external.Spec.Versions[0].Name}
	var internal apiextensions.CustomResourceDefinition
	return &internal, scheme.Convert(&external, &internal, nil)
}

func build(crd *apiextensions.CustomResourceDefinition) (*definition, error) {
	full, err := apiextensions.GetSchemaForVersion(crd, crd.Spec.Versions[0].Name)
	if err != nil {
		return nil, err
	}
	structural, err := schema.NewStructural(full.OpenAPIV3Schema)
	if err != nil {
		return nil, err
	}
	validator, _, err := servervalidation.NewSchemaValidator(full.OpenAPIV3Schema)
	if err != nil {
		return nil, err
	}
	return &definition{
		name:       crd.Name,
		structural: structural,
		validator:  validator,
		rules:      cel.NewValidator(structural, true, celconfig.PerCallLimit),
	}, nil
}
