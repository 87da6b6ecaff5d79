package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// initName is PID 1 of the box until it becomes systemd.
const initName = "berth-box-init"

// initPlan is what the box program tells its init.
type initPlan struct {
	Root    string
	Project string
	Binds   []bind
	Console string // terminal for /dev/console
}

// scratch is where the upper layers are mounted while the tree is made. It exists on every kernel with cgroups,
// and nothing below it is needed any more, so no directory has to be made on the machine.
const scratch = "/sys/fs/cgroup"

// newRoot is the root of the box while it is made.
const newRoot = scratch + "/root"

// runInit makes the box and becomes its systemd: fd 3 is the mount for /run/host. Only the box program calls it,
// with new pid, mount, uts, ipc and net namespaces and in the box's cgroup.
func runInit(encoded string) error {
	runtime.LockOSThread() // the cgroup namespace and execve(2) belong to the same thread
	var plan initPlan
	if err := json.Unmarshal([]byte(encoded), &plan); err != nil {
		return fmt.Errorf("decode plan of init: %w", err)
	}
	// Not a clone(2) flag of the fork: there the namespace would begin at the cgroup of the parent.
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("unshare cgroup namespace: %w", err)
	}
	if err := unix.Sethostname([]byte(hostname)); err != nil {
		return fmt.Errorf("set hostname: %w", err)
	}
	if err := makeTree(plan); err != nil {
		return err
	}
	if err := configure(newRoot, plan.Project); err != nil {
		return err
	}
	if err := enterTree(); err != nil {
		return err
	}
	return becomeSystemd()
}

// mountPoint is one mount of the box below its root.
type mountPoint struct {
	target, fstype string
	flags          uintptr
	data           string
}

// mountPoints are what systemd expects of a container manager (systemd's CONTAINER_INTERFACE), except that
// /sys is writable, as on a machine: what must not touch the machine's devices is masked instead.
func mountPoints() []mountPoint {
	const noexec = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	return []mountPoint{
		{"/proc", "proc", noexec, ""},
		{"/sys", "sysfs", noexec, ""},
		{"/sys/fs/cgroup", "cgroup2", noexec, ""},
		{"/dev", "tmpfs", unix.MS_NOSUID, "mode=0755"},
		{"/dev/pts", "devpts", unix.MS_NOSUID | unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"},
		{"/dev/shm", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
		{"/run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=0755"},
		{"/tmp", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
	}
}

// makeTree mounts the whole tree of the box at newRoot.
func makeTree(plan initPlan) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("tmpfs", scratch, "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("mount upper layers: %w", err)
	}
	if err := overlay(plan.Root, newRoot, "root-layer"); err != nil {
		return err
	}
	for _, m := range mountPoints() {
		target := newRoot + m.target
		if err := os.MkdirAll(target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.fstype, target, m.fstype, m.flags, m.data); err != nil {
			return fmt.Errorf("mount %s on %q: %w", m.fstype, m.target, err)
		}
	}
	if err := fillDev(newRoot+"/dev", plan.Console); err != nil {
		return err
	}
	if err := protectKernel(newRoot + protected); err != nil {
		return err
	}
	if err := os.Mkdir(newRoot+hostPath, 0o755); err != nil {
		return err
	}
	if err := unix.MoveMount(3, "", unix.AT_FDCWD, newRoot+hostPath, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("mount %q: %w", hostPath, err)
	}
	if plan.Project != "" {
		// Not seen through the root's overlay where it is another file system or another tree.
		if err := overlay(plan.Project, newRoot+plan.Project, "project-layer"); err != nil {
			return err
		}
	}
	return bindAll(plan.Binds)
}

// protected is where PID 1 would raise limits of the whole machine (bump_file_max_and_nr_open in src/core/main.c).
const protected = "/proc/sys/fs"

// protectKernel makes the directory read-only until the command is started. Not for longer: a /proc with something
// mounted over a part of it forbids new ones in user namespaces (mount_too_revealing in fs/namespace.c).
func protectKernel(dir string) error {
	if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %q: %w", dir, err)
	}
	if err := unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("make %q read-only: %w", dir, err)
	}
	return nil
}

// overlay mounts a writable view of a directory, whose changes stay in a named layer of the scratch file system.
func overlay(lower, target, layer string) error {
	upper, work := filepath.Join(scratch, layer, "upper"), filepath.Join(scratch, layer, "work")
	for _, dir := range []string{upper, work, target} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	// The characters that mean something in overlay options; lowerdir is a list.
	escaped := strings.NewReplacer(`\`, `\\`, `:`, `\:`, `,`, `\,`).Replace(lower)
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", escaped, upper, work)
	if err := unix.Mount("overlay", target, "overlay", 0, options); err != nil {
		return fmt.Errorf("mount overlay of %q: %w", lower, err)
	}
	// The root of the layer is the directory that programs see.
	return copyMode(lower, target)
}

func copyMode(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	return os.Chmod(to, info.Mode())
}

// devices are the nodes of /dev with their numbers (Documentation/admin-guide/devices.txt).
func devices() map[string]uint64 {
	return map[string]uint64{
		"null": unix.Mkdev(1, 3), "zero": unix.Mkdev(1, 5), "full": unix.Mkdev(1, 7), "random": unix.Mkdev(1, 8),
		"urandom": unix.Mkdev(1, 9), "tty": unix.Mkdev(5, 0), "fuse": unix.Mkdev(10, 229),
	}
}

func fillDev(dev, console string) error {
	for name, number := range devices() {
		node := filepath.Join(dev, name)
		if err := unix.Mknod(node, unix.S_IFCHR|0o666, int(number)); err != nil {
			return fmt.Errorf("make device %q: %w", name, err)
		}
		if err := os.Chmod(node, 0o666); err != nil {
			return err
		}
	}
	links := map[string]string{
		"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
	}
	for name, target := range links {
		if err := os.Symlink(target, filepath.Join(dev, name)); err != nil {
			return err
		}
	}
	return bindMount(console, filepath.Join(dev, "console"))
}

func bindAll(list []bind) error {
	for _, b := range list {
		if err := bindMount(b.Source, newRoot+b.Target); err != nil {
			return err
		}
	}
	return nil
}

// bindMount binds a file or directory, making the target if there is none.
func bindMount(source, target string) error {
	info, err := os.Stat(source)
	if err != nil {
		return fmt.Errorf("find bind source: %w", err)
	}
	if info.IsDir() {
		err = os.MkdirAll(target, 0o755)
	} else {
		err = makeFile(target)
	}
	if err != nil {
		return err
	}
	if err := unix.Mount(source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind %q: %w", source, err)
	}
	return nil
}

func makeFile(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return file.Close()
}

// enterTree makes newRoot the root and drops the machine's tree. See pivot_root(2), "pivot_root(".", ".")".
func enterTree() error {
	if err := os.Chdir(newRoot); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount machine's tree: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	// As PID 1 of a machine has it; in a container systemd leaves this to the manager.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("make mounts shared: %w", err)
	}
	return nil
}

func becomeSystemd() error {
	const systemd = "/lib/systemd/systemd"
	unix.CloseOnExec(3)
	err := syscall.Exec(systemd,
		[]string{systemd, "--unit=" + bootUnit, "--show-status=error"},
		[]string{"container=berth-box", "NOTIFY_SOCKET=" + notifyPath, "PATH=" + searchPath, "LANG=C.UTF-8"})
	return fmt.Errorf("execute %q: %w", systemd, err)
}
