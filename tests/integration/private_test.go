package integration

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/berth-project/berth/dbusapi/client"
)

// The tests here are what is nobody else's: state, sockets, and what one
// container's environment is to another.

// TestStateIsPrivate: state directories open to all were CVE-2021-41091 and
// CVE-2024-25621.
func TestStateIsPrivate(t *testing.T) {
	r := newRig(t)
	r.run("web", r.sh("sleep 1000"), client.CreateOptions{})
	seen := 0
	r.must(filepath.WalkDir("/run/berth", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		seen++
		info, err := d.Info()
		if err != nil {
			return err
		}
		if open := info.Mode().Perm() & 0o077; open != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	}))
	if seen < 5 { // two directories of ours, one of the container with two files, the socket
		t.Errorf("only %d files seen", seen)
	}
}

// TestNoAbstractSockets: a socket without a file is open to every container
// in the host's network namespace (CVE-2020-15257).
func TestNoAbstractSockets(t *testing.T) {
	r := newRig(t)
	r.run("web", r.sh("sleep 1000"), client.CreateOptions{})
	for _, pid := range []string{keeperPID(t), strconv.Itoa(mainPID(t, "berthd.service"))} {
		table, err := os.ReadFile("/proc/" + pid + "/net/unix")
		r.must(err)
		named := map[string]string{} // by inode
		for line := range strings.Lines(string(table)) {
			if f := strings.Fields(line); len(f) == 8 {
				named[f[6]] = f[7]
			}
		}
		sockets := 0
		for _, fd := range entries("/proc/" + pid + "/fd") {
			link, _ := os.Readlink("/proc/" + pid + "/fd/" + fd)
			inode, ok := strings.CutPrefix(link, "socket:[")
			if !ok {
				continue
			}
			sockets++
			if name := named[strings.TrimSuffix(inode, "]")]; strings.HasPrefix(name, "@") {
				t.Errorf("process %s has the abstract socket %q", pid, name)
			}
		}
		if sockets == 0 {
			t.Errorf("process %s: no socket seen", pid)
		}
	}
}

// TestEnvironmentsDoNotMix: creates at the same time, of one bundle that is
// compiled once, each with a secret of its own (CVE-2020-14370).
func TestEnvironmentsDoNotMix(t *testing.T) {
	r := newRig(t)
	const creates = 16
	dir := r.TempDir()
	bundle := r.bundleWithDir(dir, "/bin/sh", "-c", "env > /gate/$WHO")
	var wg sync.WaitGroup
	for i := range creates {
		wg.Go(func() {
			id := fmt.Sprintf("env-%d", i)
			c, err := r.client.Create(r.ctx, id, bundle, client.CreateOptions{
				Environment: []string{"WHO=" + id, fmt.Sprintf("SECRET_%d=secret-%d-", i, i)},
			})
			if err == nil {
				err = c.Start(r.ctx)
			}
			if err == nil {
				_, err = c.Wait(r.ctx)
			}
			if err != nil {
				t.Errorf("%s: %v", id, err)
			}
		})
	}
	wg.Wait()
	for i := range creates {
		text, err := os.ReadFile(fmt.Sprintf("%s/env-%d", dir, i))
		r.must(err)
		if want := fmt.Sprintf("SECRET_%d=secret-%d-\n", i, i); !strings.Contains(string(text), want) || strings.Count(string(text), "secret-") != 1 {
			t.Errorf("container %d has\n%s", i, text)
		}
	}
}
