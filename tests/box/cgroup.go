package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// groupPrefix begins the name of every box's cgroup. Whoever holds the lock of such a group owns it; one without
// an owner is left from a box that was killed together with its reaper, and any later box removes it.
const groupPrefix = "berth-box@"

// groupLock is the file of a group that is its lock. Not the directory: for a box in a box that is the root of the
// tree, which create locks.
const groupLock = "/cgroup.events"

// groupName is the cgroup of the box that a process runs.
func groupName(pid int) string { return fmt.Sprintf("%s%d", groupPrefix, pid) }

// removeTimeout bounds the wait for killed processes to be gone.
const removeTimeout = 20 * time.Second

// hierarchy is the root of the machine's cgroup2 tree.
type hierarchy struct{ dir *os.File }

// openHierarchy opens the cgroup2 tree where the machine has it mounted. A machine that has it nowhere (cgroup v1
// alone) gets a mount that belongs to no mount namespace and ends with the descriptor.
//
// An existing mount is preferred since a new one sets the flags of the whole hierarchy anew (nsdelegate,
// memory_recursiveprot; apply_cgroup_root_flags in kernel/cgroup/cgroup.c).
func openHierarchy() (*hierarchy, error) {
	table, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer table.Close()
	for lines := bufio.NewScanner(table); lines.Scan(); {
		mount, fstype, _ := strings.Cut(lines.Text(), " - ")
		if fields := strings.Fields(mount); strings.HasPrefix(fstype, "cgroup2 ") && fields[3] == "/" {
			dir, err := os.Open(fields[4])
			return &hierarchy{dir}, err
		}
	}
	fd, err := newMount("cgroup2", 0)
	if err != nil {
		return nil, err
	}
	dir, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", fd))
	return &hierarchy{dir}, errors.Join(err, unix.Close(fd))
}

// newMount makes a mount that no mount namespace has. See fsopen(2), fsmount(2); Linux 5.2.
func newMount(fstype string, attr int) (int, error) {
	fsfd, err := unix.Fsopen(fstype, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("open file system %q: %w", fstype, err)
	}
	defer unix.Close(fsfd)
	if err := unix.FsconfigCreate(fsfd); err != nil {
		return -1, fmt.Errorf("create file system %q: %w", fstype, err)
	}
	fd, err := unix.Fsmount(fsfd, unix.FSMOUNT_CLOEXEC, attr)
	if err != nil {
		return -1, fmt.Errorf("mount file system %q: %w", fstype, err)
	}
	return fd, nil
}

// path is a name for an entry of the tree that holds wherever, or whether, the tree is mounted.
func (h *hierarchy) path(name string) string {
	return fmt.Sprintf("/proc/self/fd/%d/%s", h.dir.Fd(), name)
}

// create removes the groups that lost their owner and makes a new one, owned until the file is closed.
func (h *hierarchy) create(name string) (*os.File, error) {
	// The lock on the tree keeps a sweep from taking a group between its birth and its lock.
	if err := flock(h.dir, unix.LOCK_EX); err != nil {
		return nil, err
	}
	defer unix.Flock(int(h.dir.Fd()), unix.LOCK_UN) //nolint:errcheck // unlocking a held lock
	if err := h.sweep(); err != nil {
		return nil, err
	}
	if err := os.Mkdir(h.path(name), 0o755); err != nil {
		return nil, fmt.Errorf("make cgroup %q: %w (a box needs root)", name, errors.Unwrap(err))
	}
	lock, err := os.Open(h.path(name) + groupLock)
	if err != nil {
		return nil, err
	}
	return lock, flock(lock, unix.LOCK_EX)
}

func (h *hierarchy) sweep() error {
	entries, err := os.ReadDir(h.path("."))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), groupPrefix) {
			continue
		}
		lock, err := os.Open(h.path(entry.Name()) + groupLock)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if flock(lock, unix.LOCK_EX|unix.LOCK_NB) == nil {
			err = h.remove(entry.Name())
		}
		if err := errors.Join(err, lock.Close()); err != nil {
			return err
		}
	}
	return nil
}

func flock(file *os.File, how int) error {
	for {
		err := unix.Flock(int(file.Fd()), how)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("lock cgroup %q: %w", file.Name(), err)
		}
	}
}

// remove kills every process of the group and removes it. A group that does not exist is no error.
func (h *hierarchy) remove(name string) error {
	group := h.path(name)
	err := os.WriteFile(group+"/cgroup.kill", []byte("1"), 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("kill cgroup %q: %w", name, err)
	}
	if err := waitEmpty(group); err != nil {
		return fmt.Errorf("empty cgroup %q: %w", name, err)
	}
	return removeGroups(group)
}

// waitEmpty waits until no live process is in the group or below it. Each change of cgroup.events wakes poll(2)
// with POLLPRI (Documentation/admin-guide/cgroup-v2.rst).
func waitEmpty(group string) error {
	events, err := os.Open(group + "/cgroup.events")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer events.Close()
	buffer := make([]byte, 256)
	for deadline := time.Now().Add(removeTimeout); ; {
		n, err := events.ReadAt(buffer, 0)
		if n == 0 || errors.Is(err, unix.ENODEV) || strings.Contains(string(buffer[:n]), "populated 0") {
			return nil
		}
		left := time.Until(deadline)
		if left <= 0 {
			return fmt.Errorf("processes live on %v after SIGKILL", removeTimeout)
		}
		fds := []unix.PollFd{{Fd: int32(events.Fd()), Events: unix.POLLPRI}}
		if _, err := unix.Poll(fds, int(left.Milliseconds())+1); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// removeGroups removes a cgroup and those below it. Their files go with them, so this is not os.RemoveAll.
func removeGroups(group string) error {
	entries, err := os.ReadDir(group)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := removeGroups(group + "/" + entry.Name()); err != nil {
				return err
			}
		}
	}
	if err := unix.Rmdir(group); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove cgroup %q: %w", group, err)
	}
	return nil
}
