package bus

import (
	"fmt"
	"reflect"
	"strconv"

	"github.com/godbus/dbus/v5"
)

// Typed returns the value of v so that encoding it gives v's signature again. godbus decodes every structure to
// []any, which it would encode as an array of variants; here it becomes a Go structure.
func Typed(v dbus.Variant) (any, error) {
	value, rest, err := convert(v.Signature().String(), reflect.ValueOf(v.Value()))
	if err != nil {
		return nil, err
	}
	if rest != "" {
		return nil, fmt.Errorf("variant of type %q has more than one value", v.Signature())
	}
	return value.Interface(), nil
}

// convert converts one value of the first complete type of sig and returns the rest of sig. What has no structure
// in it is right already.
func convert(sig string, v reflect.Value) (_ reflect.Value, rest string, err error) {
	typ, rest, err := goType(sig)
	if err != nil {
		return v, rest, err
	}
	if v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	switch {
	case v.Type() == typ:
		return v, rest, nil
	case sig[0] == '(' && v.Kind() == reflect.Slice:
		out := reflect.New(typ).Elem()
		for n, member := 0, sig[1:]; member[0] != ')'; n++ {
			var field reflect.Value
			if field, member, err = convert(member, v.Index(n)); err != nil {
				return v, rest, err
			}
			out.Field(n).Set(field)
		}
		return out, rest, nil
	case sig[0] == 'a' && v.Kind() == reflect.Slice:
		out := reflect.MakeSlice(typ, v.Len(), v.Len())
		for n := range v.Len() {
			element, _, err := convert(sig[1:], v.Index(n))
			if err != nil {
				return v, rest, err
			}
			out.Index(n).Set(element)
		}
		return out, rest, nil
	}
	return v, rest, fmt.Errorf("type %q is not supported here", sig[:len(sig)-len(rest)])
}

var basicTypes = map[byte]reflect.Type{
	'y': reflect.TypeFor[byte](), 'b': reflect.TypeFor[bool](), 'n': reflect.TypeFor[int16](), 'q': reflect.TypeFor[uint16](),
	'i': reflect.TypeFor[int32](), 'u': reflect.TypeFor[uint32](), 'x': reflect.TypeFor[int64](), 't': reflect.TypeFor[uint64](),
	'd': reflect.TypeFor[float64](), 's': reflect.TypeFor[string](), 'o': reflect.TypeFor[dbus.ObjectPath](),
}

// goType is the Go type of the first complete type of sig: basic types, arrays and structures. Descriptors, variants
// and dictionaries are refused, no unit property a client may set has them.
func goType(sig string) (typ reflect.Type, rest string, err error) {
	if sig == "" {
		return nil, "", fmt.Errorf("incomplete type")
	}
	if typ, ok := basicTypes[sig[0]]; ok {
		return typ, sig[1:], nil
	}
	switch {
	case sig[0] == 'a':
		element, rest, err := goType(sig[1:])
		if err != nil {
			return nil, rest, err
		}
		return reflect.SliceOf(element), rest, nil
	case sig[0] == '(' && len(sig) > 1:
		var members []reflect.StructField
		for rest = sig[1:]; rest != "" && rest[0] != ')'; {
			var member reflect.Type
			if member, rest, err = goType(rest); err != nil {
				return nil, rest, err
			}
			members = append(members, reflect.StructField{Name: "F" + strconv.Itoa(len(members)), Type: member})
		}
		if rest != "" && len(members) > 0 {
			return reflect.StructOf(members), rest[1:], nil
		}
	}
	return nil, sig, fmt.Errorf("type %q is not supported here", sig)
}
