package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestExitStatusIsTheCommands(t *testing.T) {
	for _, test := range []struct {
		name    string
		command []string
		want    int
	}{
		{"success", []string{"true"}, 0},
		{"failure", []string{"sh", "-c", "exit 7"}, 7},
		{"terminated", []string{"sh", "-c", "kill -TERM $$"}, 128 + 15},
		{"killed", []string{"sh", "-c", "kill -KILL $$"}, 128 + 9},
		{"not found", []string{"no-such-command"}, exitNotFound},
		{"not executable", []string{"/etc/passwd"}, exitCannotRun},
		{"flag of the command", []string{"test", "-v"}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := runCommand(t, boxCommand(t, append([]string{"--"}, test.command...)...))
			if got.status != test.want {
				t.Errorf("status %d, want %d: %s", got.status, test.want, got.stderr)
			}
		})
	}
}

func TestStdioIsTheCommands(t *testing.T) {
	command := boxCommand(t, "--", "sh", "-c", "cat; echo problem >&2")
	command.Stdin = strings.NewReader("text\n")
	got := runCommand(t, command)
	if want := (result{0, "text\n", "problem\n"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestEnvironmentIsTheBoxes(t *testing.T) {
	command := boxCommand(t, "--", "env")
	command.Env = append(os.Environ(), "TERM=vt100", "SECRET=machine")
	got := runCommand(t, command).stdout
	for _, want := range []string{"BERTH_BOX=1\n", "HOME=/root\n", "TERM=vt100\n", "PATH=" + searchPath + "\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	if strings.Contains(got, "SECRET") {
		t.Errorf("the machine's environment is in\n%s", got)
	}
}

func TestBootsToRunningSystem(t *testing.T) {
	got := runCommand(t, boxCommand(t, "-v", "--", "systemctl", "is-system-running"))
	if got.stdout != "running\n" {
		t.Errorf("the system is %q, want running:\n%s", got.stdout, got.stderr)
	}
	_, boot, _ := strings.Cut(got.stderr, "box: booted ")
	t.Logf("booted %s", boot)
}

func TestSpacesAreTheBoxes(t *testing.T) {
	got := runCommand(t, boxCommand(t, "--", "sh", "-c", "ls -L -i /proc/self/ns /proc/1/ns | sort; hostname; cat /proc/self/cgroup"))
	for _, space := range []string{"mnt", "pid", "uts", "ipc", "net", "cgroup"} {
		outer, err := os.Stat("/proc/self/ns/" + space)
		if err != nil {
			t.Fatal(err)
		}
		inode := inodeOf(outer)
		if line := fmt.Sprintf("%d %s\n", inode, space); strings.Contains(got.stdout, line) {
			t.Errorf("the command is in the machine's %s namespace", space)
		}
		if count := strings.Count(got.stdout, " "+space+"\n"); count != 2 {
			t.Errorf("%s is listed %d times, want 2:\n%s", space, count, got.stdout)
		}
	}
	for _, want := range []string{"\n" + hostname + "\n", "\n0::/" + commandGroup + "\n"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("%q is missing in\n%s", want, got.stdout)
		}
	}
}

func TestFilesOfTheMachineAreUntouched(t *testing.T) {
	fileMax, err := os.ReadFile("/proc/sys/fs/file-max")
	if err != nil {
		t.Fatal(err)
	}
	got := runCommand(t, boxCommand(t, "--", "sh", "-c", "touch /etc/box-was-here ./box-was-here && rm /etc/hostname /etc/passwd main.go"))
	if got.status != 0 {
		t.Fatalf("status %d, want 0: %s", got.status, got.stderr)
	}
	for _, path := range []string{"/etc/passwd", "main.go"} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	for _, path := range []string{"/etc/box-was-here", "box-was-here"} {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%q is on the machine", path)
		}
	}
	if after, err := os.ReadFile("/proc/sys/fs/file-max"); err != nil || string(after) != string(fileMax) {
		t.Errorf("fs.file-max was %s and is %s (%v)", fileMax, after, err)
	}
}

func TestBindIsWritable(t *testing.T) {
	source := filepath.Join(t.TempDir(), "with:colon")
	shared := t.TempDir()
	got := runCommand(t, boxCommand(t, "-bind", shared, "-bind", shared+":/srv/deep/down", "--",
		"sh", "-c", "echo one > "+shared+"/one; echo two > /srv/deep/down/two"))
	if got.status != 0 {
		t.Fatalf("status %d, want 0: %s", got.status, got.stderr)
	}
	for _, name := range []string{"one", "two"} {
		if text, err := os.ReadFile(filepath.Join(shared, name)); err != nil || string(text) != name+"\n" {
			t.Errorf("%s has %q (%v)", name, text, err)
		}
	}
	if got := runCommand(t, boxCommand(t, "-bind", source, "--", "true")); got.status != exitUsage {
		t.Errorf("status %d of a relative bind target, want %d", got.status, exitUsage)
	}
	if got := runCommand(t, boxCommand(t, "-bind", "/no/such/source", "--", "true")); got.status != exitBox ||
		!strings.Contains(got.stderr, "/no/such/source") {
		t.Errorf("a bind of nothing gave %+v, want status %d and the path", got, exitBox)
	}
}

func TestRootWithReservedCharacters(t *testing.T) {
	// The characters that overlay's options reserve, in the name of a link to the machine's own tree.
	root := filepath.Join(t.TempDir(), `a:b,c\d`)
	if err := os.Symlink("/", root); err != nil {
		t.Fatal(err)
	}
	if got := runCommand(t, boxCommand(t, "-root", root, "--", "systemctl", "is-system-running")); got.status != 0 {
		t.Errorf("status %d, want 0: %s", got.status, got.stderr)
	}
}

func TestBoxInABox(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	inner := "cp /srv/self /run/berth-box && exec /run/berth-box -- systemctl is-system-running"
	got := runCommand(t, boxCommand(t, "-bind", self+":/srv/self", "--", "sh", "-c", inner))
	if want := (result{0, "running\n", ""}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestWorkingDirectoryOutsideIsNamed(t *testing.T) {
	command := boxCommand(t, "--", "true")
	command.Dir = t.TempDir() // below /tmp, which the box has of its own
	got := runCommand(t, command)
	if got.status != exitBox || !strings.Contains(got.stderr, "-bind") {
		t.Errorf("got %+v, want status %d and a hint at -bind", got, exitBox)
	}
	command = boxCommand(t, "-bind", command.Dir, "--", "pwd")
	command.Dir = strings.TrimSuffix(t.TempDir(), "/")
	command.Args[2] = command.Dir
	if got := runCommand(t, command); got.stdout != command.Dir+"\n" {
		t.Errorf("got %+v, want %q", got, command.Dir)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"-no-such-flag"}, {"-root", "/no/such/tree"}, {"-root"}} {
		if got := runCommand(t, boxCommand(t, args...)); got.status != exitUsage || got.stderr == "" {
			t.Errorf("%q gave %+v, want status %d and a reason", args, got, exitUsage)
		}
	}
	if got := runCommand(t, boxCommand(t, "-help")); got.status != 0 || !strings.Contains(got.stderr, "usage: box") {
		t.Errorf("-help gave %+v", got)
	}
}

func TestBindsSet(t *testing.T) {
	for text, want := range map[string]string{
		"/a":    "[{/a /a}]",
		"/a:/b": "[{/a /b}]",
		"/a/:/": "[{/a /}]",
	} {
		var got binds
		if err := got.Set(text); err != nil || got.String() != want {
			t.Errorf("%q gave %v (%v), want %s", text, got.String(), err, want)
		}
	}
}
