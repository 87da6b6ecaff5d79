package spec

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestValidateNothing(t *testing.T) {
	checkFindings(t, Validate(nil), []string{"error config.json: there is no configuration"})
	checkFindings(t, Validate(&specs.Spec{}), []string{
		"error ociVersion: is missing",
		"error process: is missing",
		"error root: is missing",
		"error linux.namespaces: have no entry of type \"mount\""})
}

func TestVersion(t *testing.T) {
	for version, want := range map[string][]string{
		"1.0.0": nil, "1.0.2-dev": nil, "1.3.0": nil, "1.2.1+build.5": nil, "1.0.0-rc.1": nil,
		"":        {"error ociVersion: is missing"},
		"1.4.0":   {`warning ociVersion: "1.4.0" is newer than the 1.3.0`},
		"1.30.0":  {`warning ociVersion: "1.30.0" is newer`},
		"0.9.0":   {`error ociVersion: "0.9.0" is not supported; Berth reads versions 1.x`},
		"2.0.0":   {`error ociVersion: "2.0.0" is not supported`},
		"11.0.0":  {`error ociVersion: "11.0.0" is not supported`},
		"1.0":     {`error ociVersion: "1.0" is not a SemVer`},
		"v1.0.0":  {`error ociVersion: "v1.0.0" is not a SemVer`},
		"1.0.0 ":  {`error ociVersion: "1.0.0 " is not a SemVer`},
		"01.0.0":  {`error ociVersion: "01.0.0" is not a SemVer`},
		"1.0.0\n": {`error ociVersion: "1.0.0\n" is not a SemVer`},
	} {
		t.Run(version, func(t *testing.T) {
			s := base()
			s.Version = version
			checkFindings(t, Validate(s), want)
		})
	}
}

func TestRoot(t *testing.T) {
	for path, want := range map[string][]string{
		"rootfs": nil, "./rootfs": nil, "/var/lib/x": nil, "a/b..c": nil, ".": nil,
		"":             {"error root.path: is empty"},
		"../rootfs":    {`error root.path: "../rootfs" contains ".."`},
		"a/../../etc":  {`error root.path: "a/../../etc" contains ".."`},
		"/srv/../etc":  {`error root.path: "/srv/../etc" contains ".."`},
		"/":            {`error root.path: "/" is the host's own root`},
		"//.":          {`error root.path: "//." is the host's own root`},
		"root\x00/etc": {"error root.path: contains a NUL byte"},
	} {
		t.Run(path, func(t *testing.T) {
			s := base()
			s.Root.Path = path
			checkFindings(t, Validate(s), want)
		})
	}
}

func TestHostnames(t *testing.T) {
	checkRules(t, []rule{
		{"good", func(s *specs.Spec) { s.Hostname, s.Domainname = strings.Repeat("h", 64), "d" }, nil},
		{"long", func(s *specs.Spec) { s.Hostname, s.Domainname = strings.Repeat("h", 65), strings.Repeat("d", 65) }, []string{
			"error hostname: has 65 bytes; at most 64", "error domainname: has 65 bytes"}},
		{"host's namespace", func(s *specs.Spec) { s.Hostname, s.Domainname, s.Linux.Namespaces[3].Type = "h", "d", "" }, []string{
			"error hostname: would change the host's",
			"error domainname: would change the host's",
			`error linux.namespaces[3].type: "" is not`,
		}},
		{"joined namespace", func(s *specs.Spec) { s.Hostname, s.Linux.Namespaces[3].Path = "h", "/run/uts" }, []string{
			`warning hostname: is changed for everyone in the namespace "/run/uts"`}},
	})
}

func TestNUL(t *testing.T) {
	checkRules(t, []rule{
		{"everywhere", func(s *specs.Spec) {
			s.Process.Args = []string{"/bin/true", "a\x00b"}
			s.Process.Env = []string{"A=\x00"}
			s.Mounts = []specs.Mount{{Destination: "/t\x00", Type: "tmpfs"}}
			s.Linux.Sysctl = map[string]string{"net.core.somaxconn": "1\x002"}
			s.Linux.MaskedPaths = []string{"/a\x00"}
		}, []string{
			"error process.args[1]: contains a NUL byte",
			"error process.env[0]: contains a NUL",
			"error mounts[0].destination: contains a NUL",
			`error linux.sysctl["net.core.somaxconn"]: contains a NUL`,
			"error linux.maskedPaths[0]: contains a NUL",
		}},
		{"in a key", func(s *specs.Spec) {
			s.Linux.Resources = &specs.LinuxResources{Unified: map[string]string{"memory.high\x00": "1"}}
		}, []string{`error linux.resources.unified["memory.high\x00"]: contains a NUL byte`}},
		{"annotations may", func(s *specs.Spec) { s.Annotations = map[string]string{"a": "\x00"} }, nil},
		{"annotation without key", func(s *specs.Spec) { s.Annotations = map[string]string{"": "a"} }, []string{
			`error annotations[""]: the key is empty`,
		}},
	})
}

func TestContainerPathsAndPropagation(t *testing.T) {
	checkRules(t, []rule{
		{"good", func(s *specs.Spec) {
			s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = []string{"/proc/kcore"}, []string{"/proc/sys"}
			s.Linux.RootfsPropagation = "rslave"
		}, nil},
		{"bad", func(s *specs.Spec) {
			s.Linux.MaskedPaths = []string{"proc/kcore", "/a/../b", "", "/."}
			s.Linux.ReadonlyPaths = []string{"..", "/"}
			s.Linux.RootfsPropagation = "rbind"
		}, []string{
			`error linux.maskedPaths[0]: "proc/kcore" is not an absolute path`,
			`error linux.maskedPaths[1]: "/a/../b" contains ".."`,
			"error linux.maskedPaths[2]: is empty",
			`error linux.maskedPaths[3]: "/." is the root directory itself`,
			`error linux.readonlyPaths[0]: ".." is not an absolute path`,
			`error linux.readonlyPaths[1]: "/" is the root directory`,
			`error linux.rootfsPropagation: "rbind" is not one of shared`}},
	})
	for _, word := range []string{"shared", "slave", "private", "unbindable", "rshared", "rslave", "rprivate", "runbindable"} {
		if _, ok := Propagation(word); !ok {
			t.Errorf("%q is no propagation", word)
		}
	}
}

// TestRefsExist looks up every cited section in the text of the runtime specification that go.mod names.
func TestRefsExist(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/opencontainers/runtime-spec").Output()
	if err != nil {
		t.Fatalf("find the module: %v", err)
	}
	anchors := map[string]bool{}
	heading := regexp.MustCompile(`(?m)^#+ (?:<a name="[^"]*" ?/>)?(.*)$`)
	for _, file := range []string{"config.md", "config-linux.md"} {
		text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), file))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range heading.FindAllSubmatch(text, -1) {
			anchors[file+"#"+strings.ReplaceAll(strings.ToLower(string(m[1])), " ", "-")] = true
		}
	}
	source, err := os.ReadFile("refs.go")
	if err != nil {
		t.Fatal(err)
	}
	refs := regexp.MustCompile(`"(config[^"]*)"`).FindAllSubmatch(source, -1)
	if len(refs) < 30 {
		t.Fatalf("found %d references", len(refs))
	}
	for _, m := range refs {
		if !anchors[string(m[1])] {
			t.Errorf("there is no section %s", m[1])
		}
	}
}
