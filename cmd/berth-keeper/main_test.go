package main

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// outcome is what run did.
type outcome struct {
	status         int
	stdout, stderr string
}

func try(t *testing.T, env map[string]string, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	status := run(t.Context(), args, environment{
		getenv: func(name string) string { return env[name] }, pid: 77, stdout: &stdout, stderr: &stderr,
	})
	return outcome{status, stdout.String(), stderr.String()}
}

func TestCommandLine(t *testing.T) {
	regular := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(regular, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args []string
		env  map[string]string
		want outcome
	}{
		"help":          {[]string{"--help"}, nil, outcome{0, usage, ""}},
		"version":       {[]string{"--version"}, nil, outcome{0, "berth-keeper unknown\n", ""}},
		"unknown":       {[]string{"--verbose"}, nil, outcome{2, "", `berth-keeper: argument "--verbose" is not known; see berth-keeper --help` + "\n"}},
		"operand":       {[]string{"x"}, nil, outcome{2, "", `berth-keeper: argument "x" is not known; see berth-keeper --help` + "\n"}},
		"no path":       {[]string{"--socket"}, nil, outcome{2, "", "berth-keeper: option --socket needs a path; see berth-keeper --help\n"}},
		"empty path":    {[]string{"--socket="}, nil, outcome{2, "", "berth-keeper: option --socket needs a path; see berth-keeper --help\n"}},
		"no socket":     {nil, nil, outcome{1, "", "berth-keeper: no listening socket was passed: start berth-keeper.socket, or use --socket\n"}},
		"for another":   {nil, map[string]string{"LISTEN_PID": "78", "LISTEN_FDS": "1"}, outcome{1, "", "berth-keeper: no listening socket was passed: start berth-keeper.socket, or use --socket\n"}},
		"bad count":     {nil, map[string]string{"LISTEN_PID": "77", "LISTEN_FDS": "x"}, outcome{1, "", `berth-keeper: parse LISTEN_FDS: strconv.Atoi: parsing "x": invalid syntax` + "\n"}},
		"path is taken": {[]string{"--socket", regular}, nil, outcome{1, "", `berth-keeper: listen on "` + regular + `": bind: address already in use` + "\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := try(t, test.env, test.args...); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

// TestMakeSocket replaces what an earlier keeper has left, and nobody but the owner may use it.
func TestMakeSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	for range 2 {
		fd, err := makeSocket(path)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
		conn, err := net.Dial("unixpacket", path)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		unix.Close(fd)
	}
	if _, err := makeSocket(strings.Repeat("/x", 100)); err == nil {
		t.Error("a path of 200 bytes is taken")
	}
}
