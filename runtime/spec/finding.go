package spec

import (
	"fmt"
	"strings"
)

// Level tells whether a finding forbids the container.
type Level int

// The levels. The zero value is the strict one.
const (
	// Error forbids creating the container.
	Error Level = iota
	// Warning is shown and logged; the container is created.
	Warning
)

var levelNames = [...]string{Error: "error", Warning: "warning"}

// String returns the name of the level, which [ParseLevel] reads.
func (l Level) String() string { return enumName(levelNames[:], int(l), "level") }

// ParseLevel is the inverse of [Level.String].
func ParseLevel(name string) (Level, error) {
	i, err := enumIndex(levelNames[:], name, "level")
	return Level(i), err
}

// Kind tells apart what the reader of a finding has to do about it.
type Kind int

// The kinds of findings.
const (
	// Invalid is a value that the runtime specification or the kernel does not allow.
	Invalid Kind = iota
	// Unknown is a field that the runtime specification does not define; runtimes must ignore it.
	Unknown
	// NotSupported is a defined feature that Berth does not offer, and refuses instead of ignoring it.
	NotSupported
)

var kindNames = [...]string{Invalid: "invalid", Unknown: "unknown field", NotSupported: "not supported yet"}

// String returns the name of the kind, which [ParseKind] reads.
func (k Kind) String() string { return enumName(kindNames[:], int(k), "kind") }

// ParseKind is the inverse of [Kind.String].
func ParseKind(name string) (Kind, error) {
	i, err := enumIndex(kindNames[:], name, "kind")
	return Kind(i), err
}

func enumName(names []string, i int, what string) string {
	if i < 0 || i >= len(names) {
		return fmt.Sprintf("%s(%d)", what, i)
	}
	return names[i]
}

func enumIndex(names []string, name, what string) (int, error) {
	for i, n := range names {
		if n == name {
			return i, nil
		}
	}
	return 0, fmt.Errorf("parse %s %q: known are %q", what, name, names)
}

// Finding is one thing wrong, or worth a warning, in a config.json.
type Finding struct {
	Level Level
	Kind  Kind
	// Path is the JSON path, such as `linux.namespaces[2].path` or `linux.sysctl["net.core.somaxconn"]`;
	// empty for the document as a whole.
	Path string
	// Cause is a sentence without a capital or full stop.
	Cause string
	// Ref is the section of the runtime specification, such as "config-linux.md#namespaces".
	Ref string
}

// String returns path, kind and cause in one line: `linux.seccomp: not supported yet: ...`.
func (f Finding) String() string {
	path := f.Path
	if path == "" {
		path = "config.json"
	}
	if f.Kind == Invalid {
		return path + ": " + f.Cause
	}
	return path + ": " + f.Kind.String() + ": " + f.Cause
}

// Findings is all that was found in one config.json, in the order of the checks.
type Findings []Finding

// Errors returns the findings that forbid the container.
func (fs Findings) Errors() Findings { return fs.of(Error) }

// Warnings returns the findings that do not.
func (fs Findings) Warnings() Findings { return fs.of(Warning) }

func (fs Findings) of(level Level) Findings {
	var out Findings
	for _, f := range fs {
		if f.Level == level {
			out = append(out, f)
		}
	}
	return out
}

// Err returns nil where no finding is an [Error], otherwise an [*InvalidError] with all of those that are.
func (fs Findings) Err() error {
	errs := fs.Errors()
	if len(errs) == 0 {
		return nil
	}
	return &InvalidError{Findings: errs}
}

// InvalidError says why a configuration is refused. Its findings are all of level [Error].
type InvalidError struct{ Findings Findings }

// Error is a line for one finding; several have a line each, after the first.
func (e *InvalidError) Error() string {
	texts := make([]string, len(e.Findings))
	for i, f := range e.Findings {
		texts[i] = f.String()
	}
	if len(texts) == 1 {
		return "refuse config.json: " + texts[0]
	}
	return "refuse config.json:\n" + strings.Join(texts, "\n")
}

// NotSupported reports whether nothing but missing features of Berth stands against the container.
func (e *InvalidError) NotSupported() bool {
	for _, f := range e.Findings {
		if f.Kind != NotSupported {
			return false
		}
	}
	return len(e.Findings) > 0
}
