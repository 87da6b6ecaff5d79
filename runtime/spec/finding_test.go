package spec

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestNamesRoundTrip(t *testing.T) {
	for _, l := range []Level{Error, Warning} {
		if got, err := ParseLevel(l.String()); err != nil || got != l {
			t.Errorf("ParseLevel(%q) = %v, %v", l, got, err)
		}
	}
	for _, k := range []Kind{Invalid, Unknown, NotSupported} {
		if got, err := ParseKind(k.String()); err != nil || got != k {
			t.Errorf("ParseKind(%q) = %v, %v", k, got, err)
		}
	}
	if _, err := ParseLevel("fatal"); err == nil || !strings.Contains(err.Error(), `"fatal"`) {
		t.Errorf("ParseLevel of an unknown name: %v", err)
	}
	if got := Kind(17).String(); got != "kind(17)" {
		t.Errorf("name of no kind is %q", got)
	}
}

func TestFindingString(t *testing.T) {
	for _, tt := range []struct {
		f    Finding
		want string
	}{
		{Finding{Kind: NotSupported, Path: "linux.seccomp", Cause: "no filters"}, "linux.seccomp: not supported yet: no filters"},
		{Finding{Kind: Unknown, Level: Warning, Path: "foo", Cause: "it is ignored"}, "foo: unknown field: it is ignored"},
		{Finding{Path: "process.cwd", Cause: "is empty"}, "process.cwd: is empty"},
		{Finding{Cause: "is too large"}, "config.json: is too large"},
	} {
		if got := tt.f.String(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestFindingsErr(t *testing.T) {
	warning := Finding{Level: Warning, Path: "a", Cause: "odd"}
	refused := Finding{Kind: NotSupported, Path: "b", Cause: "missing"}
	invalid := Finding{Path: "c", Cause: "wrong"}
	if err := (Findings{warning}).Err(); err != nil {
		t.Errorf("a warning is an error: %v", err)
	}
	err := fmt.Errorf("create: %w", Findings{warning, refused, invalid}.Err())
	if got, want := err.Error(), "create: refuse config.json:\nb: not supported yet: missing\nc: wrong"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	var all *InvalidError
	if !errors.As(err, &all) || len(all.Findings) != 2 || all.NotSupported() {
		t.Errorf("got %+v", all)
	}
	if got, want := (Findings{invalid}).Err().Error(), "refuse config.json: c: wrong"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !errors.As(Findings{refused}.Err(), &all) || !all.NotSupported() {
		t.Errorf("a missing feature alone does not count as one: %+v", all)
	}
}

func TestFindingsAreBounded(t *testing.T) {
	var r report
	for i := range 10 * maxFindings {
		r.warnf(index("w", i), refConfig, "odd")
	}
	r.errorf("e", refConfig, "wrong")
	if got := len(r.findings.Warnings()); got != maxFindings {
		t.Errorf("%d warnings are kept", got)
	}
	if got := len(r.findings.Errors()); got != 1 {
		t.Errorf("the error after many warnings is lost: %d errors", got)
	}
	if last := r.findings.Warnings()[maxFindings-1]; !strings.Contains(last.Cause, "more findings") {
		t.Errorf("nothing tells of the rest: %q", last)
	}
}

func TestPaths(t *testing.T) {
	for got, want := range map[string]string{
		join("", "process"):              `process`,
		join("process", "cwd"):           `process.cwd`,
		join("process", "a b"):           `process["a b"]`,
		join("", ""):                     `[""]`,
		key("linux.sysctl", "net.x"):     `linux.sysctl["net.x"]`,
		index("mounts", 3):               `mounts[3]`,
		quote("a\xff\n"):                 `"a\xff\n"`,
		quote(strings.Repeat("x", 1000)): `"` + strings.Repeat("x", 100) + `"... (1000 bytes)`,
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
