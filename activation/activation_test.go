package activation

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestPassedRefusesOrIgnores(t *testing.T) {
	for name, test := range map[string]struct {
		env  Environment
		none bool
		text string
	}{
		"no systemd":     {Environment{}, true, ""},
		"no fds":         {Environment{PID: "7", FDs: "0"}, true, ""},
		"other process":  {Environment{PID: "8", FDs: "1"}, true, ""},
		"bad pid":        {Environment{PID: "x", FDs: "1"}, false, `parse LISTEN_PID: strconv.Atoi: parsing "x"`},
		"bad count":      {Environment{PID: "7", FDs: "x"}, false, "parse LISTEN_FDS"},
		"negative count": {Environment{PID: "7", FDs: "-1"}, false, `parse LISTEN_FDS "-1": value out of range`},
		"huge count":     {Environment{PID: "7", FDs: "99999999"}, false, "value out of range"},
		"names differ":   {Environment{PID: "7", FDs: "2", Names: "a"}, false, `parse LISTEN_FDNAMES "a": 1 names for 2 descriptors`},
	} {
		t.Run(name, func(t *testing.T) {
			fds, err := Passed(test.env, 7)
			if fds != nil || err == nil || errors.Is(err, os.ErrNotExist) != test.none {
				t.Fatalf("Passed = %v, %v", fds, err)
			}
			if !strings.Contains(err.Error(), test.text) {
				t.Errorf("error %q lacks %q", err, test.text)
			}
		})
	}
}

// TestPassed runs this test binary with fds from 3 on, as systemd does.
func TestPassed(t *testing.T) {
	if os.Getenv("ACTIVATION_HELPER") == "1" {
		reportPassed(t)
		return
	}
	listener := socket(t, unix.SOCK_SEQPACKET)
	listen(t, listener, filepath.Join(t.TempDir(), "s"))
	passed, err := unix.Dup(listener) // the File below owns it
	must(t, err)
	listenerFile := os.NewFile(uintptr(passed), "listener")
	defer listenerFile.Close()
	null, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestPassed$", "-test.v")
	cmd.Env = append(os.Environ(), "ACTIVATION_HELPER=1", "LISTEN_FDS=3", "LISTEN_FDNAMES=keeper::twice")
	cmd.ExtraFiles = []*os.File{listenerFile, null, null}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		`passed fd 3 "keeper" cloexec=true`,
		`passed fd 4 "unknown" cloexec=true`,
		`passed fd 5 "twice" cloexec=true`,
		`one keeper: 3 <nil>`,
		`wrong: passed fd 4 "unknown" is a character device, want a listening unix seqpacket socket`,
		`none: true`,
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("output lacks %q:\n%s", want, out)
		}
	}
}

func reportPassed(t *testing.T) {
	env := ReadEnvironment(os.Getenv)
	env.PID = strconv.Itoa(os.Getpid())
	fds, err := Passed(env, os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		flags, err := unix.FcntlInt(uintptr(fd.Number), unix.F_GETFD, 0)
		t.Logf("%v cloexec=%v %v", fd, flags&unix.FD_CLOEXEC != 0, err)
	}
	one, err := fds.One("keeper", UnixSeqpacketListener)
	t.Logf("one keeper: %d %v", one.Number, err)
	_, err = fds.One("unknown", UnixSeqpacketListener)
	t.Logf("wrong: %v", err)
	_, err = fds.One("bus", UnixStreamListener)
	t.Logf("none: %v", errors.Is(err, os.ErrNotExist))
}

func TestOneWantsOne(t *testing.T) {
	fds := FDs{{3, "a"}, {4, "a"}}
	if _, err := fds.One("a", FIFO); err == nil || !strings.Contains(err.Error(), "2 have that name") {
		t.Errorf("error %v", err)
	}
	if got := fds.Named("a"); len(got) != 2 {
		t.Errorf("Named gives %v", got)
	}
}

func TestPassedNotOpen(t *testing.T) {
	if _, err := Passed(Environment{PID: "7", FDs: "100000"}, 7); !errors.Is(err, unix.EBADF) {
		t.Errorf("error %v, want EBADF", err)
	}
}

func TestKindOf(t *testing.T) {
	dir := t.TempDir()
	stream, seqpacket := socket(t, unix.SOCK_STREAM), socket(t, unix.SOCK_SEQPACKET)
	listeningStream, listeningSeqpacket := socket(t, unix.SOCK_STREAM), socket(t, unix.SOCK_SEQPACKET)
	listen(t, listeningStream, filepath.Join(dir, "a"))
	listen(t, listeningSeqpacket, filepath.Join(dir, "b"))
	inet, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(inet) })
	event, err := unix.Eventfd(0, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(event) })
	var pipe [2]int
	must(t, unix.Pipe(pipe[:]))
	t.Cleanup(func() { unix.Close(pipe[0]); unix.Close(pipe[1]) })
	for want, fd := range map[Kind]int{
		UnixStream: stream, UnixSeqpacket: seqpacket, UnixStreamListener: listeningStream,
		UnixSeqpacketListener: listeningSeqpacket, UnixDatagram: socket(t, unix.SOCK_DGRAM), OtherSocket: inet,
		FIFO: pipe[0], RegularFile: open(t, "/proc/self/exe"), Directory: open(t, dir),
		CharacterDevice: open(t, "/dev/null"), Other: event,
	} {
		if got, err := KindOf(fd); got != want || err != nil {
			t.Errorf("KindOf(%d) = %q, %v, want %q", fd, got, err, want)
		}
	}
	if _, err := KindOf(-1); !errors.Is(err, unix.EBADF) {
		t.Errorf("KindOf(-1): %v", err)
	}
	if err := (FD{-1, "x"}).Expect(FIFO); !errors.Is(err, unix.EBADF) {
		t.Errorf("Expect: %v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func socket(t *testing.T, kind int) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func listen(t *testing.T, fd int, path string) {
	t.Helper()
	must(t, unix.Bind(fd, &unix.SockaddrUnix{Name: path}))
	must(t, unix.Listen(fd, 1))
}

func open(t *testing.T, path string) int {
	t.Helper()
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}
