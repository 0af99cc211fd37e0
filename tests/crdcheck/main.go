// Command crdcheck judges CustomResourceDefinitions and objects with the API server's own code.
//
//	crdcheck crds DIR                  validates every CRD in DIR: schema, CEL rules, their cost
//	crdcheck objects DIR FILE...       validates every object in the files against the CRDs in DIR
//	crdcheck table DIR < CASES         validates {"old": object or null, "new": object}, one per
//	                                   line, and answers {"errors": [...]}, one per line
//
// The exit code is 1 when crds or objects found a fault, 2 when it was called wrongly.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

const maxLine = 8 << 20

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: crdcheck crds DIR | objects DIR FILE... | table DIR")
		os.Exit(2)
	}
	definitions, faults, err := load(context.Background(), os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	switch os.Args[1] {
	case "crds":
		for _, definition := range definitions {
			fmt.Printf("%s ok\n", definition.name)
		}
	case "objects":
		faults = append(faults, checkFiles(definitions, os.Args[3:])...)
	case "table":
		if len(faults) == 0 {
			err = checkTable(definitions, os.Stdin, os.Stdout)
		}
	default:
		err = fmt.Errorf("unknown command %q", os.Args[1])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	for _, fault := range faults {
		fmt.Println(fault)
	}
	if len(faults) > 0 {
		os.Exit(1)
	}
}

func checkFiles(definitions map[string]*definition, files []string) (faults []string) {
	for _, file := range files {
		handle, err := os.Open(file)
		if err != nil {
			faults = append(faults, err.Error())
			continue
		}
		reader := utilyaml.NewYAMLReader(bufio.NewReader(handle))
		for number := 1; ; number++ {
			document, err := reader.Read()
			if err == io.EOF {
				break
			}
			for _, fault := range checkDocument(definitions, document, err) {
				faults = append(faults, fmt.Sprintf("%s document %d: %s", file, number, fault))
			}
			if err != nil {
				break
			}
		}
		handle.Close()
	}
	return faults
}

func checkDocument(definitions map[string]*definition, document []byte, err error) []string {
	if err != nil {
		return []string{err.Error()}
	}
	var object map[string]any
	if err := yaml.UnmarshalStrict(document, &object); err != nil {
		return []string{err.Error()}
	}
	if object == nil {
		return nil
	}
	return check(definitions, integers(object).(map[string]any), nil)
}

type pair struct {
	Old map[string]any `json:"old"`
	New map[string]any `json:"new"`
}

type answer struct {
	Errors []string `json:"errors"`
}

func checkTable(definitions map[string]*definition, in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, 65536), maxLine)
	encoder := json.NewEncoder(out)
	for lines.Scan() {
		var next pair
		if err := json.Unmarshal(lines.Bytes(), &next); err != nil {
			return err
		}
		var old map[string]any
		if next.Old != nil {
			old = integers(next.Old).(map[string]any)
			if faults := check(definitions, old, nil); len(faults) > 0 {
				return fmt.Errorf("the old object is not valid: %v", faults)
			}
		}
		faults := check(definitions, integers(next.New).(map[string]any), old)
		if err := encoder.Encode(answer{Errors: append([]string{}, faults...)}); err != nil {
			return err
		}
	}
	return lines.Err()
}

// integers turns whole JSON numbers into int64, as the API server's decoder does.
func integers(value any) any {
	switch typed := value.(type) {
	case map[string]any:
		for key, item := range typed {
			typed[key] = integers(item)
		}
	case []any:
		for index, item := range typed {
			typed[index] = integers(item)
		}
	case float64:
		if typed == float64(int64(typed)) {
			return int64(typed)
		}
	}
	return value
}
