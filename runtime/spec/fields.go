package spec

import (
	"reflect"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// fieldSet are the members of a structure by their JSON names, those of embedded structures included.
type fieldSet struct {
	byName map[string]reflect.StructField
	// required are the names without omitempty in the Go binding, which says what the text calls REQUIRED.
	required []string
}

func fieldsOf(typ reflect.Type) fieldSet {
	set := fieldSet{byName: map[string]reflect.StructField{}}
	for _, f := range reflect.VisibleFields(typ) {
		name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || name == "" || name == "-" {
			continue
		}
		set.byName[name] = f
		if opts == "" {
			set.required = append(set.required, name)
		}
	}
	return set
}

// fieldsOf looks every type up once for each document: a configuration has many objects of few types.
func (t *tree) fieldsOf(typ reflect.Type) fieldSet {
	set, ok := t.fields[typ]
	if !ok {
		set = fieldsOf(typ)
		t.fields[typ] = set
	}
	return set
}

// missing reports the required members that were not given.
func (t *tree) missing(path string, v reflect.Value, required []string, seen map[string]bool) {
	for _, name := range required {
		if seen[name] {
			continue
		}
		switch owner := v.Interface().(type) {
		case specs.Process, specs.User:
			if name == "user" || name == "uid" || name == "gid" {
				// The JSON schema does not require them, and other runtimes read 0.
				t.warnf(join(path, name), refUser, "is missing; 0 (root) is used")
				continue
			}
		case specs.LinuxDevice:
			if owner.Type == "p" && (name == "major" || name == "minor") {
				continue
			}
		case specs.VM:
			continue // refused as a whole
		}
		t.errorf(join(path, name), refConfig, "is missing, but required")
	}
}
