package integration

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// boxContext bounds what a test of the box may wait for.
func boxContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// output runs a program of the box and gives what it wrote.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	text, err := exec.CommandContext(boxContext(t), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, text)
	}
	return strings.TrimSpace(string(text))
}

func TestBoxInitIsSystemd(t *testing.T) {
	requireBox(t)
	comm, err := os.ReadFile("/proc/1/comm")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(string(comm)); got != "systemd" {
		t.Errorf("PID 1 is %q, want systemd", got)
	}
	t.Log(strings.SplitN(output(t, "systemctl", "--version"), "\n", 2)[0])
}

func TestBoxIsRunning(t *testing.T) {
	requireBox(t)
	if failed := output(t, "systemctl", "--failed", "--plain", "--no-legend"); failed != "" {
		t.Errorf("failed units:\n%s", failed)
	}
	if state := output(t, "systemctl", "is-system-running"); state != "running" {
		t.Errorf("the system is %q, want running", state)
	}
}

func TestBoxPolkitAnswers(t *testing.T) {
	requireBox(t)
	bus, err := dbus.ConnectSystemBus()
	if err != nil {
		t.Fatal(err)
	}
	defer bus.Close()
	subject := struct {
		Kind    string
		Details map[string]dbus.Variant
	}{"system-bus-name", map[string]dbus.Variant{"name": dbus.MakeVariant(bus.Names()[0])}}
	var result struct {
		Authorized, Challenge bool
		Details               map[string]string
	}
	authority := bus.Object("org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority")
	err = authority.CallWithContext(boxContext(t), "org.freedesktop.PolicyKit1.Authority.CheckAuthorization", 0,
		subject, "org.freedesktop.systemd1.manage-units", map[string]string{}, uint32(0), "").Store(&result)
	if err != nil {
		t.Fatal(err)
	}
	if !result.Authorized {
		t.Error("root is not authorised to manage units")
	}
}

func TestBoxJournalAcceptsLines(t *testing.T) {
	requireBox(t)
	mark := fmt.Sprintf("box-test-%d", os.Getpid())
	output(t, "systemd-run", "--quiet", "--wait", "--collect", "--unit="+mark, "echo", mark)
	output(t, "journalctl", "--sync")
	if got := output(t, "journalctl", "--output=cat", "--unit="+mark, "--identifier=echo"); !strings.Contains(got, mark) {
		t.Errorf("journal of the unit is %q, want %q in it", got, mark)
	}
}

func TestBoxLoopbackIsUp(t *testing.T) {
	requireBox(t)
	if got := output(t, "ip", "-brief", "address", "show", "lo"); !strings.Contains(got, "127.0.0.1/8") {
		t.Errorf("lo is %q, want 127.0.0.1/8", got)
	}
}

func TestBoxHasTheProject(t *testing.T) {
	requireBox(t)
	for _, program := range []string{"berthd", "berth-keeper", "berthctl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Error(err)
		}
	}
	if state := output(t, "systemctl", "is-active", "berth-keeper.socket"); state != "active" {
		t.Errorf("berth-keeper.socket is %q, want active", state)
	}
}
