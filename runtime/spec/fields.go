package spec

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// fieldsOf returns the members of a structure by their JSON names, those of embedded structures included.
func fieldsOf(typ reflect.Type) map[string]reflect.StructField {
	fields := map[string]reflect.StructField{}
	for _, f := range reflect.VisibleFields(typ) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); !f.Anonymous && name != "" && name != "-" {
			fields[name] = f
		}
	}
	return fields
}

// missing reports the required members that were not given: those without omitempty in the Go binding,
// which says what the text calls REQUIRED.
func (t *tree) missing(path string, v reflect.Value, fields map[string]reflect.StructField, seen map[string]bool) {
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if _, opts, _ := strings.Cut(fields[name].Tag.Get("json"), ","); opts != "" || seen[name] {
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
