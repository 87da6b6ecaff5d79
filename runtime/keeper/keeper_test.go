package keeper

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestExactEnds(t *testing.T) {
	h := newHost(t, nil)
	c, w := h.dial()
	for key, test := range map[string]struct {
		script       string
		code, signal int
		point        uint32
		failed       bool
	}{
		"zero":     {"exit 0", 0, 0, 0, false},
		"max":      {"exit 255", 255, 0, 0, false},
		"killed":   {"kill -KILL $$", -1, 9, 0, false},
		"term":     {"kill -TERM $$", -1, 15, 0, false},
		"rt":       {"kill -64 $$", -1, 64, 0, false},
		"point":    {"echo P1 >&3; echo P4 >&3; exit 3", 3, 0, 4, false},
		"failed":   {"echo P1 >&3; echo F7 >&3; exit 1", 1, 0, 1, true},
		"longest0": {strings.Repeat(" ", 4000) + "exit 9", 9, 0, 0, false},
	} {
		t.Run(key, func(t *testing.T) {
			pid := h.launch(c, key, test.script)
			r := w.wait(t, key, exited)
			if r.PID != pid || r.Code != test.code || r.Signal != test.signal || r.Point != test.point {
				t.Errorf("record %+v", r)
			}
			if r.Failed != test.failed || r.Executed == test.failed {
				t.Errorf("failed %v, executed %v", r.Failed, r.Executed)
			}
			if test.failed && (r.FailedOp != 7 || r.Errno != unix.EPERM || r.Text != "step 7 failed: operation not permitted") {
				t.Errorf("failure %d %v %q", r.FailedOp, r.Errno, r.Text)
			}
			if !test.failed && (r.StartedUSec == 0 || r.StartedUSec > r.FinishedUSec) {
				t.Errorf("started %d, finished %d", r.StartedUSec, r.FinishedUSec)
			}
			if r.MaxRSSBytes == 0 {
				t.Error("no memory was used")
			}
			must(t, c.Forget(t.Context(), key))
		})
	}
}

// TestReportHeldOpen has a descendant that keeps the report pipe: the leader's end is told nevertheless.
func TestReportHeldOpen(t *testing.T) {
	h := newHost(t, nil)
	c, w := h.dial()
	release, held := pipe(t)
	h.launch(c, "a", "read x <&4 & exit 5", release)
	if r := w.wait(t, "a", exited); r.Code != 5 || !r.Executed {
		t.Errorf("record %+v", r)
	}
	must(t, held.Close())
}

func TestBrokenReport(t *testing.T) {
	h := newHost(t, nil)
	c, w := h.dial()
	h.launch(c, "a", "echo X9 >&3; exit 5")
	if r := w.wait(t, "a", exited); !r.Failed || r.Errno != unix.EBADMSG || r.Code != 5 {
		t.Errorf("record %+v", r)
	}
}

func TestKeys(t *testing.T) {
	h := newHost(t, nil)
	c, w := h.dial()
	ctx := t.Context()
	block, release := pipe(t)
	pid := h.launch(c, "a", "read x <&4", block)
	_, err := c.Launch(ctx, LaunchRequest{Key: "a", Plan: plan(t, "exit")})
	wantRefusal(t, err, ErrExists, `keeper launch: "a": key is in use`)
	wantRefusal(t, c.Forget(ctx, "a"), unix.EBUSY, `keeper forget: "a": process has not exited`)
	wantRefusal(t, c.Forget(ctx, "b"), ErrNoSuchProcess, `keeper forget: "b": no such process`)
	wantRefusal(t, c.Kill(ctx, "b", unix.SIGTERM), ErrNoSuchProcess, `keeper kill: "b": no such process`)
	wantRefusal(t, c.Kill(ctx, "a", 999), unix.EINVAL, `keeper kill: "a": invalid argument`)
	_, err = c.PIDFD(ctx, "b")
	wantRefusal(t, err, ErrNoSuchProcess, `keeper pidfd: "b": no such process`)
	for _, key := range []string{"", strings.Repeat("k", 256)} {
		if _, err := c.Launch(ctx, LaunchRequest{Key: key, Plan: plan(t, "exit")}); !errors.Is(err, unix.EINVAL) {
			t.Errorf("key of %d bytes: %v", len(key), err)
		}
	}
	pidfd, err := c.PIDFD(ctx, "a")
	must(t, err)
	defer pidfd.Close()
	if got := pidOf(t, pidfd); got != pid {
		t.Errorf("pidfd of %d, want %d", got, pid)
	}
	must(t, c.Kill(ctx, "a", unix.SIGTERM))
	w.wait(t, "a", func(r Record) bool { return r.Exited && r.Signal == 15 })
	wantRefusal(t, c.Kill(ctx, "a", unix.SIGTERM), ErrNoSuchProcess, `keeper kill: "a": no such process`)
	_, err = c.PIDFD(ctx, "a")
	wantRefusal(t, err, ErrNoSuchProcess, `keeper pidfd: "a": no such process`)
	_, err = c.Launch(ctx, LaunchRequest{Key: "a", Plan: plan(t, "exit")})
	wantRefusal(t, err, ErrExists, "")
	must(t, c.Forget(ctx, "a"))
	h.launch(c, "a", "exit 2")
	w.wait(t, "a", func(r Record) bool { return r.Exited && r.Code == 2 })
	must(t, release.Close())
}

func TestLaunchRefused(t *testing.T) {
	h := newHost(t, func(cfg *ServerConfig) { cfg.MaxProcesses = 1 })
	c, w := h.dial()
	h.launcher.hold(func() error { return fmt.Errorf("load plan: %w", unix.EBADF) })
	_, err := c.Launch(t.Context(), LaunchRequest{Key: "a", Plan: plan(t, "exit")})
	wantRefusal(t, err, unix.EBADF, `keeper launch: load plan: bad file descriptor`)
	h.launcher.hold(nil)
	h.launch(c, "a", "exit 0")
	_, err = c.Launch(t.Context(), LaunchRequest{Key: "b", Plan: plan(t, "exit")})
	wantRefusal(t, err, unix.EAGAIN, "keeper launch: 1 processes are kept, which is the limit")
	w.wait(t, "a", exited)
	must(t, c.Forget(t.Context(), "a"))
	h.launch(c, "b", "exit 0")

	if _, err = c.Launch(t.Context(), LaunchRequest{Key: "c"}); !errors.Is(err, os.ErrInvalid) {
		t.Errorf("launch without plan: %v", err)
	}
	many := make([]*os.File, maxRights)
	if _, err = c.Launch(t.Context(), LaunchRequest{Key: "c", Handles: many}); !errors.Is(err, unix.E2BIG) {
		t.Errorf("launch with %d handles: %v", len(many), err)
	}
}

// TestHandles passes as many handles as go into one packet, in order.
func TestHandles(t *testing.T) {
	h := newHost(t, nil)
	c, w := h.dial()
	reader, writer := pipe(t)
	handles := []*os.File{writer}
	for len(handles) < maxRights-1 {
		handles = append(handles, writer)
	}
	h.launch(c, "a", "echo first >&4; test -e /proc/self/fd/255 && ! test -e /proc/self/fd/256", handles...)
	if r := w.wait(t, "a", exited); r.Code != 0 {
		t.Errorf("exit code %d", r.Code)
	}
	line := make([]byte, 16)
	n, err := reader.Read(line)
	if string(line[:n]) != "first\n" || err != nil {
		t.Errorf("read %q, %v", line[:n], err)
	}
}

// TestReconnect ends processes while nobody is connected.
func TestReconnect(t *testing.T) {
	h := newHost(t, nil)
	c, _ := h.dial()
	block, release := pipe(t)
	h.launch(c, "early", "exit 4")
	h.launch(c, "late", "echo P1 >&3; read x <&4; exit 6", block)
	must(t, c.Close())
	must(t, block.Close())
	must(t, release.Close())
	c, _ = h.dial()
	all := h.listUntil(c, func(all []Record) bool { return len(all) == 2 && all[0].Exited && all[1].Exited })
	if all[0].Key != "early" || all[0].Code != 4 || all[1].Key != "late" || all[1].Code != 6 || all[1].Point != 1 {
		t.Errorf("records %+v", all)
	}
}

// listUntil lists until the records are as wanted.
func (h *host) listUntil(c *Client, want func([]Record) bool) []Record {
	h.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for {
		all, err := c.List(h.t.Context())
		must(h.t, err)
		if want(all) {
			return all
		}
		select {
		case <-tick.C:
		case <-deadline:
			h.t.Fatalf("records are %+v, and that is not what we wait for", all)
		}
	}
}

func TestTwoClients(t *testing.T) {
	h := newHost(t, nil)
	c1, w1 := h.dial()
	c2, w2 := h.dial()
	quiet, err := Dial(t.Context(), ClientConfig{Path: h.path})
	must(t, err)
	defer quiet.Close()
	h.launch(c1, "a", "exit 1")
	h.launch(c2, "b", "exit 2")
	for _, w := range []*watcher{w1, w2} {
		if a, b := w.wait(t, "a", exited), w.wait(t, "b", exited); a.Code != 1 || b.Code != 2 {
			t.Errorf("records %+v %+v", a, b)
		}
	}
	must(t, c1.Close())
	must(t, c2.Forget(t.Context(), "a"))
	all, err := quiet.List(t.Context())
	if len(all) != 1 || err != nil {
		t.Errorf("list %+v, %v", all, err)
	}
}

// TestManyProcesses has more records than go into one packet.
func TestManyProcesses(t *testing.T) {
	const n = 500
	h := newHost(t, nil)
	c, w := h.dial()
	key := func(i int) string { return fmt.Sprintf("container-%0200d", i) }
	script := plan(t, "exit $(( $$ % 256 ))")
	slots, errs := make(chan struct{}, 8), make(chan error, n)
	for i := range n {
		slots <- struct{}{}
		go func() {
			l, err := c.Launch(t.Context(), LaunchRequest{Key: key(i), Plan: script})
			if err == nil {
				err = l.PIDFD.Close()
			}
			<-slots
			errs <- err
		}()
	}
	for range n {
		must(t, <-errs)
	}
	for i := range n {
		if r := w.wait(t, key(i), exited); r.Code != r.PID%256 || !r.Executed {
			t.Errorf("record %+v", r)
		}
	}
	all, err := c.List(t.Context())
	if len(all) != n || err != nil {
		t.Fatalf("%d records, %v", len(all), err)
	}
	seen := map[string]bool{}
	for _, r := range all {
		seen[r.Key] = true
		must(t, c.Forget(t.Context(), r.Key))
	}
	if len(seen) != n {
		t.Errorf("%d different keys", len(seen))
	}
	if all, err = c.List(t.Context()); len(all) != 0 || err != nil {
		t.Errorf("%d records, %v", len(all), err)
	}
}

// TestNoLeak counts descriptors before and after everything.
func TestNoLeak(t *testing.T) {
	round := func(t *testing.T) {
		h := newHost(t, nil)
		c, w := h.dial()
		in, out := pipe(t)
		h.launch(c, "a", "exit 0", in, out)
		h.launch(c, "b", "exec sleep 1000")
		for range 10 {
			f, err := c.PIDFD(t.Context(), "b")
			must(t, err)
			must(t, f.Close())
		}
		h.launcher.hold(func() error { return unix.EPERM })
		_, err := c.Launch(t.Context(), LaunchRequest{Key: "c", Plan: in, Handles: []*os.File{in, out}})
		wantRefusal(t, err, unix.EPERM, "")
		must(t, c.Kill(t.Context(), "b", unix.SIGKILL))
		w.wait(t, "a", exited)
		w.wait(t, "b", exited)
		bad := h.raw()
		must(t, send(bad.fd, []byte("nonsense with descriptors"), []int{int(in.Fd()), int(out.Fd())}))
		bad.receive()
		bad.close()
		must(t, c.Close())
		h.stop()
		in.Close()
		out.Close()
	}
	t.Run("first", round) // the runtime opens its poller once
	before := openFiles(t)
	t.Run("again", round)
	t.Run("and again", round)
	if after := openFiles(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func pipe(t *testing.T) (reader, writer *os.File) {
	t.Helper()
	var fds [2]int
	must(t, unix.Pipe2(fds[:], unix.O_CLOEXEC)) // os.Pipe makes one that does not block
	reader, writer = os.NewFile(uintptr(fds[0]), "reader"), os.NewFile(uintptr(fds[1]), "writer")
	t.Cleanup(func() { reader.Close(); writer.Close() })
	return reader, writer
}

func wantRefusal(t *testing.T, err, is error, text string) {
	t.Helper()
	var remote *RemoteError
	if !errors.As(err, &remote) || !errors.Is(err, is) || text != "" && err.Error() != text {
		t.Errorf("error %v, want %v: %q", err, is, text)
	}
}

func pidOf(t *testing.T, pidfd *os.File) int {
	t.Helper()
	info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", pidfd.Fd()))
	must(t, err)
	_, rest, _ := strings.Cut(string(info), "Pid:")
	pid := 0
	_, err = fmt.Sscan(rest, &pid)
	must(t, err)
	return pid
}
