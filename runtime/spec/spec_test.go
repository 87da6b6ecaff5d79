package spec

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// base is a spec without findings; tests spoil it.
func base() *specs.Spec {
	return &specs.Spec{
		Version: "1.3.0",
		Process: &specs.Process{Args: []string{"/bin/true"}, Env: []string{"PATH=/bin"}, Cwd: "/"},
		Root:    &specs.Root{Path: "rootfs"},
		Linux: &specs.Linux{Namespaces: []specs.LinuxNamespace{
			{Type: specs.PIDNamespace}, {Type: specs.NetworkNamespace}, {Type: specs.IPCNamespace},
			{Type: specs.UTSNamespace}, {Type: specs.MountNamespace}, {Type: specs.CgroupNamespace}, {Type: specs.TimeNamespace},
		}},
	}
}

// rule is one spoilt spec and the beginnings of the findings it must have, no more and no less, each as
// "error path: cause" or "warning path: cause".
type rule struct {
	name  string
	spoil func(*specs.Spec)
	want  []string
}

func checkRules(t *testing.T, rules []rule) {
	t.Helper()
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			s := base()
			r.spoil(s)
			checkFindings(t, Validate(s), r.want)
		})
	}
}

func checkFindings(t *testing.T, got Findings, want []string) {
	t.Helper()
	lines := make([]string, len(got))
	same := len(got) == len(want)
	for i, f := range got {
		lines[i] = f.Level.String() + " " + f.String()
		same = same && strings.HasPrefix(lines[i], want[i])
		if !strings.Contains(f.Ref, ".md#") {
			t.Errorf("finding %q cites no section: %q", f, f.Ref)
		}
	}
	if !same {
		t.Errorf("findings (-want +got):\n%s", cmp.Diff(want, lines))
	}
}

func ptr[T any](v T) *T { return &v }

func TestBaseIsClean(t *testing.T) {
	checkFindings(t, Validate(base()), nil)
}

func TestGeneratedConfigs(t *testing.T) {
	// Both generators leave the inheritable set empty, so the kernel grants nothing ambient.
	ambient := func(i, name string) string {
		return "warning process.capabilities.ambient[" + i + "]: " + name + " is not also permitted and inheritable"
	}
	want := []string{ambient("0", "CAP_AUDIT_WRITE"), ambient("1", "CAP_KILL"), ambient("2", "CAP_NET_BIND_SERVICE")}
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) < 2 {
		t.Fatalf("found %q: %v", files, err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			s, findings := Decode(strings.NewReader(string(data)))
			checkFindings(t, findings, nil)
			checkFindings(t, Validate(s), want)

			withTerminal, findings := Decode(strings.NewReader(strings.Replace(string(data), `"terminal": false`, `"terminal": true`, 1)))
			checkFindings(t, findings, nil)
			checkFindings(t, Validate(withTerminal).Errors(), []string{
				"error process.terminal: not supported yet: "})
		})
	}
}
