// Package integration has the tests that need a real systemd, bus, journal and polkit: they run in the box of
// tests/box, by "make test-box" and "make test-next".
package integration

import (
	"os"
	"runtime"
	"testing"
)

// The main thread stays with the main goroutine, which only waits: it is the one that /proc/self shows, and it does
// not end with its goroutine as the threads do that tests lock to change their namespaces or user.
func init() { runtime.LockOSThread() }

// requireBox skips a test outside the box, where it would act on the machine itself. On CI that is a failure: a
// test that silently does not run is not green.
func requireBox(t testing.TB) {
	t.Helper()
	if os.Getenv("BERTH_BOX") == "1" {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal("not in a box: run make test-box")
	}
	t.Skip("not in a box: run make test-box")
}
