package compile

import (
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/runtime/plan"
)

const (
	firstListenFD = 3
	howSize       = 24 // sizeof(struct open_how)
	attrSize      = 32 // sizeof(struct mount_attr)

	pathFlags = unix.O_PATH | unix.O_CLOEXEC
	dirFlags  = pathFlags | unix.O_DIRECTORY
	cloneTree = unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC

	readOnly = unix.MOUNT_ATTR_RDONLY

	// inRoot resolves as the container's own process would, and never through
	// a magic link of procfs.
	inRoot = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS
	// plain refuses links: where one of them would be an attack, not a layout.
	plain = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS
)

func quote(s string) string { return strconv.Quote(s) }
func itoa(i int) string     { return strconv.Itoa(i) }

// how is a struct open_how. See openat2(2).
func (c *compiler) how(flags, mode, resolve uint64) plan.Arg { return c.Words(flags, mode, resolve) }

// attr is a struct mount_attr. See mount_setattr(2).
type attr struct{ set, clear, propagation uint64 }

func (c *compiler) setattr(label string, mount plan.Arg, recursive bool, a attr) {
	flags := unix.AT_EMPTY_PATH
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	c.Call(label, unix.SYS_MOUNT_SETATTR, mount, c.String(""), plan.Lit(flags),
		c.Words(a.set, a.clear, a.propagation, 0), plan.Lit(attrSize))
}

// move attaches a detached mount.
func (c *compiler) move(label string, mount, target plan.Slot) plan.Ref {
	empty := c.String("")
	return c.Call(label, unix.SYS_MOVE_MOUNT, mount.Arg(), empty, target.Arg(), empty,
		plan.Lit(unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH))
}

func (c *compiler) close(slots ...plan.Slot) {
	for _, s := range slots {
		c.Call("close", unix.SYS_CLOSE, s.Arg())
	}
}

// lookup opens a path of the container below its root.
func (c *compiler) lookup(label, name string, flags, resolve uint64) plan.Ref {
	return c.Call(label, unix.SYS_OPENAT2, c.root.Arg(), c.String(below(name)), c.how(flags, 0, resolve), plan.Lit(howSize)).With(plan.RetryAgain)
}

// below makes a path of the container relative to its root.
func below(name string) string {
	if name = strings.TrimPrefix(path.Clean("/"+name), "/"); name == "" {
		return "."
	}
	return name
}

// directory opens a directory of the container, making it, and those above
// it, where it is missing. Each step makes one component and looks the whole
// prefix up again, so a link is followed only by the kernel, inside the root.
func (c *compiler) directory(label, name string) plan.Slot {
	dir := c.Slot(path.Base(path.Clean("/"+name)) + "/")
	c.target(label, name, inRoot, dir, func(parent plan.Slot, base string) {
		c.mkdir(label, parent, base)
	})
	return dir
}

func (c *compiler) mkdir(label string, parent plan.Slot, base string) plan.Ref {
	return c.Call(label, unix.SYS_MKDIRAT, parent.Arg(), c.String(base), plan.Lit(0o755)).Tolerate(unix.EEXIST)
}

// target opens name into dst; if it is not there, its parents are made, then
// create makes it, then it is opened again.
func (c *compiler) target(label, name string, resolve uint64, dst plan.Slot, create func(parent plan.Slot, base string)) {
	found := c.lookup(label, name, pathFlags, resolve).Into(dst).Tolerate(unix.ENOENT)
	parts := strings.Split(below(name), "/")
	parent := c.root
	for i := range parts[:len(parts)-1] {
		c.mkdir(label, parent, parts[i])
		next := c.Slot(parts[i] + "/")
		c.lookup(label, strings.Join(parts[:i+1], "/"), dirFlags, resolve).Into(next)
		if parent != c.root {
			c.close(parent)
		}
		parent = next
	}
	create(parent, parts[len(parts)-1])
	if parent != c.root {
		c.close(parent)
	}
	c.lookup(label, name, pathFlags, resolve).Into(dst)
	found.JumpDone()
}

// writeFile writes text to a file of a procfs that no container process can reach.
func (c *compiler) writeFile(label string, dir plan.Slot, name string, resolve uint64, text string) {
	fd := c.Slot("file")
	c.Call(label, unix.SYS_OPENAT2, dir.Arg(), c.String(name), c.how(unix.O_WRONLY|unix.O_CLOEXEC, 0, resolve), plan.Lit(howSize)).Into(fd).With(plan.RetryAgain)
	c.Call(label, unix.SYS_WRITE, fd.Arg(), c.String(text), plan.Lit(len(text)))
	c.close(fd)
}
