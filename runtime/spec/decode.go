package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"unicode/utf8"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// MaxConfigSize bounds a config.json in bytes. Generated ones are some ten kilobytes.
const MaxConfigSize = 4 << 20

// Decode reads one JSON document from r, at most [MaxConfigSize] bytes. All wrong types, duplicate
// keys and missing required fields are [Error] findings; fields that the runtime specification does
// not define are warnings of kind [Unknown], as it demands (config.md#extensibility). Field names
// must match exactly, unlike in encoding/json. The spec is nil where the document is no JSON at all;
// otherwise a field with an Error finding has its zero value.
func Decode(r io.Reader) (*specs.Spec, Findings) {
	var rep report
	data, err := io.ReadAll(io.LimitReader(r, MaxConfigSize+1))
	if err == nil {
		err = checkDocument(data)
	}
	if err != nil {
		rep.errorf("", refConfig, "%v", err)
		return nil, rep.findings
	}
	t := tree{report: &rep, data: data, dec: json.NewDecoder(bytes.NewReader(data)), fields: map[reflect.Type]fieldSet{}}
	t.dec.UseNumber()
	var s specs.Spec
	if err := t.value("", reflect.ValueOf(&s).Elem()); err != nil && !errors.Is(err, errFull) {
		rep.errorf("", refConfig, "decode: %v", err)
		return nil, rep.findings
	}
	return &s, rep.findings
}

// checkDocument checks what must hold before the fields can be looked at.
func checkDocument(data []byte) error {
	if len(data) > MaxConfigSize {
		return sizeError(int64(len(data)), "at least ")
	}
	if i := invalidUTF8(data); i >= 0 {
		return fmt.Errorf("%s: byte 0x%02x is not UTF-8", position(data, i), data[i])
	}
	var whole json.RawMessage
	err := json.Unmarshal(data, &whole)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("%s: %w", position(data, int(syntax.Offset)), err)
	}
	return err
}

func sizeError(size int64, atLeast string) error {
	return fmt.Errorf("it is too large: %s%d bytes, the limit is %d", atLeast, size, MaxConfigSize)
}

func invalidUTF8(data []byte) int {
	if utf8.Valid(data) {
		return -1
	}
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

// position tells people where a byte is.
func position(data []byte, offset int) string {
	before := data[:min(offset, len(data))]
	line := 1 + bytes.Count(before, []byte("\n"))
	return fmt.Sprintf("line %d, column %d", line, len(before)-1-bytes.LastIndexByte(before, '\n'))
}

// hasHalfSurrogate reports whether decoding raw gave a replacement character that was not in it: half of
// a UTF-16 surrogate pair. encoding/json replaces it silently, and so would change a path.
func hasHalfSurrogate(decoded string, raw []byte) bool {
	return strings.ContainsRune(decoded, utf8.RuneError) &&
		!bytes.ContainsRune(raw, utf8.RuneError) && !bytes.Contains(bytes.ToLower(raw), []byte(`\ufffd`))
}
