package lifecycle

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// controlGroupOf is the cgroup of a process on the unified hierarchy, relative to the cgroup root. See cgroups(7),
// "/proc/[pid]/cgroup".
func (m *Manager) controlGroupOf(pid int) (string, error) {
	data, err := os.ReadFile(filepath.Join(m.cfg.Proc, strconv.Itoa(pid), "cgroup"))
	if err != nil {
		if errors.Is(err, unix.ESRCH) {
			err = fs.ErrNotExist
		}
		return "", fmt.Errorf("read control group of process %d: %w", pid, err)
	}
	for line := range strings.Lines(string(data)) {
		if path, ok := strings.CutPrefix(line, "0::"); ok {
			path = strings.TrimSuffix(strings.TrimSuffix(path, "\n"), " (deleted)")
			return path, nil
		}
	}
	return "", fmt.Errorf("read control group of process %d: it has none on the unified hierarchy", pid)
}

// scopeGroup cuts path after the scope, the outermost directory of that name: what is below is the container's own doing.
func scopeGroup(path, scope string) (string, bool) {
	rest := path
	for rest != "" && rest != "/" {
		dir, after, _ := strings.Cut(strings.TrimPrefix(rest, "/"), "/")
		if dir == scope {
			return strings.TrimSuffix(path[:len(path)-len(after)], "/"), true
		}
		if after == "" {
			break
		}
		rest = "/" + after
	}
	return "", false
}

// inGroup tells whether path is group or below it.
func inGroup(path, group string) bool {
	rest, ok := strings.CutPrefix(path, group)
	return ok && group != "" && (rest == "" || rest[0] == '/')
}

// usage is what the control group tells at the leader's exit. systemd removes an empty group soon, so all of it may be missing.
type usage struct {
	populated  bool
	oomKills   uint64
	memoryPeak uint64
}

func (m *Manager) readUsage(group string) usage {
	if group == "" {
		return usage{}
	}
	dir := filepath.Join(m.cfg.ControlGroups, group)
	peak, _ := readNumber(filepath.Join(dir, "memory.peak"))
	return usage{
		populated:  readKeyed(filepath.Join(dir, "cgroup.events"))["populated"] != 0,
		oomKills:   readKeyed(filepath.Join(dir, "memory.events"))["oom_kill"],
		memoryPeak: peak,
	}
}

// readNumber reads a file of one number; false for "max", and where there is no such file.
func readNumber(path string) (uint64, bool) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 64)
	return n, err == nil
}

// readKeyed reads a flat keyed file ("key 1\n"), nil where there is none.
func readKeyed(path string) map[string]uint64 {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close() //nolint:errcheck // nothing was written
	out := map[string]uint64{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), " ")
		if n, err := strconv.ParseUint(value, 10, 64); err == nil {
			out[key] = n
		}
	}
	return out
}
