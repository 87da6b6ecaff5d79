package main

import (
	"bytes"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// onTerminal starts a box on a terminal of its own and gives what types there and what waits for its status.
func onTerminal(t *testing.T, screen io.Writer, args ...string) (keyboard *os.File, wait func() int) {
	t.Helper()
	terminal, err := openConsole(screen)
	if err != nil {
		t.Fatal(err)
	}
	box := boxCommand(t, args...)
	box.Stdin, box.Stdout, box.Stderr = terminal.slave, terminal.slave, terminal.slave
	box.SysProcAttr.Setctty = true
	if err := box.Start(); err != nil {
		t.Fatal(err)
	}
	return terminal.master, func() int {
		waitErr := box.Wait()
		if err := terminal.close(); err != nil {
			t.Fatal(err, waitErr)
		}
		return box.ProcessState.ExitCode()
	}
}

func TestShellWithoutCommand(t *testing.T) {
	var shown bytes.Buffer
	keyboard, wait := onTerminal(t, &shown)
	if _, err := keyboard.WriteString("echo in-$BERTH_BOX; exit 4\n"); err != nil {
		t.Fatal(err)
	}
	status, screen := wait(), shown.String()
	if status != 4 || !strings.Contains(screen, "in-1\r\n") {
		t.Errorf("status %d, want 4, after\n%s", status, screen)
	}
	if strings.Contains(screen, "no job control") {
		t.Errorf("the shell has no job control:\n%s", screen)
	}
}

// watcher is a screen that tells when a text shows on it.
type watcher struct {
	want  string
	shown strings.Builder
	found chan struct{} // closed at the text's first showing
}

// Write is part of io.Writer.
func (w *watcher) Write(text []byte) (int, error) {
	before := strings.Contains(w.shown.String(), w.want)
	w.shown.Write(text)
	if !before && strings.Contains(w.shown.String(), w.want) {
		close(w.found)
	}
	return len(text), nil
}

// A ctrl-C is one signal for the command, from the terminal, and not a second one from the box.
func TestInterruptFromTerminalComesOnce(t *testing.T) {
	before := mounts(t)
	screen := &watcher{want: "ready", found: make(chan struct{})}
	script := "trap 'echo heard; count=$((count+1))' INT; echo ready; read line; echo heard $count; exit 9"
	keyboard, wait := onTerminal(t, screen, "--", "bash", "-c", script)
	select {
	case <-screen.found:
	case <-time.After(patience):
		t.Fatal("the command is not ready")
	}
	if _, err := keyboard.WriteString("\x03line\n"); err != nil {
		t.Fatal(err)
	}
	if status := wait(); status != 9 || !strings.Contains(screen.shown.String(), "heard 1\r\n") {
		t.Errorf("status %d, want 9, after\n%s", status, screen.shown.String())
	}
	if after := mounts(t); !slices.Equal(before, after) {
		t.Errorf("mounts were %q and are %q", before, after)
	}
}
