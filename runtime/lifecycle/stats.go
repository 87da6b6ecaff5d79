package lifecycle

import (
	"bufio"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Processes lists the processes of the container, as the host numbers them; none when it is stopped.
func (c *Container) Processes(ctx context.Context) ([]Process, error) {
	info := c.Info()
	if err := c.check("list the processes of", StatusCreated, StatusRunning, StatusPaused, StatusStopped); err != nil {
		return nil, err
	}
	if info.Status == StatusStopped {
		return nil, nil
	}
	list, err := c.m.cfg.Scopes.Processes(ctx, info.Scope)
	if errors.Is(err, ErrNoSuchScope) {
		return nil, nil // it stopped just now
	}
	return list, err
}

// numberFiles are the files of one number; see "Documentation/admin-guide/cgroup-v2.rst" of the kernel.
var numberFiles = map[string]string{
	"MemoryCurrent": "memory.current", "MemoryPeak": "memory.peak", "MemoryMax": "memory.max",
	"MemorySwapCurrent": "memory.swap.current", "TasksCurrent": "pids.current", "TasksMax": "pids.max",
}

// Stats reads the container's measurements from its control group. A stopped container has none but CPUUsageNSec
// and MemoryPeak, those of its leader.
func (c *Container) Stats(_ context.Context) (Stats, error) {
	info := c.Info()
	if err := c.check("measure", StatusCreated, StatusRunning, StatusPaused, StatusStopped); err != nil {
		return nil, err
	}
	s := Stats{}
	if info.Status == StatusStopped {
		if info.MaxRSSBytes != 0 { // else nobody measured
			s["CPUUsageNSec"] = info.CPUTimeUSec * 1000
		}
		if info.MemoryPeakBytes != 0 {
			s["MemoryPeak"] = info.MemoryPeakBytes
		}
		return s, nil
	}
	if info.ControlGroup == "" {
		return s, nil
	}
	dir := filepath.Join(c.m.cfg.ControlGroups, info.ControlGroup)
	for name, file := range numberFiles {
		if n, ok := readNumber(filepath.Join(dir, file)); ok {
			s[name] = n
		}
	}
	if usec, ok := readKeyed(filepath.Join(dir, "cpu.stat"))["usage_usec"]; ok {
		s["CPUUsageNSec"] = usec * 1000
	}
	addIO(s, filepath.Join(dir, "io.stat"))
	return s, nil
}

var ioNames = map[string]string{
	"rbytes": "IOReadBytes", "wbytes": "IOWriteBytes", "rios": "IOReadOperations", "wios": "IOWriteOperations",
}

// addIO sums up the lines of io.stat, one a device: "8:0 rbytes=1 wbytes=2 rios=3 wios=4 ...". An empty file is a
// container that has read and written nothing.
func addIO(s Stats, path string) {
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close() //nolint:errcheck // nothing was written
	for _, name := range ioNames {
		s[name] = 0
	}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		for _, word := range strings.Fields(lines.Text()) {
			key, value, _ := strings.Cut(word, "=")
			if n, err := strconv.ParseUint(value, 10, 64); err == nil && ioNames[key] != "" {
				s[ioNames[key]] += n
			}
		}
	}
}
