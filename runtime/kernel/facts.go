// Package kernel finds out what the running kernel can do. Everything that
// depends on it enters the rest of Berth as one [Facts] value, so that
// compiling a plan is a function of its arguments.
package kernel

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The oldest kernel Berth runs on: mount_setattr(2) is 5.12, the nosymfollow
// mount attribute 5.14.
const (
	FloorMajor = 5
	FloorMinor = 14
)

// ErrUnsupported is what the error of [Probe] wraps on a host below the floor.
var ErrUnsupported = errors.New("this host cannot run berth")

// Facts is what the running kernel can do.
type Facts struct {
	// Release is as uname -r prints it; Major and Minor are its numbers.
	Release      string
	Major, Minor int
	// LastCap is the highest capability the kernel knows, see capabilities(7).
	LastCap int
}

// AtLeast reports whether the kernel is of version major.minor or later. A
// probe is better evidence; use this where none is possible.
func (f Facts) AtLeast(major, minor int) bool {
	return f.Major > major || f.Major == major && f.Minor >= minor
}

// Probe asks the running kernel. It fails, with one sentence that says what to
// do, below the floor: Linux 5.14 and a unified cgroup hierarchy.
func Probe() (Facts, error) {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return Facts{}, fmt.Errorf("uname: %w", err)
	}
	f, err := parseRelease(unix.ByteSliceToString(uts.Release[:]))
	if err != nil {
		return Facts{}, err
	}
	if !f.AtLeast(FloorMajor, FloorMinor) {
		return f, fmt.Errorf("%w: Linux %s is older than %d.%d", ErrUnsupported, f.Release, FloorMajor, FloorMinor)
	}
	if f.LastCap, err = lastCap("/proc/sys/kernel/cap_last_cap"); err != nil {
		return f, err
	}
	return f, unified("/sys/fs/cgroup")
}

// parseRelease reads the numbers of "6.1.0-13-cloud-amd64".
func parseRelease(release string) (Facts, error) {
	f := Facts{Release: release}
	major, rest, _ := strings.Cut(release, ".")
	minor := rest
	if end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
		minor = rest[:end]
	}
	var err1, err2 error
	f.Major, err1 = strconv.Atoi(major)
	f.Minor, err2 = strconv.Atoi(minor)
	if err := errors.Join(err1, err2); err != nil {
		return f, fmt.Errorf("read kernel release %q: %w", release, err)
	}
	return f, nil
}

func lastCap(path string) (int, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, fmt.Errorf("read the highest capability: %w", err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || n < 0 || n > 63 {
		return 0, fmt.Errorf("read the highest capability: %q is not a number from 0 to 63", b)
	}
	return n, nil
}

// unified refuses cgroup v1 and hybrid hosts: with v1, a container that can
// mount may own the host (CVE-2022-0492).
func unified(path string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return fmt.Errorf("statfs %q: %w", path, err)
	}
	if st.Type != unix.CGROUP2_SUPER_MAGIC {
		return fmt.Errorf("%w: %s is not a cgroup v2 hierarchy; boot with systemd.unified_cgroup_hierarchy=1", ErrUnsupported, path)
	}
	return nil
}
