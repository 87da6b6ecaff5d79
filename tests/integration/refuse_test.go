package integration

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-project/berth/dbusapi/client"
	"github.com/berth-project/berth/dbusapi/wire"
)

func TestBadIdentifiers(t *testing.T) {
	r := newRig(t)
	bundle := r.bundle(nil, "/bin/true")
	for _, id := range []string{"", "a/b", "..", ".", "../x", "a b", strings.Repeat("x", 300), "-flag", "new\nline", "ütf", "a%b", "x@y"} {
		_, err := r.client.Create(r.ctx, id, bundle, client.CreateOptions{})
		r.wantError(err, wire.ErrorInvalidArgs)
	}
}

func TestBadBundles(t *testing.T) {
	r := newRig(t)
	for _, tc := range []struct {
		name   string
		bundle func() string
		parts  []string
	}{
		{"missing directory", func() string { return "/nonexistent/bundle" }, []string{"/nonexistent/bundle"}},
		{"relative directory", func() string { return "bundle" }, []string{`"bundle"`, "absolute"}},
		{"no config.json", r.bundleDir, []string{"config.json"}},
		{"empty", func() string { return r.config("") }, nil},
		{"not JSON", func() string { return r.config("{nonsense") }, nil},
		{"wrong types", func() string {
			return r.config(`{"ociVersion":1,"process":{"args":"true","cwd":[]},"root":{"path":"rootfs"}}`)
		}, []string{"ociVersion", "process.args", "process.cwd"}},
		{"unknown version", func() string {
			return r.bundle(func(s *specs.Spec) { s.Version = "7.0.0" }, "/bin/true")
		}, []string{"ociVersion", "7.0.0"}},
		{"10 MiB", func() string { return r.config(`{"a":"` + strings.Repeat("x", 10<<20) + `"}`) }, []string{"config.json"}},
		{"link", func() string {
			dir := r.bundleDir()
			r.must(os.Symlink("/etc/passwd", filepath.Join(dir, "config.json")))
			return dir
		}, []string{"config.json"}},
		{"FIFO", func() string {
			dir := r.bundleDir()
			r.must(syscall.Mkfifo(filepath.Join(dir, "config.json"), 0o600))
			return dir
		}, []string{"config.json"}},
		{"several findings", func() string {
			return r.bundle(func(s *specs.Spec) {
				s.Process.Cwd = "relative"
				s.Hooks = &specs.Hooks{Poststop: []specs.Hook{{Path: "/bin/true"}}}
				s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow}
				s.Process.Terminal = true
			}, "/bin/true")
		}, []string{"process.cwd", "hooks.poststop", "linux.seccomp", "process.terminal", "not supported yet"}},
		{"root escapes", func() string {
			return r.bundle(func(s *specs.Spec) { s.Root.Path = "../../../etc" }, "/bin/true")
		}, []string{"root"}},
		{"root is a link", func() string {
			dir := r.bundle(func(s *specs.Spec) { s.Root.Path = "link" }, "/bin/true")
			r.must(os.Symlink("/", filepath.Join(dir, "link")))
			return dir
		}, []string{`open root "link"`}},
		{"missing root", func() string {
			return r.bundle(func(s *specs.Spec) { s.Root.Path = "nothing" }, "/bin/true")
		}, []string{`open root "nothing"`, "no such file"}},
		{"missing program", func() string { return r.bundle(nil, "/bin/nothing") }, []string{"/bin/nothing", "no such file"}},
		{"program not in PATH", func() string { return r.bundle(nil, "nothing") }, []string{"nothing", "$PATH"}},
		{"missing bind source", func() string {
			return r.bundle(func(s *specs.Spec) {
				s.Mounts = append(s.Mounts, specs.Mount{Destination: "/mnt", Source: "/nonexistent", Type: "bind", Options: []string{"bind"}})
			}, "/bin/true")
		}, []string{"/nonexistent", "no such file"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := r.client.Create(r.ctx, "bad", tc.bundle(), client.CreateOptions{})
			if err == nil {
				t.Fatal("created")
			}
			for _, p := range tc.parts {
				if !strings.Contains(err.Error(), p) {
					t.Errorf("error %q does not say %q", err, p)
				}
			}
			t.Log(err)
			r.same(r.before)
		})
	}
}

func (r *rig) config(text string) string {
	r.Helper()
	dir := r.bundleDir()
	r.write(filepath.Join(dir, "config.json"), text)
	return dir
}

func TestWrongStates(t *testing.T) {
	r := newRig(t)
	c := r.create("state", r.bundle(nil, "/bin/sleep", "1000"), client.CreateOptions{})
	r.wantError(c.Pause(r.ctx), wire.ErrorInvalidState, "state", "created")
	r.must(c.Start(r.ctx))
	r.wantError(c.Start(r.ctx), wire.ErrorInvalidState, "state", "running")
	r.wantError(c.Delete(r.ctx, false), wire.ErrorInvalidState, "state", "running")
	r.wantError(c.Kill(r.ctx, "everyone", syscall.SIGTERM), wire.ErrorInvalidArgs, "everyone")
	r.wantError(c.Kill(r.ctx, wire.WhomLeader, syscall.Signal(999)), wire.ErrorInvalidArgs, "999")
	r.must(c.Kill(r.ctx, wire.WhomLeader, syscall.SIGKILL))
	r.wait(c)
	r.wantError(c.Start(r.ctx), wire.ErrorInvalidState, "stopped")
}

func TestDeleteOfACreatedOne(t *testing.T) {
	r := newRig(t)
	c := r.create("unborn", r.bundle(nil, "/bin/true"), client.CreateOptions{})
	r.must(c.Delete(r.ctx, false))
}

func TestBadOptions(t *testing.T) {
	r := newRig(t)
	bundle := r.bundle(nil, "/bin/true")
	dir, err := os.Open("/etc")
	r.must(err)
	defer dir.Close()
	for name, o := range map[string]client.CreateOptions{
		"directory as stdout": {Stdout: dir},
		"unknown log":         {Log: "syslog"},
		"bad slice":           {Slice: "../x"},
		"bad variable":        {Environment: []string{"=x"}},
		"forbidden property":  {ScopeProperties: []client.Property{{Name: "Delegate", Value: false}}},
		"unknown property":    {ScopeProperties: []client.Property{{Name: "NoSuchThing", Value: uint64(1)}}},
		"socket name":         {ListenFDs: []client.NamedFile{{Name: "a:b", File: dir}}},
	} {
		if _, err := r.client.Create(r.ctx, "options", bundle, o); err == nil {
			t.Errorf("%s: created", name)
		} else {
			t.Logf("%s: %v", name, err)
		}
	}
}

func TestReadingIsFreeChangingIsNot(t *testing.T) {
	r := newRig(t)
	bundle := r.bundle(nil, "/bin/sleep", "1000")
	c := r.run("guarded", bundle, client.CreateOptions{})
	nobody := func(args ...string) (string, error) {
		cmd := exec.CommandContext(r.ctx, "busctl", append([]string{"--system"}, args...)...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		err := cmd.Run()
		return out.String(), err
	}
	for _, args := range [][]string{
		{"call", "org.berth1", "/org/berth1", "org.berth1.Manager", "List"},
		{"get-property", "org.berth1", c.Path(), "org.berth1.Container", "Status"},
		{"call", "org.berth1", c.Path(), "org.berth1.Container", "State"},
		{"introspect", "org.berth1", c.Path()},
		{"tree", "org.berth1"},
	} {
		if out, err := nobody(args...); err != nil {
			t.Errorf("nobody may not read: busctl %q: %s", args, out)
		}
	}
	for _, args := range [][]string{
		{"call", "org.berth1", "/org/berth1", "org.berth1.Manager", "Create", "ssa{sv}", "x", bundle, "0"},
		{"call", "org.berth1", c.Path(), "org.berth1.Container", "Kill", "si", "leader", "9"},
		{"call", "org.berth1", c.Path(), "org.berth1.Container", "Stop", "t", "0"},
		{"call", "org.berth1", c.Path(), "org.berth1.Container", "Pause"},
		{"call", "org.berth1", c.Path(), "org.berth1.Container", "Delete", "b", "true"},
	} {
		out, err := nobody(args...)
		if err == nil || !strings.Contains(out, "ccess denied") && !strings.Contains(out, "uthoriz") && !strings.Contains(out, "ermission") && !strings.Contains(out, "uthentication") {
			t.Errorf("nobody did %q: %s", args, out)
		}
	}
	if p := r.properties(c); p.Status != "running" {
		t.Errorf("status %q", p.Status)
	}
}

func TestCallerLeavesInTheMiddle(t *testing.T) {
	r := newRig(t)
	bundle := r.bundle(nil, "/bin/true")
	for range 20 {
		cmd := exec.CommandContext(r.ctx, "busctl", "call", "org.berth1", "/org/berth1", "org.berth1.Manager", "Create", "ssa{sv}", "left", bundle, "0")
		r.must(cmd.Start())
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	eventually(t, func() bool {
		if c, err := r.client.Get(r.ctx, "left"); err == nil {
			_ = c.Delete(r.ctx, true)
		}
		_, err := r.client.Create(r.ctx, "left", bundle, client.CreateOptions{})
		return err == nil
	}, func() string { return "the name stays taken" })
}
