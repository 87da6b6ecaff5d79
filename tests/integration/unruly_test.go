package integration

import (
	"os"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-project/berth/dbusapi/client"
)

// The payloads here do what payloads should not.

func TestExitBeforeStartReturns(t *testing.T) {
	r := newRig(t)
	bundle := r.bundle(nil, "/bin/false")
	for range 30 {
		c := r.create("quick", bundle, client.CreateOptions{})
		r.must(c.Start(r.ctx))
		if exit := r.wait(c); exit.Code != 1 || exit.Reason != "exit" {
			t.Fatalf("exit %+v", exit)
		}
		r.must(c.Delete(r.ctx, false))
	}
}

func TestForkBombIsDeleted(t *testing.T) {
	r := newRig(t)
	c := r.run("forks", r.sh(`for i in $(seq 300); do sleep 1000 & done; wait`), client.CreateOptions{})
	eventually(t, func() bool {
		ps, err := c.Processes(r.ctx)
		return err == nil && len(ps) > 300
	}, func() string { return "the payload does not fork" })
	r.must(c.Delete(r.ctx, true))
}

// TestLeftoversAreKilled: without a PID namespace the children of the leader
// outlive it. When the container is stopped, nothing of it runs.
func TestLeftoversAreKilled(t *testing.T) {
	r := newRig(t)
	script := `trap '' TERM HUP; for i in $(seq 300); do sleep 1000 & done; exit 5`
	c := r.create("leftovers", r.bundle(func(s *specs.Spec) { planDropNamespace(s, specs.PIDNamespace) }, "/bin/sh", "-c", script), client.CreateOptions{})
	group := "/sys/fs/cgroup" + r.properties(c).ControlGroup
	r.must(c.Start(r.ctx))
	if exit := r.wait(c); exit.Code != 5 || exit.Reason != "exit" {
		t.Errorf("exit %+v", exit)
	}
	if left, _ := os.ReadFile(group + "/cgroup.procs"); len(left) != 0 { // mostly the group is gone
		t.Errorf("stopped, but these run: %q", strings.Fields(string(left)))
	}
	r.must(c.Delete(r.ctx, false))
}

func TestClosedStdio(t *testing.T) {
	r := newRig(t)
	gate := r.TempDir()
	bundle := r.bundleWithDir(gate, "/bin/sh", "-c", `exec <&- >&- 2>&-; : > /gate/closed; while [ ! -e /gate/open ]; do sleep 0.05; done; exit 6`)
	c := r.run("mute", bundle, client.CreateOptions{})
	eventually(t, func() bool { _, err := os.Stat(gate + "/closed"); return err == nil }, func() string { return "the payload does not begin" })
	if p := r.properties(c); p.Status != "running" {
		t.Errorf("status %q", p.Status)
	}
	r.write(gate+"/open", "")
	if exit := r.wait(c); exit.Code != 6 || exit.Reason != "exit" {
		t.Errorf("exit %+v", exit)
	}
}
