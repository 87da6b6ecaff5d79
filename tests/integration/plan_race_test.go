package integration

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/runtime/compile"
)

// planSwap exchanges two names, as fast as it can, until stop is closed.
func planSwap(t testing.TB, stop <-chan struct{}, a, b string) *sync.WaitGroup {
	var swapper sync.WaitGroup
	swapper.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE); err != nil {
				t.Error(err)
				return
			}
		}
	})
	return &swapper
}

// TestPlanSwapRace is CVE-2021-30465 and CVE-2024-45310: on a volume that two
// containers share, one exchanges a directory and a link to the host's while
// the mounts of the other are made. Whatever the order, each start is refused
// or has its mounts inside, and nothing is made on the host.
func TestPlanSwapRace(t *testing.T) {
	const starts = 300
	for name, link := range map[string]func(canary string) string{
		"absolute": func(canary string) string { return canary },
		"relative": func(canary string) string { return strings.Repeat("../", 20) + canary[1:] },
		"proc":     func(canary string) string { return "/proc/self/root" + canary },
	} {
		t.Run(name, func(t *testing.T) {
			bundle, canary := planBundle(t), planNewCanary(t)
			volume := filepath.Join(bundle, "volume")
			if err := os.MkdirAll(filepath.Join(volume, "dir"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(link(canary.dir), filepath.Join(volume, "link")); err != nil {
				t.Fatal(err)
			}
			s := planSpec("cat /proc/self/mountinfo")
			s.Mounts = append(s.Mounts, planMount("/vol", "bind", "volume", "bind"),
				planMount("/vol/dir/made/deep", "tmpfs", "inside"), planMount("/vol/dir/null", "bind", "data", "bind"))
			s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = []string{"/vol/dir/made"}, []string{"/vol/dir"}
			s.Process.Cwd = "/vol/dir/cwd"
			if err := os.WriteFile(filepath.Join(bundle, "data"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
			p := planCompile(t, bundle, s, compile.Request{}).Encode()

			stop := make(chan struct{})
			swapper := planSwap(t, stop, filepath.Join(volume, "dir"), filepath.Join(volume, "link"))
			made := planRaceStarts(t, p, starts)
			close(stop)
			swapper.Wait()
			canary.intact(t)
			t.Logf("%d of %d starts were not refused", made, starts)
		})
	}
}

// planRaceStarts gives how many starts succeeded; each of them was looked at.
func planRaceStarts(t *testing.T, encoded []byte, starts int) (made int) {
	for range starts {
		proc, err := planLaunch(t, planDecode(t, encoded))
		if err != nil {
			t.Fatal(err)
		}
		if err := proc.created(t); err != nil {
			proc.end()
			continue
		}
		made++
		text, err := os.ReadFile("/proc/" + strconv.Itoa(proc.PID) + "/mountinfo")
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range planParseMounts(t, string(text)) {
			if m.point != "/" && m.point != "/proc" && m.point != "/dev" && !strings.HasPrefix(m.point, "/vol") && !strings.Contains(m.point, "/canary/") {
				t.Errorf("a mount is at %q", m.point)
			}
		}
		proc.end()
	}
	return made
}

// TestPlanNullSwapRace is CVE-2025-31133: the image's /dev/null is exchanged
// with a link while paths are masked.
func TestPlanNullSwapRace(t *testing.T) {
	bundle := planBundle(t)
	root := filepath.Join(bundle, "rootfs")
	for _, name := range []string{"etc/secret", "dev/null"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte("secret"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/proc/sys/kernel/core_pattern", filepath.Join(root, "dev/link")); err != nil {
		t.Fatal(err)
	}
	s := planSpec("exec stat -c %F:%t:%T /etc/secret")
	s.Mounts = s.Mounts[:1]
	s.Linux.MaskedPaths = []string{"/etc/secret"}
	p := planCompile(t, bundle, s, compile.Request{}).Encode()
	stop := make(chan struct{})
	swapper := planSwap(t, stop, filepath.Join(root, "dev/null"), filepath.Join(root, "dev/link"))
	for range 100 {
		proc, err := planLaunch(t, planDecode(t, p))
		if err != nil {
			t.Fatal(err)
		}
		if err := proc.created(t); err != nil {
			t.Fatal(err)
		}
		if out, _ := proc.finish(t); out != "character special file:1:3\n" {
			t.Errorf("payload %q", out)
		}
		proc.end()
	}
	close(stop)
	swapper.Wait()
}
