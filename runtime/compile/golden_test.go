package compile

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-project/berth/runtime/kernel"
	"github.com/berth-project/berth/runtime/plan"
	"github.com/berth-project/berth/runtime/spec"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// request compiles testdata/NAME.json with what its name asks for besides.
// Few capabilities keep the golden files short.
func request(t testing.TB, name string) Request {
	t.Helper()
	r := Request{Spec: load(t, name), Bundle: "/bundle", Facts: kernel.Facts{Major: 6, Minor: 1, LastCap: 2}}
	switch name {
	case "runc-spec", "crun-spec":
		r.Facts.LastCap = 40
	case "process":
		r.Facts.LastCap = 7
	case "listen":
		r.ListenFDs = []string{"http", "control"}
		r.Environment = []string{"HOME=/srv", "ADDED=by the caller"}
	}
	return r
}

// load reads a configuration that has no errors.
func load(t testing.TB, name string) *specs.Spec {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s, findings := spec.Decode(f)
	if err := append(findings, spec.Validate(s)...).Err(); err != nil {
		t.Fatal(err)
	}
	return s
}

func compiled(t testing.TB, r Request) *plan.Program {
	t.Helper()
	p, err := Container(r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// configs are the names of the files in testdata.
func configs(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("configurations %q: %v", files, err)
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(filepath.Base(f), ".json")
	}
	return files
}

func TestGolden(t *testing.T) {
	for _, name := range configs(t) {
		t.Run(name, func(t *testing.T) {
			got := compiled(t, request(t, name)).String()
			golden := filepath.Join("testdata", name+".plan")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("plan (-want +got), accept it with -update:\n%s", diff)
			}
		})
	}
}

// TestPrintIsPortable: a number in the print that differs between
// architectures would be one that has no name here.
func TestPrintIsPortable(t *testing.T) {
	unnamed := regexp.MustCompile(`syscall_\d|\|0x|[(, {]0x[0-9a-f]{4}|\$\d`)
	allowed := regexp.MustCompile(`^ *\d+  (capset|ioprio_set)\(`)
	for _, name := range configs(t) {
		for line := range strings.Lines(compiled(t, request(t, name)).String()) {
			if unnamed.MatchString(line) && !allowed.MatchString(line) {
				t.Errorf("%s: %s", name, line)
			}
		}
	}
}

// TestDeterminism: equal requests give equal bytes, whatever the order of maps,
// and compiling changes nothing of the request.
func TestDeterminism(t *testing.T) {
	for _, name := range configs(t) {
		r := request(t, name)
		first := compiled(t, r).Encode()
		for range 10 {
			if string(compiled(t, r).Encode()) != string(first) {
				t.Fatalf("%s: compiling the same request again gives another plan", name)
			}
		}
		if diff := cmp.Diff(request(t, name), r); diff != "" {
			t.Errorf("%s: compiling changed its request:\n%s", name, diff)
		}
	}
}

// TestPlansTravel: what is compiled can be decoded by the keeper.
func TestPlansTravel(t *testing.T) {
	for _, name := range configs(t) {
		p := compiled(t, request(t, name))
		got, err := plan.Decode(p.Encode())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		p.SlotNames = nil // they stay behind
		if diff := cmp.Diff(p.String(), got.String()); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

// TestShape has what holds for every plan of a container.
func TestShape(t *testing.T) {
	for _, name := range configs(t) {
		r := request(t, name)
		p := compiled(t, r)
		want := []string{Stdin, Stdout, Stderr, Start, Placed}
		for i := range r.ListenFDs {
			want = append(want, ListenHandle(i))
		}
		if diff := cmp.Diff(want, p.Handles); diff != "" {
			t.Errorf("%s: handles:\n%s", name, diff)
		}
		text := p.String()
		for _, once := range []string{"# wait for scope\n", "report point 1 ", "# wait for start\n", "pivot_root(", "close_range("} {
			if n := strings.Count(text, once); n != 1 {
				t.Errorf("%s: %q is there %d times, want once", name, once, n)
			}
		}
		for i, op := range p.Ops {
			if op.Label == "" {
				t.Errorf("%s: op %d has no label", name, i+1)
			}
		}
		inOrder(t, name, text, "pivot_root(", "# wait for scope", "# set additionalGids", "# set uid", "# set capabilities", "report point 1", "# wait for start", "execve(")
	}
}

// inOrder checks that the last occurrences of texts come one after the other.
// The scope may be waited for before the pivot, where a cgroup mount needs it.
func inOrder(t *testing.T, name, text string, want ...string) {
	t.Helper()
	last := -1
	for _, w := range want {
		at := strings.LastIndex(text, w)
		if at < last && w != "# wait for scope" || at < 0 {
			t.Errorf("%s: %q comes too early or not at all", name, w)
		}
		last = max(last, at)
	}
}
