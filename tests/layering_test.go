// Package tests holds what looks at the project as a whole; the tests of the
// running system are in its subdirectories.
package tests

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/berth-project/berth"

// levels is the import direction: a package may import packages of lower
// levels only. See docs/architecture.md.
var levels = [][]string{
	{"runtime/plan", "dbusapi/wire", "activation", "unit"},
	{"runtime", "runtime/kernel", "runtime/seccomp", "runtime/spec", "runtime/state", "runtime/journal"},
	{"runtime/compile", "runtime/launch", "runtime/keeper"},
	{"runtime/lifecycle", "scope", "dbusapi/bus"},
	{"dbusapi", "dbusapi/client"},
}

// only lists packages that may import less of Berth than their level allows.
var only = map[string][]string{
	"runtime/launch":   {"runtime/plan"},
	"dbusapi/client":   {"dbusapi/wire"},
	"cmd/berth-keeper": {"runtime/launch", "runtime/keeper", "runtime/plan", "activation"},
}

// busLibraries are for levels 3 and up.
var busLibraries = []string{"github.com/godbus/dbus/v5", "github.com/coreos/go-systemd/v22/dbus"}

// unsafeRooms are the packages that may use unsafe, in files named *_unsafe.go.
var unsafeRooms = []string{"runtime/launch", "runtime/kernel", "runtime/seccomp"}

const top = 5 // cmd, tests

func level(pkg string) (int, bool) {
	for i, names := range levels {
		if slices.Contains(names, pkg) {
			return i, true
		}
	}
	return top, strings.HasPrefix(pkg, "cmd/") || pkg == "tests" || strings.HasPrefix(pkg, "tests/")
}

type listed struct {
	pkg     string
	imports []string
	files   []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-f", `{{.ImportPath}}|{{join .Imports " "}}|{{join .GoFiles " "}}`, "./...")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var pkgs []listed
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSpace(line), "|")
		pkg := strings.TrimPrefix(strings.TrimPrefix(f[0], module), "/")
		if strings.HasPrefix(pkg, "build/") {
			continue // scratch space, not in git
		}
		pkgs = append(pkgs, listed{pkg: pkg, imports: strings.Fields(f[1]), files: strings.Fields(f[2])})
	}
	if len(pkgs) < 10 {
		t.Fatalf("go list found %d packages only", len(pkgs))
	}
	return pkgs
}

func TestImportsGoDown(t *testing.T) {
	for _, p := range packages(t) {
		own, known := level(p.pkg)
		if !known {
			t.Errorf("%s has no level: give it one in this test and in docs/architecture.md", p.pkg)
			continue
		}
		for _, imported := range p.imports {
			if slices.Contains(busLibraries, imported) && own < 3 {
				t.Errorf("%s (level %d) imports %s: no bus library below level 3", p.pkg, own, imported)
			}
			name, ours := strings.CutPrefix(imported, module+"/")
			if !ours {
				continue
			}
			if their, _ := level(name); their >= own && own < top {
				t.Errorf("%s (level %d) imports %s (level %d)", p.pkg, own, name, their)
			}
			if allowed, limited := only[p.pkg]; limited && !slices.Contains(allowed, name) {
				t.Errorf("%s imports %s; it may import %q only", p.pkg, name, allowed)
			}
			if strings.HasPrefix(name, "cmd/") {
				t.Errorf("%s imports the program %s", p.pkg, name)
			}
		}
	}
}

func TestUnsafeHasItsRooms(t *testing.T) {
	for _, p := range packages(t) {
		if !slices.Contains(p.imports, "unsafe") {
			continue
		}
		if !slices.Contains(unsafeRooms, p.pkg) {
			t.Errorf("%s imports unsafe", p.pkg)
			continue
		}
		for _, f := range p.files {
			if importsUnsafe(t, filepath.Join("..", p.pkg, f)) && !strings.HasSuffix(f, "_unsafe.go") {
				t.Errorf("%s/%s imports unsafe, but its name does not end in _unsafe.go", p.pkg, f)
			}
		}
	}
}

func importsUnsafe(t *testing.T, path string) bool {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(file.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"unsafe"` })
}
