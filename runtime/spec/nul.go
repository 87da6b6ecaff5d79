package spec

import (
	"reflect"
	"strings"
)

// nulBytes refuses NUL in every string of the document but annotations, which never reach the kernel:
// system calls would take the text only up to there.
func (c *checker) nulBytes(path string, v reflect.Value) {
	if !containsNUL(v) {
		return // the usual case, without making a path for every value
	}
	switch v.Kind() {
	case reflect.Pointer:
		c.nulBytes(path, v.Elem())
	case reflect.Slice:
		for i := range v.Len() {
			c.nulBytes(index(path, i), v.Index(i))
		}
	case reflect.Map:
		for _, k := range sortedKeys(v) {
			if at := key(path, k.String()); containsNUL(k) {
				c.errorf(at, refConfig, "contains a NUL byte")
			} else {
				c.nulBytes(at, v.MapIndex(k))
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ","); name != "annotations" {
				c.nulBytes(join(path, name), v.Field(i))
			}
		}
	default:
		c.errorf(path, refConfig, "contains a NUL byte")
	}
}

func containsNUL(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.String:
		return strings.IndexByte(v.String(), 0) >= 0
	case reflect.Pointer:
		return !v.IsNil() && containsNUL(v.Elem())
	case reflect.Slice:
		for i := range v.Len() {
			if containsNUL(v.Index(i)) {
				return true
			}
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			if containsNUL(it.Key()) || containsNUL(it.Value()) {
				return true
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if containsNUL(v.Field(i)) {
				return true
			}
		}
	}
	return false
}
