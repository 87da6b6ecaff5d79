package compile

import (
	"path"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/runtime/plan"
	"github.com/berth-project/berth/runtime/spec"
)

// openBind makes a detached copy of a bind mount's source, with its final
// attributes: it is complete before anything of the container can see it.
// Without a propagation word it is private: mounts made on the host later
// stay out, and the container's stay in.
func (c *compiler) openBind(i int, m specs.Mount, f spec.MountFlags) {
	label := "bind " + quote(m.Source) + " on " + quote(m.Destination)
	source := m.Source
	if !path.IsAbs(source) {
		source = path.Join(c.Bundle, source)
	}
	tree := c.Slot("mount" + itoa(i))
	c.trees[i] = tree
	flags := cloneTree
	if f.RecBind {
		flags |= unix.AT_RECURSIVE
	}
	c.Call(label, unix.SYS_OPEN_TREE, plan.Lit(unix.AT_FDCWD), c.String(source), plan.Lit(flags)).Into(tree)
	top, all := propagationOf(f.Propagation)
	switch {
	case top == unix.MS_SLAVE || top == unix.MS_SHARED:
		// What was private once has lost its peers on the host, so the word is for all of the tree.
		top, all = 0, top
	case all == 0:
		all = unix.MS_PRIVATE
	}
	c.setattr(label, tree.Arg(), true, attr{set: f.RecAttrSet, clear: f.RecAttrClear, propagation: all})
	if own := (attr{set: f.AttrSet, clear: f.AttrClear, propagation: top}); own != (attr{}) {
		c.setattr(label, tree.Arg(), false, own)
	}
}

// propagationOf splits a propagation flag into what the top mount and what
// the whole tree gets.
func propagationOf(flags uint64) (top, all uint64) {
	if flags&unix.MS_REC != 0 {
		return 0, flags &^ unix.MS_REC
	}
	return flags, 0
}

// mounts makes the mounts, in the order of the configuration.
func (c *compiler) mounts() {
	for i, m := range c.Spec.Mounts {
		f, _ := spec.ParseMountOptions(m.Options)
		if tree, ok := c.trees[i]; ok {
			c.attachBind(m, tree)
			continue
		}
		if f.Remount {
			c.remount(m, f)
			continue
		}
		if isCgroup(m) {
			if c.standsAlone(i) {
				c.late = append(c.late, i)
				continue
			}
			c.waitPlaced()
		}
		c.attachNew(i, m, f)
	}
}

// lateMounts mounts cgroups where nothing else depends on them: all before
// them is done while systemd makes the scope.
func (c *compiler) lateMounts() {
	for _, i := range c.late {
		m := c.Spec.Mounts[i]
		f, _ := spec.ParseMountOptions(m.Options)
		c.attachNew(i, m, f)
	}
}

func isCgroup(m specs.Mount) bool { return m.Type == "cgroup" || m.Type == "cgroup2" }

// standsAlone reports whether a mount can be made last: nothing that comes
// after it has to do with its destination.
func (c *compiler) standsAlone(i int) bool {
	dst := c.Spec.Mounts[i].Destination
	var others []string
	for _, m := range c.Spec.Mounts[i+1:] {
		others = append(others, m.Destination)
	}
	for _, d := range c.Spec.Linux.Devices {
		others = append(others, d.Path)
	}
	others = append(append(others, c.Spec.Linux.MaskedPaths...), c.Spec.Linux.ReadonlyPaths...)
	return !slices.ContainsFunc(others, func(other string) bool { return related(dst, other) })
}

// related reports whether one of two paths of the container lies below the
// other, or is it. Links are not followed: one that leads into a cgroup tree
// would at worst end up below it.
func related(a, b string) bool {
	a, b = below(a)+"/", below(b)+"/"
	return strings.HasPrefix(a, b) || strings.HasPrefix(b, a)
}

// remount changes the mount that is on the destination: its attributes, and
// without "bind" also its file system's options. See fspick(2).
func (c *compiler) remount(m specs.Mount, f spec.MountFlags) {
	label := "remount " + quote(m.Destination)
	dst := c.Slot("target")
	c.lookup(label, m.Destination, pathFlags, inRoot).Into(dst)
	if !f.Bind && len(f.Data)+len(f.SBFlags) > 0 {
		fs := c.Slot("fs")
		c.Call(label, unix.SYS_FSPICK, dst.Arg(), c.String(""), plan.Lit(unix.FSPICK_CLOEXEC|unix.FSPICK_EMPTY_PATH)).Into(fs)
		c.options(label, fs, f)
		c.Call(label, unix.SYS_FSCONFIG, fs.Arg(), plan.Lit(unix.FSCONFIG_CMD_RECONFIGURE), plan.Lit(0), plan.Lit(0), plan.Lit(0))
		c.close(fs)
	}
	top, all := propagationOf(f.Propagation)
	if rec := (attr{set: f.RecAttrSet, clear: f.RecAttrClear, propagation: all}); rec != (attr{}) {
		c.setattr(label, dst.Arg(), true, rec)
	}
	if own := (attr{set: f.AttrSet, clear: f.AttrClear, propagation: top}); own != (attr{}) {
		c.setattr(label, dst.Arg(), false, own)
	}
	c.close(dst)
}

func (c *compiler) attachBind(m specs.Mount, tree plan.Slot) {
	label := "bind " + quote(m.Source) + " on " + quote(m.Destination)
	dst := c.Slot("target")
	c.target(label, m.Destination, inRoot, dst, func(parent plan.Slot, base string) {
		c.likeSource(label, tree, parent, base)
	})
	c.move(label, tree, dst)
	c.close(dst, tree)
}

// likeSource makes the missing target of a bind mount: a directory for a
// directory, an empty file for anything else.
func (c *compiler) likeSource(label string, tree, parent plan.Slot, base string) {
	dir := c.Slot("source/")
	c.Call(label, unix.SYS_OPENAT, tree.Arg(), c.String("."), plan.Lit(dirFlags)).Into(dir).Tolerate(unix.ENOTDIR)
	file := c.Unless(label, dir)
	c.close(dir)
	made := c.mkdir(label, parent, base)
	file.JumpFailed()
	c.Call(label, unix.SYS_MKNODAT, parent.Arg(), c.String(base), plan.Lit(unix.S_IFREG|0o644), plan.Lit(0)).Tolerate(unix.EEXIST)
	made.JumpDone()
	made.JumpFailed()
}

// attachNew mounts a new file system. The kinds whose place in the tree other
// programs rely on refuse links on the way to it.
func (c *compiler) attachNew(i int, m specs.Mount, f spec.MountFlags) {
	kind := m.Type
	if kind == "cgroup" {
		kind = "cgroup2"
	}
	label := "mount " + m.Type + " on " + quote(m.Destination)
	mount := c.proc
	if i != c.procMount {
		mount = c.newMount(label, kind, m.Source, f)
	}
	resolve := uint64(inRoot)
	if kind != "tmpfs" {
		resolve = plain
	}
	dst := c.Slot("target")
	c.target(label, m.Destination, resolve, dst, func(parent plan.Slot, base string) { c.mkdir(label, parent, base) })
	c.move(label, mount, dst)
	if top, all := propagationOf(f.Propagation); top|all != 0 {
		c.setattr(label, mount.Arg(), all != 0, attr{propagation: top | all})
	}
	c.close(dst, mount)
}

// newMount makes a detached mount of a new file system. Whether it is
// read-only is the mount's attribute: some of the kinds share one superblock
// with the host.
func (c *compiler) newMount(label, kind, source string, f spec.MountFlags) plan.Slot {
	fs, mount := c.Slot("fs"), c.Slot(kind)
	c.Call(label, unix.SYS_FSOPEN, c.String(kind), plan.Lit(unix.FSOPEN_CLOEXEC)).Into(fs)
	if source != "" {
		c.fsconfig(label, fs, "source", source)
	}
	c.options(label, fs, f)
	c.Call(label, unix.SYS_FSCONFIG, fs.Arg(), plan.Lit(unix.FSCONFIG_CMD_CREATE), plan.Lit(0), plan.Lit(0), plan.Lit(0))
	c.Call(label, unix.SYS_FSMOUNT, fs.Arg(), plan.Lit(unix.FSMOUNT_CLOEXEC), plan.Lit(f.AttrSet|f.RecAttrSet)).Into(mount)
	c.close(fs)
	return mount
}

// options are those of the file system; read-only is left to the mount.
func (c *compiler) options(label string, fs plan.Slot, f spec.MountFlags) {
	for _, flag := range f.SBFlags {
		if flag != "ro" {
			c.Call(label+": option "+quote(flag), unix.SYS_FSCONFIG, fs.Arg(), plan.Lit(unix.FSCONFIG_SET_FLAG), c.String(flag), plan.Lit(0), plan.Lit(0))
		}
	}
	for _, option := range f.Data {
		key, value, ok := strings.Cut(option, "=")
		if ok {
			c.fsconfig(label+": option "+quote(option), fs, key, value)
			continue
		}
		c.Call(label+": option "+quote(option), unix.SYS_FSCONFIG, fs.Arg(), plan.Lit(unix.FSCONFIG_SET_FLAG), c.String(key), plan.Lit(0), plan.Lit(0))
	}
}

func (c *compiler) fsconfig(label string, fs plan.Slot, key, value string) {
	c.Call(label, unix.SYS_FSCONFIG, fs.Arg(), plan.Lit(unix.FSCONFIG_SET_STRING), c.String(key), c.String(value), plan.Lit(0))
}
