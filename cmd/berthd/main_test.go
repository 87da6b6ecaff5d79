package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-project/berth/runtime/lifecycle"
	"github.com/berth-project/berth/scope"
)

func TestRun(t *testing.T) {
	broken := filepath.Join(tree(t, map[string]string{"berthd.toml": "nonsense = 1\n"}), "berthd.toml")
	tests := map[string]struct {
		args           []string
		status         int
		stdout, stderr string
	}{
		"version":       {[]string{"--version"}, 0, "berthd unknown\n", ""},
		"help":          {[]string{"--help"}, 0, "usage: berthd", ""},
		"unknown flag":  {[]string{"--fast"}, 2, "", "see berthd --help"},
		"argument":      {[]string{"web"}, 2, "", `argument "web" is not known`},
		"broken config": {[]string{"--config", broken}, 1, "", `:1: key "nonsense" is not known`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			env := environment{getenv: func(string) string { return "" }, stdout: &stdout, stderr: &stderr}
			if got := run(t.Context(), tt.args, env); got != tt.status {
				t.Errorf("status %d, want %d", got, tt.status)
			}
			for _, o := range []struct{ got, want string }{{stdout.String(), tt.stdout}, {stderr.String(), tt.stderr}} {
				if !strings.Contains(o.got, o.want) || o.want == "" && o.got != "" {
					t.Errorf("got %q, want %q", o.got, o.want)
				}
			}
		})
	}
}

func TestRunRefusesBadNotifySocket(t *testing.T) {
	var stderr bytes.Buffer
	env := environment{getenv: func(name string) string {
		if name == "NOTIFY_SOCKET" {
			return "relative"
		}
		return ""
	}, stdout: &stderr, stderr: &stderr}
	if got := run(t.Context(), []string{"--config", os.DevNull}, env); got != 1 || !strings.HasPrefix(stderr.String(), "<3>stopped error=") {
		t.Errorf("status %d, %q", got, stderr.String())
	}
}

func TestRuntimeDir(t *testing.T) {
	if got := runtimeDir(func(string) string { return "" }); got != "/run/berth" {
		t.Error(got)
	}
	if got := runtimeDir(func(string) string { return "/run/other" }); got != "/run/other" {
		t.Error(got)
	}
}

func TestLogger(t *testing.T) {
	var out bytes.Buffer
	l := newLogger(&out, slog.LevelInfo)
	l.Debug("not shown")
	l.Info("ready", "containers", 3, "text", "two words", "empty", "")
	l.With("id", "web").WithGroup("exit").Warn("it \"ends\"\nbadly", "code", 1, slog.Group("g", "a", "b=c"))
	l.Error("no", "error", errors.New("a\x1b[31m\nb"))
	want := `<6>ready containers=3 text="two words" empty=""
<4>it "ends"\nbadly id=web exit.code=1 exit.g.a="b=c"
<3>no error="a\x1b[31m\nb"
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
	if priority(slog.LevelDebug) != 7 {
		t.Error("debug")
	}
}

func TestOutbox(t *testing.T) {
	var o outbox
	var got []string
	put := func(id string) { o.put(lifecycle.Event{Info: lifecycle.Info{ID: id}}) }
	put("a")
	put("b")
	if got != nil {
		t.Error("published before there was a bus")
	}
	o.attach(func(e lifecycle.Event) { got = append(got, e.Info.ID) })
	put("c")
	if diff := cmp.Diff([]string{"a", "b", "c"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestScopeErrors(t *testing.T) {
	plain := errors.New("plain")
	tests := []struct{ err, kind error }{
		{scope.ErrExists, lifecycle.ErrContainerExists},
		{scope.ErrNoSuchUnit, lifecycle.ErrNoSuchScope},
		{scope.ErrTimeout, lifecycle.ErrUnavailable},
		{scope.ErrDisconnected, lifecycle.ErrUnavailable},
		{scope.ErrClosed, lifecycle.ErrUnavailable},
		{&scope.RefusedError{Property: "TasksMax", Err: plain}, lifecycle.ErrInvalidArgs},
		{&scope.RefusedError{Err: plain}, plain},
		{context.Canceled, context.Canceled},
	}
	for _, tt := range tests {
		if got := scopeError(tt.err); !errors.Is(got, tt.kind) || !errors.Is(got, tt.err) || got.Error() != tt.err.Error() {
			t.Errorf("%v became %v", tt.err, got)
		}
	}
	if scopeError(nil) != nil {
		t.Error("nil")
	}
}

func TestInvocationID(t *testing.T) {
	dir := t.TempDir()
	s := scopes{units: dir}
	if got := s.InvocationID("berth-web.scope"); got != "" {
		t.Errorf("without a link: %q", got)
	}
	if err := os.Symlink("0a79", filepath.Join(dir, "invocation:berth-web.scope")); err != nil {
		t.Fatal(err)
	}
	if got := s.InvocationID("berth-web.scope"); got != "0a79" {
		t.Error(got)
	}
}

func TestDialerReturnsNoTypedNil(t *testing.T) {
	k, err := dialer(filepath.Join(t.TempDir(), "keeper.sock"))(t.Context(), nil, nil)
	if k != nil || err == nil {
		t.Errorf("%v, %v", k, err)
	}
}
