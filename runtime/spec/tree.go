package spec

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// errFull ends decoding when there are more errors than anyone will read.
var errFull = errors.New("too many findings")

// tree decodes a syntactically correct document into Go values by their types, token by token, so that
// every wrong type and unknown field is found with its path, and unknown parts cost no memory.
type tree struct {
	*report
	data []byte
	dec  *json.Decoder
	// fields are those of the types met so far.
	fields map[reflect.Type]fieldSet
}

// value decodes the next value of the document into v.
func (t *tree) value(path string, v reflect.Value) error {
	if t.full() {
		return errFull
	}
	if v.Kind() == reflect.Interface {
		return t.dec.Decode(v.Addr().Interface())
	}
	start := t.dec.InputOffset()
	token, err := t.dec.Token()
	if err != nil {
		return err
	}
	if s, ok := token.(string); ok && hasHalfSurrogate(s, t.data[start:t.dec.InputOffset()]) {
		t.errorf(path, refConfig, "has half of a UTF-16 surrogate pair")
		return nil
	}
	return t.assign(path, v, token)
}

// assign puts the value that begins with token into v.
func (t *tree) assign(path string, v reflect.Value, token json.Token) error {
	switch v.Kind() {
	case reflect.Pointer:
		if token == nil {
			return nil
		}
		v.Set(reflect.New(v.Type().Elem()))
		return t.assign(path, v.Elem(), token)
	case reflect.Struct:
		if token == json.Delim('{') {
			return t.object(path, v)
		}
	case reflect.Map:
		if token == nil {
			return nil
		}
		if token == json.Delim('{') {
			return t.mapping(path, v)
		}
	case reflect.Slice:
		if token == nil {
			return nil
		}
		if token == json.Delim('[') {
			return t.array(path, v)
		}
	default:
		if t.scalar(path, v, token) {
			return nil
		}
	}
	t.errorf(path, refConfig, "must be %s, not %s", wanted(v.Kind()), describe(token))
	return t.skip(token)
}

// object decodes the members of a structure.
func (t *tree) object(path string, v reflect.Value) error {
	fields := t.fieldsOf(v.Type())
	seen := map[string]bool{}
	for t.dec.More() {
		name, err := t.name(path, seen)
		if err != nil {
			return err
		}
		f, known := fields.byName[name]
		if !known {
			t.unknown(path, name, fields.byName)
			err = t.skipValue()
		} else {
			err = t.value(join(path, name), v.FieldByIndex(f.Index))
		}
		if err != nil {
			return err
		}
	}
	t.missing(path, v, fields.required, seen)
	_, err := t.dec.Token()
	return err
}

// mapping decodes the members of a map with string keys.
func (t *tree) mapping(path string, v reflect.Value) error {
	v.Set(reflect.MakeMap(v.Type()))
	seen := map[string]bool{}
	for t.dec.More() {
		name, err := t.name(path, seen)
		if err != nil {
			return err
		}
		elem := reflect.New(v.Type().Elem()).Elem()
		if err := t.value(key(path, name), elem); err != nil {
			return err
		}
		v.SetMapIndex(reflect.ValueOf(name).Convert(v.Type().Key()), elem)
	}
	_, err := t.dec.Token()
	return err
}

// name reads the next member's name; a second one of the same name is an error, because which of the two
// counts differs from program to program (RFC 8259, section 4).
func (t *tree) name(path string, seen map[string]bool) (string, error) {
	token, err := t.dec.Token()
	if err != nil {
		return "", err
	}
	name, ok := token.(string)
	if !ok {
		return "", fmt.Errorf("member name is %v", token)
	}
	if seen[name] {
		t.errorf(join(path, name), refConfig, "is given twice")
	}
	seen[name] = true
	return name, nil
}

// array decodes the elements of a slice.
func (t *tree) array(path string, v reflect.Value) error {
	v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	for i := 0; t.dec.More(); i++ {
		v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
		if err := t.value(index(path, i), v.Index(i)); err != nil {
			return err
		}
	}
	_, err := t.dec.Token()
	return err
}

// scalar stores a string, boolean or integer; it reports whether the token is of that sort. A number out of
// range is a finding of its own.
func (t *tree) scalar(path string, v reflect.Value, token json.Token) bool {
	switch value := token.(type) {
	case string:
		if v.Kind() != reflect.String {
			return false
		}
		v.SetString(value)
	case bool:
		if v.Kind() != reflect.Bool {
			return false
		}
		v.SetBool(value)
	case json.Number:
		return t.integer(path, v, value.String())
	default:
		return false
	}
	return true
}

func (t *tree) integer(path string, v reflect.Value, text string) bool {
	var err error
	switch {
	case v.CanInt():
		var n int64
		if n, err = strconv.ParseInt(text, 10, v.Type().Bits()); err == nil {
			v.SetInt(n)
		}
	case v.CanUint():
		var n uint64
		n, err = strconv.ParseUint(text, 10, v.Type().Bits())
		if err == nil {
			v.SetUint(n)
		} else if _, signedErr := strconv.ParseInt(text, 10, 64); signedErr == nil {
			err = strconv.ErrRange // a negative number is an integer
		}
	default:
		return false
	}
	if errors.Is(err, strconv.ErrRange) {
		t.errorf(path, refConfig, "%s is out of range: it must fit %s", text, v.Kind())
		return true
	}
	return err == nil
}

// skip reads the rest of the value that begins with token.
func (t *tree) skip(token json.Token) error {
	depth := 0
	for {
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
		var err error
		if token, err = t.dec.Token(); err != nil {
			return err
		}
	}
}

func (t *tree) skipValue() error {
	token, err := t.dec.Token()
	if err != nil {
		return err
	}
	return t.skip(token)
}

func (t *tree) unknown(path, name string, fields map[string]reflect.StructField) {
	cause := "the runtime specification does not define it; it is ignored"
	for known := range fields {
		if strings.EqualFold(known, name) {
			cause = "it is ignored; the defined name is " + strconv.Quote(known)
		}
	}
	t.add(Finding{Level: Warning, Kind: Unknown, Path: join(path, name), Cause: cause, Ref: refExtensibility})
}

// wanted names what a Go kind is in JSON.
func wanted(k reflect.Kind) string {
	switch k {
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Slice:
		return "an array"
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	default:
		return "an integer"
	}
}

// describe names the value that begins with a token.
func describe(token json.Token) string {
	switch value := token.(type) {
	case json.Delim:
		if value == '{' {
			return "an object"
		}
		return "an array"
	case string:
		return "the string " + quote(value)
	case nil:
		return "null"
	default:
		return fmt.Sprintf("%v", value)
	}
}
