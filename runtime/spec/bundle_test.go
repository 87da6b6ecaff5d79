package spec

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func writeConfig(t testing.TB, text string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// runcBundle is a bundle with what runc spec writes.
func runcBundle(t testing.TB) (dir string) {
	t.Helper()
	data, err := os.ReadFile("testdata/runc-1.1.5.json")
	if err != nil {
		t.Fatal(err)
	}
	return writeConfig(t, string(data))
}

func TestLoadBundle(t *testing.T) {
	dir := runcBundle(t)
	s, findings, err := LoadBundle(dir)
	if err != nil || findings.Err() != nil || s == nil || s.Hostname != "runc" {
		t.Errorf("got %+v, %q, %v", s, findings, err)
	}
	// The bundle itself may be reached by a link: only its inside is not trusted.
	link := filepath.Join(t.TempDir(), "bundle")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if _, findings, err := LoadBundle(link); err != nil || findings.Err() != nil {
		t.Errorf("linked bundle: %q, %v", findings, err)
	}
}

// TestLoadBundleMerges wants what could not be decoded to be reported once.
func TestLoadBundleMerges(t *testing.T) {
	dir := writeConfig(t, `{"ociVersion":7,"process":{"cwd":[],"user":{"uid":0,"gid":0},"args":[]},"linux":{"namespaces":[{"type":"mount"}]}}`)
	s, findings, err := LoadBundle(dir)
	if err != nil || s == nil {
		t.Fatalf("got %v, %v", s, err)
	}
	checkFindings(t, findings, []string{
		"error ociVersion: must be a string, not 7", "error process.cwd: must be a string, not an array",
		"error process.args: is empty", "error root: is missing"})
}

func TestLoadBundleBadDocuments(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"empty":  {"", "error config.json: line 1, column 0: unexpected end of JSON input"},
		"broken": {"{,}", "error config.json: line 1, column 2: invalid character ','"},
		"10 MiB": {strings.Repeat(" ", 10<<20), "error config.json: it is too large: 10485760 bytes, the limit is 4194304"},
	} {
		t.Run(name, func(t *testing.T) {
			s, findings, err := LoadBundle(writeConfig(t, tt.text))
			if s != nil || err != nil {
				t.Errorf("got %v, %v", s, err)
			}
			checkFindings(t, findings, []string{tt.want})
		})
	}
}

func TestLoadBundleHostileFiles(t *testing.T) {
	for name, tt := range map[string]struct {
		make func(path string) error
		want string
	}{
		"missing":   {func(string) error { return nil }, `config.json": no such file or directory`},
		"directory": {func(p string) error { return os.Mkdir(p, 0o700) }, "config.json\": it must be a regular file, not d---------"},
		"fifo":      {func(p string) error { return unix.Mkfifo(p, 0o600) }, "config.json\": it must be a regular file, not p---------"},
		"link out":  {func(p string) error { return os.Symlink("/etc/passwd", p) }, "config.json\": it must not be a symbolic link: "},
		"link loop": {func(p string) error { return os.Symlink("config.json", p) }, "config.json\": it must not be a symbolic link: "},
		"link to sibling": {func(p string) error {
			return os.Symlink("other.json", p)
		}, "config.json\": it must not be a symbolic link: "},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := tt.make(filepath.Join(dir, "config.json")); err != nil {
				t.Fatal(err)
			}
			if _, _, err := LoadBundle(dir); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestLoadBundleBadDirectories(t *testing.T) {
	file := filepath.Join(writeConfig(t, "{}"), "config.json")
	for dir, want := range map[string]string{
		"":          `open bundle "": it must be an absolute path`,
		"a/b":       `open bundle "a/b": it must be an absolute path`,
		"/none\xff": `open bundle "/none\xff": no such file or directory`,
		"/\x00":     `open bundle "/\x00": invalid argument`,
		file:        `: not a directory`,
	} {
		if _, _, err := LoadBundle(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", dir, err, want)
		}
	}
}

func TestWithin(t *testing.T) {
	for _, tt := range []struct {
		path, parent string
		want         bool
	}{
		{"process.cwd", "process", true}, {"process", "process", true}, {"mounts[1].type", "mounts[1]", true}, {"a", "", true},
		{"process", "process.cwd", false}, {"mounts[10]", "mounts[1]", false}, {"processes", "process", false},
	} {
		if got := within(tt.path, tt.parent); got != tt.want {
			t.Errorf("within(%q, %q) = %v", tt.path, tt.parent, got)
		}
	}
}
