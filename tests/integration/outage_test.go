package integration

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/berth-project/berth/dbusapi/client"
	"github.com/berth-project/berth/dbusapi/wire"
)

// The tests here take away what the service stands on, the bus and the keeper,
// while containers run and while others are made.

// reconnect waits until the bus and the service are back, after the bus was
// lost: the old connection is dead.
func (r *rig) reconnect() {
	r.Helper()
	r.client.Close()
	var err error
	eventually(r.T, func() bool {
		c, e := client.Connect(r.ctx, "")
		if err = e; err != nil {
			return false
		}
		r.client = c
		if _, err = c.List(r.ctx); err != nil {
			c.Close()
		}
		return err == nil
	}, func() string {
		return fmt.Sprintf("the bus or the service does not come back: %v\n%s", err, serviceLog())
	})
	if err != nil {
		r.FailNow()
	}
}

// traffic has clients create, start and delete, each on a connection of its
// own, until stop is called. What fails, fails.
func (r *rig) traffic(clients int) (stop func()) {
	r.Helper()
	bundle := r.bundle(nil, "/bin/sleep", "1000")
	over := make(chan struct{})
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			for {
				r.trip(fmt.Sprintf("traffic-%d", i), bundle, over)
				select {
				case <-over:
					return
				default:
				}
			}
		})
	}
	return func() { close(over); wg.Wait() }
}

// trip is lives on one connection, until an error or the end.
func (r *rig) trip(id, bundle string, over <-chan struct{}) {
	c, err := client.Connect(r.ctx, "")
	if err != nil {
		return
	}
	defer c.Close()
	for {
		made, err := c.Create(r.ctx, id, bundle, client.CreateOptions{})
		if client.Is(err, wire.ErrorContainerExists) { // what an error left behind
			made, err = c.Get(r.ctx, id)
		}
		if err != nil {
			return
		}
		_ = made.Start(r.ctx)
		if made.Delete(r.ctx, true) != nil {
			return
		}
		select {
		case <-over:
			return
		default:
		}
	}
}

// clearTraffic deletes what the traffic left, which is whole.
func (r *rig) clearTraffic() {
	r.Helper()
	list, err := r.client.List(r.ctx)
	r.must(err)
	for _, l := range list {
		if !strings.HasPrefix(l.ID, "traffic-") {
			continue
		}
		if l.Status != "created" && l.Status != "running" && l.Status != "stopped" {
			r.Errorf("%s is %s", l.ID, l.Status)
		}
		c, err := r.client.Get(r.ctx, l.ID)
		r.must(err)
		r.must(c.Delete(r.ctx, true))
	}
}

// fleet is one container in every state, by their ids.
type fleet struct {
	dir  string
	pids map[string]uint32
}

// newFleet: "running" counts in a file, "exiting" exits with 77 as soon as
// there is a file, "paused" and "created" are what their names say.
func (r *rig) newFleet() fleet {
	r.Helper()
	f := fleet{r.TempDir(), map[string]uint32{}}
	script := map[string]string{
		"running": "i=0; while :; do i=$((i+1)); echo $i > /gate/count; sleep 0.02; done",
		"exiting": "while [ ! -e /gate/open ]; do sleep 0.02; done; exit 77",
		"paused":  "sleep 1000", "created": "exit 9",
	}
	for id, script := range script {
		c := r.create(id, r.bundleWithDir(f.dir, "/bin/sh", "-c", script), client.CreateOptions{})
		if id != "created" {
			r.must(c.Start(r.ctx))
		}
		if id == "paused" {
			r.must(c.Pause(r.ctx))
		}
		f.pids[id] = r.properties(c).PID
	}
	return f
}

func (f fleet) count() int {
	text, _ := os.ReadFile(f.dir + "/count")
	n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return n
}

// member is one of the fleet, by the present connection.
func (r *rig) member(id string) *client.Container {
	r.Helper()
	c, err := r.client.Get(r.ctx, id)
	r.must(err)
	return c
}

// noticedNothing checks that the fleet is as it was, but for what has exited,
// and goes on.
func (r *rig) noticedNothing(f fleet) {
	r.Helper()
	before := f.count()
	eventually(r.T, func() bool { return f.count() > before+3 }, func() string { return "the payload stands still" })
	for _, id := range []string{"running", "paused", "created"} {
		if p := r.properties(r.member(id)); p.Status != id || p.PID != f.pids[id] {
			r.Errorf("%s: status %s, PID %d, want PID %d", id, p.Status, p.PID, f.pids[id])
		}
		if state := output(r.T, "systemctl", "is-active", "berth-"+id+".scope"); state != "active" {
			r.Errorf("the scope of %q is %s", id, state)
		}
	}
}

// TestBusOutage restarts the bus, and kills it. Debian's dbus.service has no
// Restart=: dbus.socket starts it again for the next connection, mostly ours.
//
// No scope may be started while the bus is dead and PID 1 does not know it yet:
// for a scope with a Controller it then asks the bus who that is, and waits 90
// seconds for a daemon that nobody but itself can start (bus_scope_track_controller
// in src/core/dbus-scope.c, systemd 252 to 257). A restart goes another way.
func TestBusOutage(t *testing.T) {
	for name, outage := range map[string]struct {
		systemctl []string
		clients   int
	}{
		"restarted": {[]string{"restart"}, 4},
		"killed":    {[]string{"kill", "--signal=KILL"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			f := r.newFleet()
			for range 3 {
				stop := r.traffic(outage.clients)
				output(t, "systemctl", "reset-failed", "dbus.service", "dbus.socket") // they may start only so often
				output(t, "systemctl", append(outage.systemctl, "dbus.service")...)
				r.write(f.dir+"/open", "")
				r.reconnect()
				stop()
				r.clearTraffic()
				r.noticedNothing(f)
				if exit := r.wait(r.member("exiting")); exit.Code != 77 || exit.Reason != "exit" {
					t.Errorf("exit %+v, want 77", exit)
				}
			}
			r.must(r.member("created").Start(r.ctx))
			if exit := r.wait(r.member("created")); exit.Code != 9 {
				t.Errorf("created: exit %+v", exit)
			}
			r.must(r.member("paused").Resume(r.ctx))
			r.must(r.member("running").Kill(r.ctx, wire.WhomLeader, syscall.SIGKILL))
			if exit := r.wait(r.member("running")); exit.Reason != "signal" {
				t.Errorf("running: exit %+v", exit)
			}
		})
	}
}

// TestKeeperOutage kills the parent of all containers, alone and together with
// the service. Since Linux 6.15 not even an exit status is lost.
func TestKeeperOutage(t *testing.T) {
	for name, victims := range map[string][]string{
		"keeper": {"berth-keeper.service"}, "keeper and service": {"berth-keeper.service", "berthd.service"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			f := r.newFleet()
			for range 3 {
				stop := r.traffic(4)
				old := keeperPID(t)
				for _, v := range victims {
					output(t, "systemctl", "kill", "--kill-whom=main", "--signal=KILL", v)
				}
				eventually(t, func() bool { pid := keeperPID(t); return pid != old && pid != "0" }, func() string { return "the keeper does not come back" })
				r.back()
				stop()
				r.clearTraffic()
				r.noticedNothing(f)
			}
			r.wantError(r.member("created").Start(r.ctx), wire.ErrorInvalidState, "created", "keeper", "delete it")
			r.write(f.dir+"/open", "")
			r.orphanExit("exiting", 77, "exit")
			r.must(r.member("running").Kill(r.ctx, wire.WhomLeader, syscall.SIGKILL))
			r.orphanExit("running", -1, "signal")
			c := r.run("after", r.bundle(nil, "/bin/sh", "-c", "exit 3"), client.CreateOptions{})
			if exit := r.wait(c); exit.Code != 3 {
				t.Errorf("a new one: exit %+v", exit)
			}
		})
	}
}

// orphanExit checks an exit that no keeper saw: exact, or honestly unknown.
func (r *rig) orphanExit(id string, code int, reason string) {
	r.Helper()
	if !planFacts(r).AtLeast(6, 15) {
		code, reason = -1, "unknown"
	}
	if exit := r.wait(r.member(id)); exit.Code != code || exit.Reason != reason {
		r.Errorf("%s: exit %+v, want %d by %s", id, exit, code, reason)
	}
}
