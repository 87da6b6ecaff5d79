package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// tree writes files below a directory of its own.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestConfigFiles(t *testing.T) {
	dir := tree(t, map[string]string{
		"etc/berthd.toml":                  "max-containers = 1\nlog-level = \"debug\"\n",
		"etc/berthd.toml.d/20-b.toml":      "stop-timeout = \"2s\"\n",
		"etc/berthd.toml.d/10-masked.toml": "",
		"etc/berthd.toml.d/README":         "not read",
		"usr/berthd.toml":                  "slice = \"not-read.slice\"\n",
		"usr/berthd.toml.d/10-masked.toml": "max-containers = 7\n",
		"usr/berthd.toml.d/15-a.toml":      "max-containers = 3\nstop-timeout = \"1m\"\n",
	})
	got, err := loadConfig(sources{dirs: []string{filepath.Join(dir, "etc"), filepath.Join(dir, "usr")}})
	if err != nil {
		t.Fatal(err)
	}
	want := config{LogLevel: slog.LevelDebug, MaxContainers: 3, Slice: "machine.slice", StopTimeout: duration(2 * time.Second)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestConfigVendorFileAlone(t *testing.T) {
	dir := tree(t, map[string]string{"usr/berthd.toml": "slice = \"a-b.slice\"\n"})
	got, err := loadConfig(sources{dirs: []string{filepath.Join(dir, "etc"), filepath.Join(dir, "usr")}})
	if err != nil || got.Slice != "a-b.slice" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestConfigNone(t *testing.T) {
	got, err := loadConfig(sources{dirs: []string{"/nowhere/a", "/nowhere/b"}})
	if diff := cmp.Diff(defaultConfig(), got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if _, err := loadConfig(sources{file: "/nowhere/berthd.toml"}); err == nil {
		t.Error("a file that was asked for may not be missing")
	}
}

func TestConfigRefused(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"unknown key":    {"# a\n\nmax_containers = 3\n", `:3: key "max_containers" is not known`},
		"unknown quoted": {"slice = \"a.slice\"\n\"odd key\" = 3\n", `:2: key`},
		"unknown table":  {"slice = \"a.slice\"\n[network]\nmtu = 3\n", `:2: key "network" is not known`},
		"wrong type":     {"\nmax-containers = \"many\"\n", ": toml: line 2 "},
		"wrong level":    {"log-level = \"loud\"\n", ":1: "},
		"wrong duration": {"stop-timeout = \"soon\"\n", ":1: "},
		"syntax":         {"slice = \n", ":1: "},
		"no containers":  {"slice = \"a.slice\"\nmax-containers = 0\n", ":2: max-containers 0: it must be at least 1"},
		"no slice":       {"slice = \"machine\"\n", `:1: slice "machine": it must be the name of a slice unit`},
		"negative":       {"stop-timeout = \"-1s\"\n", ":1: stop-timeout"},
		"duplicate":      {"slice = \"a.slice\"\nslice = \"b.slice\"\n", ":2: "},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(tree(t, map[string]string{"berthd.toml": tt.text}), "berthd.toml")
			_, err := loadConfig(sources{file: file})
			if err == nil || !strings.Contains(err.Error(), file+tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
