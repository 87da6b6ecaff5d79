package spec

import (
	"fmt"
	"strconv"
	"strings"
)

// maxFindings bounds the findings of each level, so that a hostile config.json cannot make an
// error text of megabytes. An error is never displaced by warnings.
const maxFindings = 100

// report collects findings.
type report struct {
	findings Findings
	count    [len(levelNames)]int
}

func (r *report) add(f Finding) {
	r.count[f.Level]++
	switch n := r.count[f.Level]; {
	case n < maxFindings:
	case n == maxFindings:
		f = Finding{Level: f.Level, Kind: f.Kind, Path: f.Path, Cause: "there are more findings; only the first are shown"}
	default:
		return
	}
	r.findings = append(r.findings, f)
}

// full reports whether looking for more errors is pointless.
func (r *report) full() bool { return r.count[Error] >= maxFindings }

// errorf reports an invalid value.
func (r *report) errorf(path, ref, format string, args ...any) {
	r.add(Finding{Level: Error, Kind: Invalid, Path: path, Ref: ref, Cause: fmt.Sprintf(format, args...)})
}

// warnf reports a value that is allowed but surely not meant.
func (r *report) warnf(path, ref, format string, args ...any) {
	r.add(Finding{Level: Warning, Kind: Invalid, Path: path, Ref: ref, Cause: fmt.Sprintf(format, args...)})
}

// refuse reports a feature that Berth does not have.
func (r *report) refuse(path, ref, cause string) {
	r.add(Finding{Level: Error, Kind: NotSupported, Path: path, Ref: ref, Cause: cause})
}

// join appends a field to a JSON path.
func join(path, field string) string {
	if !isIdentifier(field) {
		return key(path, field)
	}
	if path == "" {
		return field
	}
	return path + "." + field
}

// key appends the key of a JSON object that is a map, not a structure.
func key(path, k string) string { return path + "[" + quote(k) + "]" }

// index appends the index of an array.
func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// quote is %q for values of any length.
func quote(s string) string {
	const most = 100
	if len(s) <= most {
		return strconv.Quote(s)
	}
	return fmt.Sprintf("%q... (%d bytes)", s[:most], len(s))
}

func isIdentifier(s string) bool {
	other := func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, other)
}
