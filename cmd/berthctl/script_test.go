package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"berthctl": main})
}

// TestScripts runs testdata/*.txtar: each has a bus of its own with a fake service on it, and the directories
// the fake knows as bundles.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Deadline:            time.Now().Add(3 * time.Minute),
		Setup: func(env *testscript.Env) error {
			tb := env.T().(testing.TB)
			address := startBus(tb, tb.TempDir())
			env.Setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
			env.Setenv("TZ", "UTC")
			env.Setenv("BERTHCTL_SECRET", "x y")
			env.Values["service"] = startFake(tb, address)
			for _, name := range []string{"exit0", "exit7", "cat", "loop", "lost", "noexec", "broken"} {
				if err := os.MkdirAll(filepath.Join(env.WorkDir, name), 0o700); err != nil {
					return err
				}
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"await":  cmdAwait,
			"asked":  cmdAsked,
			"status": cmdStatus,
			"silence": func(ts *testscript.TestScript, _ bool, _ []string) { // the service leaves the bus
				ts.Check(ts.Value("service").(*fakeService).conn.Close())
			},
		},
	})
}

// cmdAwait is "await ID STATUS", or "await listed N" until N List calls have come.
func cmdAwait(ts *testscript.TestScript, _ bool, args []string) {
	s := ts.Value("service").(*fakeService)
	s.await(func() bool {
		if n, err := strconv.Atoi(args[1]); args[0] == "listed" && err == nil {
			return s.lists >= n
		}
		c := s.containers[args[0]]
		return c != nil && c.is(args[1])
	})
}

// cmdAsked is "asked ID OPTION TEXT": Create got this option, as D-Bus writes it, and it contains TEXT.
func cmdAsked(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value("service").(*fakeService)
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.containers[args[0]].options[args[1]]
	text := "none"
	if ok {
		text = v.Signature().String() + " " + v.String()
	}
	if strings.Contains(text, args[2]) == neg {
		ts.Fatalf("option %s is %s", args[1], text)
	}
}

// cmdStatus is "status N COMMAND...": the command must end with this exit status.
func cmdStatus(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec("sh", append([]string{"-c", `want=$1; shift; "$@"; got=$?; [ $got = $want ] || { echo "status $got"; exit 99; }`, "sh"}, args...)...)
	if err != nil {
		ts.Fatalf("%s: not status %s: %v", strings.Join(args[1:], " "), args[0], err)
	}
}
