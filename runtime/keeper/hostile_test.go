package keeper

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// helperVariable makes this test binary do another thing than test; see TestMain.
const helperVariable = "KEEPER_TEST_HELPER"

func TestMain(m *testing.M) {
	what, path, _ := strings.Cut(os.Getenv(helperVariable), ":")
	switch what {
	case "dial":
		helperDial(path)
	case "launch":
		helperLaunch(path)
	default:
		os.Exit(m.Run())
	}
}

// helperDial says what Dial says.
func helperDial(path string) {
	_, err := Dial(deadline(), ClientConfig{Path: path})
	fmt.Printf("%v, lost %v", err, errors.Is(err, ErrLost))
}

// helperLaunch never returns from Launch: the keeper holds it up, and the test kills it.
func helperLaunch(path string) {
	c, err := Dial(deadline(), ClientConfig{Path: path})
	if err == nil {
		fd, _ := unix.MemfdCreate("plan", unix.MFD_CLOEXEC)
		f := os.NewFile(uintptr(fd), "plan")
		_, _ = f.WriteString("exit 7")
		_, err = c.Launch(deadline(), LaunchRequest{Key: "orphan", Plan: f})
	}
	fmt.Println(err)
}

// helper is this test binary in another role.
func (h *host) helper(what string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), helperVariable+"="+what+":"+h.path)
	return cmd
}

func TestOnlyRoot(t *testing.T) {
	requireRoot(t)
	var logged atomic.Pointer[string]
	h := newHost(t, func(cfg *ServerConfig) { cfg.Log = func(text string) { logged.Store(&text) } })
	cmd := h.helper("dial")
	out, err := cmd.Output()
	if string(out) != "<nil>, lost false" || err != nil {
		t.Errorf("as root: %s %v", out, err)
	}
	cmd = h.helper("dial")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err = cmd.Output()
	if !strings.HasSuffix(string(out), "lost true") || err != nil {
		t.Errorf("as nobody: %s %v", out, err)
	}
	want := fmt.Sprintf("refuse connection: process %d of uid 65534: operation not permitted", cmd.Process.Pid)
	if got := logged.Load(); got == nil || *got != want {
		t.Errorf("logged %v, want %q", got, want)
	}
}

func requireRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
}

// TestMalformed sends what no client sends. Each closes its own connection; the process and the others live on.
func TestMalformed(t *testing.T) {
	h := newHost(t, nil)
	c, w := h.dial()
	block, release := pipe(t)
	h.launch(c, "a", "read x <&4; exit 3", block)
	hello := (&request{op: opHello, seq: 1, version: Version}).encode(0)
	kill := &request{op: opKill, seq: 1, key: "a", signal: 9}
	three := []int{int(block.Fd()), int(block.Fd()), int(block.Fd())}
	for name, test := range map[string]struct {
		greet  bool
		packet []byte
		fds    []int
	}{
		"request before hello":     {false, kill.encode(0), nil},
		"hello twice":              {true, hello, nil},
		"other magic":              {false, []byte(strings.Replace(string(hello), "BRTH", "HTTP", 1)), nil},
		"unknown flags":            {false, append(append([]byte(nil), hello[:16]...), 2, 0, 0, 0), nil},
		"text":                     {false, []byte("GET / HTTP/1.1\r\n\r\n"), nil},
		"header alone":             {true, kill.encode(0)[:headerSize], nil},
		"half a header":            {true, []byte{5, 0, 0}, nil},
		"unknown opcode":           {true, []byte{99, 0, 0, 0, 1, 0, 0, 0}, nil},
		"a reply":                  {true, []byte{0x85, 0, 0, 0, 1, 0, 0, 0, 0}, nil},
		"a record":                 {true, encodeRecord(&full), nil},
		"key longer than packet":   {true, []byte{5, 0, 0, 0, 1, 0, 0, 0, 200, 'a'}, nil},
		"bytes left over":          {true, append(kill.encode(0), 0), nil},
		"reserved byte set":        {true, append([]byte{5, 1}, kill.encode(0)[2:]...), nil},
		"packet too long":          {true, make([]byte, maxRequest+1), nil},
		"packet of 100 kB":         {true, make([]byte, 100_000), nil},
		"empty packet":             {true, nil, nil},
		"empty packet with fds":    {true, nil, three},
		"undeclared descriptors":   {true, kill.encode(0), three},
		"descriptors with kill":    {true, kill.encode(3), three},
		"fewer descriptors":        {true, (&request{op: opLaunch, seq: 1, key: "b"}).encode(4), three},
		"launch without plan":      {true, (&request{op: opLaunch, seq: 1, key: "b"}).encode(0), nil},
		"unknown way to forget":    {true, (&request{op: opForget, seq: 1, key: "a", how: 7}).encode(0), nil},
		"too long and descriptors": {true, make([]byte, maxRequest+1), three},
	} {
		t.Run(name, func(t *testing.T) {
			r := h.raw()
			r.t = t
			if test.greet {
				r.hello()
			}
			must(t, send(r.fd, test.packet, test.fds))
			if kind, _ := r.receive(); kind != 0 {
				t.Errorf("a packet of kind %#x came", kind)
			}
			r.close()
		})
	}
	all, err := c.List(t.Context())
	if len(all) != 1 || all[0].Exited || err != nil {
		t.Errorf("records %+v, %v", all, err)
	}
	must(t, release.Close())
	w.wait(t, "a", func(r Record) bool { return r.Exited && r.Code == 3 })
}

func TestOtherVersion(t *testing.T) {
	h := newHost(t, nil)
	r := h.raw()
	must(t, send(r.fd, (&request{op: opHello, seq: 1, version: 2, flags: 6}).encode(0), nil))
	kind, body := r.receive()
	_, err := decodeReply(opHello, body)
	if kind != kindReply|byte(opHello) || !errors.Is(err, ErrVersion) || err.Error() != "keeper hello: version 2 is not spoken here, only 1" {
		t.Errorf("reply %#x, %v", kind, err)
	}
	if kind, _ := r.receive(); kind != 0 {
		t.Errorf("a packet of kind %#x came after", kind)
	}
}

func TestConnectionLimit(t *testing.T) {
	h := newHost(t, func(cfg *ServerConfig) { cfg.MaxConnections = 2 })
	first, second, third := h.raw(), h.raw(), h.raw()
	first.hello()
	second.hello()
	if kind, _ := third.receive(); kind != 0 {
		t.Errorf("a packet of kind %#x came", kind)
	}
	first.close()
	for range 2 { // rounds of the keeper, in which it notices
		must(t, send(second.fd, (&request{op: opList, seq: 2}).encode(0), nil))
		second.receive()
	}
	c, _ := h.dial()
	if _, err := c.List(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestSlowClient fills the connection of a client that does not read. The other client does not notice, and when the
// slow one reads at last, it gets the newest state of everything.
func TestSlowClient(t *testing.T) {
	h := newHost(t, nil)
	slow := h.raw()
	slow.hello()
	must(t, unix.SetsockoptInt(slow.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1))
	c, w := h.dial()
	const n = 40
	text := "echo P1 >&3; " + strings.Repeat("echo P2 >&3; ", 50) + "exit 3"
	for i := range n {
		key := fmt.Sprint("a", i)
		h.launch(c, key, text)
		w.wait(t, key, exited)
	}
	asked := 0 // requests without reading, until the keeper reads no more
	for ; asked < 100_000; asked++ {
		if err := send(slow.fd, (&request{op: opList, seq: 2}).encode(0), nil); err == unix.EAGAIN {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	h.launch(c, "last", "exit 9")
	w.wait(t, "last", exited)
	if all, err := c.List(t.Context()); len(all) != n+1 || err != nil {
		t.Errorf("%d records, %v", len(all), err)
	}
	newest, replies := map[string]Record{}, 0
	for replies < asked || !newest["last"].Exited {
		kind, body := slow.receive()
		switch kind {
		case kindRecord:
			d := decoder{b: body}
			r := d.record()
			newest[r.Key] = r
		case kindReply | byte(opList):
			replies++
		default:
			t.Fatalf("a packet of kind %#x after %d of %d replies", kind, replies, asked)
		}
	}
	if len(newest) != n+1 || newest["a0"].Code != 3 || newest["last"].Code != 9 {
		t.Errorf("%d records: %+v", len(newest), newest["last"])
	}
}

// TestSlowClientGoes closes a connection in which a reply with a descriptor waits.
func TestSlowClientGoes(t *testing.T) {
	h := newHost(t, nil)
	c, w := h.dial()
	block, release := pipe(t)
	h.launch(c, "a", "read x <&4", block)
	_, err := c.List(t.Context()) // the keeper has closed what came with the launch
	must(t, err)
	before := openFiles(t)
	slow := h.raw()
	slow.hello()
	for err := error(nil); err != unix.EAGAIN; {
		err = send(slow.fd, (&request{op: opPIDFD, seq: 2, key: "a"}).encode(0), nil)
		if err != nil && err != unix.EAGAIN {
			t.Fatal(err)
		}
	}
	slow.close()
	must(t, c.Kill(t.Context(), "a", unix.SIGKILL))
	w.wait(t, "a", exited)
	_, err = c.List(t.Context()) // the round that notices the end is over
	must(t, err)
	if after := openFiles(t); after != before-2 { // pidfd and report
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	must(t, release.Close())
}

// TestClientKilledInLaunch kills a client while the keeper starts its process: the process is in the list.
func TestClientKilledInLaunch(t *testing.T) {
	h := newHost(t, nil)
	entered, proceed := make(chan struct{}), make(chan struct{})
	h.launcher.hold(func() error { close(entered); <-proceed; return nil })
	cmd := h.helper("launch")
	must(t, cmd.Start())
	select {
	case <-entered:
	case <-time.After(patience):
		t.Fatal("no launch came")
	}
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	close(proceed)
	c, _ := h.dial()
	all := h.listUntil(c, func(all []Record) bool { return len(all) == 1 && all[0].Exited })
	if all[0].Key != "orphan" || all[0].Code != 7 {
		t.Errorf("records %+v", all)
	}
	must(t, c.Forget(t.Context(), "orphan"))
}
