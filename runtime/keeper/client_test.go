package keeper

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// deadline is a context for helpers that have no test.
func deadline() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	context.AfterFunc(ctx, cancel)
	return ctx
}

func TestDialErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none")
	if _, err := Dial(t.Context(), ClientConfig{Path: path}); !errors.Is(err, unix.ENOENT) || !strings.Contains(err.Error(), `connect to "`+path) {
		t.Errorf("Dial: %v", err)
	}
	h := newHost(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Dial(ctx, ClientConfig{Path: h.path}); !errors.Is(err, context.Canceled) {
		t.Errorf("Dial: %v", err)
	}
}

// TestDialFullBacklog gives up when ctx ends: a listener that nobody accepts from.
func TestDialFullBacklog(t *testing.T) {
	s := newPeer(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	for range 5 {
		if _, err := Dial(ctx, ClientConfig{Path: s.path}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Dial: %v", err)
		}
	}
}

// TestAbandonedLaunch cancels a Launch while the keeper starts the process.
func TestAbandonedLaunch(t *testing.T) {
	h := newHost(t, nil)
	c, _ := h.dial()
	_, err := c.List(t.Context())
	must(t, err)
	entered, proceed := make(chan struct{}), make(chan struct{})
	h.launcher.hold(func() error { close(entered); <-proceed; return nil })
	before := openFiles(t)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-entered; cancel() }()
	_, err = c.Launch(ctx, LaunchRequest{Key: "a", Plan: plan(t, "exec sleep 1000")})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Launch: %v", err)
	}
	close(proceed)
	// Between the start and the reply to our Forget the record may be seen, and it may not be there yet.
	h.launcher.hold(nil)
	all := h.listUntil(c, func([]Record) bool { return true })
	if len(all) > 1 {
		t.Errorf("records %+v", all)
	}
	h.listUntil(c, func(all []Record) bool { return len(all) == 0 && openFiles(t) == before+1 }) // the plan
}

// TestAbandonedPIDFD closes descriptors that nobody waits for.
func TestAbandonedPIDFD(t *testing.T) {
	p := newPeer(t, func(p *peer) {
		p.welcome()
		r := p.request()
		close(p.asked)
		<-p.proceed
		e := startReply(r.op, r.seq, 1, codeDone)
		must(p.t, send(p.fd, e.b, []int{p.fd}))
		r = p.request()
		e = startReply(r.op, r.seq, 0, codeDone)
		must(p.t, send(p.fd, e.b, nil))
		p.request()
	})
	c, err := Dial(t.Context(), ClientConfig{Path: p.path})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-p.asked; cancel() }()
	before := openFiles(t)
	if _, err := c.PIDFD(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("PIDFD: %v", err)
	}
	close(p.proceed)
	must(t, c.Kill(t.Context(), "a", unix.SIGTERM))
	if after := openFiles(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	must(t, c.Close())
}

// TestLost ends the server while calls wait.
func TestLost(t *testing.T) {
	p := newPeer(t, func(p *peer) {
		p.welcome()
		for range 3 {
			p.request()
		}
	})
	lost := make(chan error, 2)
	c, err := Dial(t.Context(), ClientConfig{Path: p.path, OnLost: func(err error) { lost <- err }})
	must(t, err)
	errs := make(chan error)
	go func() { _, err := c.List(t.Context()); errs <- err }()
	go func() { _, err := c.PIDFD(t.Context(), "a"); errs <- err }()
	go func() { errs <- c.Forget(t.Context(), "a") }()
	for range 3 {
		if err := <-errs; !errors.Is(err, ErrLost) {
			t.Errorf("error %v", err)
		}
	}
	if err := <-lost; !errors.Is(err, ErrLost) {
		t.Errorf("OnLost(%v)", err)
	}
	if err := c.Forget(t.Context(), "a"); !errors.Is(err, ErrLost) {
		t.Errorf("Forget after the loss: %v", err)
	}
	must(t, c.Close())
	must(t, c.Close())
	if len(lost) != 0 {
		t.Error("OnLost was called twice")
	}
}

func TestCloseIsNotLost(t *testing.T) {
	h := newHost(t, nil)
	c, w := h.dial()
	must(t, c.Close())
	if _, err := c.List(t.Context()); !errors.Is(err, ErrLost) {
		t.Errorf("List after Close: %v", err)
	}
	if len(w.lost) != 0 {
		t.Error("OnLost was called")
	}
}

// TestMalformedFromKeeper ends the connection for what the keeper never sends.
func TestMalformedFromKeeper(t *testing.T) {
	for name, answer := range map[string]func(r request) (packet []byte, nfds int){
		"garbage":           func(request) ([]byte, int) { return []byte("garbage"), 0 },
		"unknown kind":      func(r request) ([]byte, int) { return []byte{0x20, 0, 0, 0, 0, 0, 0, 0}, 0 },
		"other sequence":    func(r request) ([]byte, int) { return startReply(r.op, r.seq+1, 0, codeDone).b, 0 },
		"other operation":   func(r request) ([]byte, int) { return startReply(opList, r.seq, 0, codeDone).b, 0 },
		"no descriptor":     func(r request) ([]byte, int) { return startReply(r.op, r.seq, 0, codeDone).b, 0 },
		"two descriptors":   func(r request) ([]byte, int) { return startReply(r.op, r.seq, 2, codeDone).b, 2 },
		"undeclared":        func(r request) ([]byte, int) { return startReply(r.op, r.seq, 0, codeDone).b, 1 },
		"trailing bytes":    func(r request) ([]byte, int) { return append(startReply(r.op, r.seq, 1, codeDone).b, 0), 1 },
		"half a record":     func(request) ([]byte, int) { return encodeRecord(&full)[:40], 0 },
		"record with files": func(request) ([]byte, int) { return encodeRecord(&full), 1 },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t, func(p *peer) {
				p.welcome()
				packet, nfds := answer(p.request())
				must(p.t, send(p.fd, packet, []int{p.fd, p.fd}[:nfds]))
				p.request()
			})
			w := newWatcher()
			c, err := Dial(t.Context(), ClientConfig{Path: p.path, OnRecord: w.record, OnLost: func(err error) { w.lost <- err }})
			must(t, err)
			before := openFiles(t)
			if _, err := c.PIDFD(t.Context(), "a"); !errors.Is(err, ErrLost) {
				t.Errorf("PIDFD: %v", err)
			}
			if err := <-w.lost; !errors.Is(err, ErrLost) {
				t.Errorf("OnLost(%v)", err)
			}
			must(t, c.Close())
			<-p.ended
			if after := openFiles(t); after != before-2 { // both ends
				t.Errorf("%d descriptors before, %d after", before, after)
			}
		})
	}
}

// TestBlockedSend gives up when ctx ends although the keeper reads nothing.
func TestBlockedSend(t *testing.T) {
	p := newPeer(t, func(p *peer) { p.welcome(); <-p.proceed })
	c, err := Dial(t.Context(), ClientConfig{Path: p.path})
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	const n = 2000
	errs := make(chan error)
	for range n {
		go func() { errs <- c.Forget(ctx, strings.Repeat("k", maxKey)) }()
	}
	for range n {
		if err := <-errs; !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Forget: %v", err)
		}
	}
	close(p.proceed)
	must(t, c.Close())
}

// peer is a keeper that does as a test says, on one connection.
type peer struct {
	t                     *testing.T
	path                  string
	fd                    int
	asked, proceed, ended chan struct{}
}

// newPeer listens, and with a script accepts one connection, which it closes at the end of the script.
func newPeer(t *testing.T, script func(*peer)) *peer {
	t.Helper()
	p := &peer{
		t: t, path: filepath.Join(t.TempDir(), "s"),
		asked: make(chan struct{}), proceed: make(chan struct{}), ended: make(chan struct{}),
	}
	listener, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	must(t, unix.Bind(listener, &unix.SockaddrUnix{Name: p.path}))
	must(t, unix.Listen(listener, 1))
	t.Cleanup(func() { unix.Close(listener) })
	if script == nil {
		return p
	}
	go func() {
		defer close(p.ended)
		if p.fd, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC); err == nil {
			script(p)
			unix.Close(p.fd)
		}
	}()
	return p
}

// request waits for one; the zero request is the end.
func (p *peer) request() request {
	readable(p.t, p.fd, patience)
	packet, fds, err := newReceiver(maxRequest).receive(p.fd)
	closeAll(fds)
	if err != nil {
		return request{}
	}
	r, err := decodeRequest(packet, len(fds))
	if err != nil {
		p.t.Error(err)
	}
	return r
}

func (p *peer) welcome() {
	r := p.request()
	e := startReply(r.op, r.seq, 0, codeDone)
	e.u32(Version)
	must(p.t, send(p.fd, e.b, nil))
}
