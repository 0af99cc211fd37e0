package main

import (
	"context"
	"fmt"

	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	servervalidation "k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
)

// check judges an object as the API server does on create, or on update where old is given. The
// objects are changed: nulls are pruned and defaults filled in.
func check(definitions map[string]*definition, object, old map[string]any) (faults []string) {
	kind := fmt.Sprintf("%v/%v", object["apiVersion"], object["kind"])
	definition, known := definitions[kind]
	if !known {
		return []string{fmt.Sprintf("no CRD for %s", kind)}
	}
	structural := definition.structural
	options := schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
	for _, path := range pruning.PruneWithOptions(object, structural, true, options) {
		faults = append(faults, fmt.Sprintf("%s: unknown field", path))
	}
	defaulting.PruneNonNullableNullsWithoutDefaults(object, structural)
	defaulting.Default(object, structural)

	errors := metadata(object)
	if old == nil {
		errors = append(errors, servervalidation.ValidateCustomResource(nil, object, definition.validator)...)
	} else {
		errors = append(errors, servervalidation.ValidateCustomResourceUpdate(nil, object, old, definition.validator)...)
	}
	errors = append(errors, listtype.ValidateListSetsAndMaps(nil, structural, object)...)
	if len(errors) == 0 && definition.rules != nil {
		errors = rules(definition, object, old)
	}
	for _, fault := range errors {
		faults = append(faults, fault.Error())
	}
	return faults
}

func metadata(object map[string]any) field.ErrorList {
	accessor := &unstructured.Unstructured{Object: object}
	path := field.NewPath("metadata")
	if accessor.GetName() == "" {
		return field.ErrorList{field.Required(path.Child("name"), "name is required")}
	}
	if accessor.GetNamespace() == "" {
		accessor.SetNamespace("default")
	}
	return validation.ValidateObjectMetaAccessor(accessor, true, validation.NameIsDNSSubdomain, path)
}

func rules(definition *definition, object, old map[string]any) field.ErrorList {
	var before any
	if old != nil {
		before = old
	}
	errors, _ := definition.rules.Validate(
		context.Background(), nil, definition.structural, object, before, celconfig.RuntimeCELCostBudget,
	)
	return errors
}
