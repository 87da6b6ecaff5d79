package compile

import (
	"maps"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/runtime/plan"
)

// readonlyPaths binds each path that exists over itself, read-only with all
// that is mounted below it.
func (c *compiler) readonlyPaths() {
	for _, name := range c.Spec.Linux.ReadonlyPaths {
		label := "make path " + quote(name) + " read-only"
		dst, tree := c.Slot("path"), c.Slot("read-only")
		missing := c.lookup(label, name, pathFlags, inRoot).Into(dst).Tolerate(unix.ENOENT)
		c.Call(label, unix.SYS_OPEN_TREE, dst.Arg(), c.String(""), plan.Lit(cloneTree|unix.AT_RECURSIVE|unix.AT_EMPTY_PATH)).Into(tree)
		c.setattr(label, tree.Arg(), true, attr{set: unix.MOUNT_ATTR_RDONLY})
		c.move(label, tree, dst)
		c.close(dst, tree)
		missing.JumpFailed()
	}
}

const maskAttr = unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC

// maskedPaths hides each path that exists: a directory below an empty,
// read-only tmpfs, a file below the host's /dev/null. Never the container's
// own null device, which its image may have made (CVE-2025-31133).
func (c *compiler) maskedPaths() {
	for _, name := range c.Spec.Linux.MaskedPaths {
		label := "mask path " + quote(name)
		dst := c.Slot("path")
		notDir := c.lookup(label, name, dirFlags, inRoot).Into(dst).Tolerate(unix.ENOENT, unix.ENOTDIR)
		done := c.maskDirectory(label, dst)
		notDir.JumpFailed()
		missing := c.maskFile(label, name, dst)
		done.JumpDone()
		missing.JumpFailed()
	}
}

func (c *compiler) maskDirectory(label string, dst plan.Slot) plan.Ref {
	fs, mount := c.Slot("fs"), c.Slot("mask")
	c.Call(label, unix.SYS_FSOPEN, c.String("tmpfs"), plan.Lit(unix.FSOPEN_CLOEXEC)).Into(fs)
	c.fsconfig(label, fs, "nr_inodes", "1")
	c.Call(label, unix.SYS_FSCONFIG, fs.Arg(), plan.Lit(unix.FSCONFIG_CMD_CREATE), plan.Lit(0), plan.Lit(0), plan.Lit(0))
	c.Call(label, unix.SYS_FSMOUNT, fs.Arg(), plan.Lit(unix.FSMOUNT_CLOEXEC), plan.Lit(maskAttr)).Into(mount)
	c.move(label, mount, dst)
	c.close(fs, mount)
	return c.Call("close", unix.SYS_CLOSE, dst.Arg())
}

func (c *compiler) maskFile(label, name string, dst plan.Slot) plan.Ref {
	mount := c.Slot("mask")
	missing := c.lookup(label, name, pathFlags, inRoot).Into(dst).Tolerate(unix.ENOENT)
	c.Call(label, unix.SYS_OPEN_TREE, plan.Lit(unix.AT_FDCWD), c.String("/dev/null"), plan.Lit(cloneTree)).Into(mount)
	c.setattr(label, mount.Arg(), false, attr{set: unix.MOUNT_ATTR_RDONLY, propagation: unix.MS_PRIVATE})
	c.move(label, mount, dst)
	c.close(dst, mount)
	return missing
}

func sortedDirs(dirs map[string]plan.Slot) []string { return slices.Sorted(maps.Keys(dirs)) }
