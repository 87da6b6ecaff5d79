package compile

import (
	"path"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/runtime/kernel"
	"github.com/berth-project/berth/runtime/plan"
	"github.com/berth-project/berth/runtime/spec"
)

// The names of the handles that a container's plan takes. Every plan takes
// Stdin, Stdout, Stderr, Start and Placed; then one for each of
// Request.ListenFDs, named by ListenHandle.
const (
	Stdin  = "stdin"
	Stdout = "stdout"
	Stderr = "stderr"
	// Start is the FIFO, opened O_RDWR, from which the child reads the byte
	// that starts the user's program.
	Start = "start"
	// Placed is the read end of a pipe: one byte says that the child is in its
	// scope, the end of file that its creator has given up.
	Placed = "placed"
)

// Request is what a container is compiled from.
type Request struct {
	// Spec has passed spec.Validate without errors.
	Spec *specs.Spec
	// Bundle is the absolute path of the directory that relative paths start from.
	Bundle string
	Facts  kernel.Facts
	// ListenFDs are the names of the sockets that the program inherits as fds
	// 3 and up, with LISTEN_FDS and LISTEN_FDNAMES. See sd_listen_fds(3).
	ListenFDs []string
	// Environment is added to process.env, replacing variables of the same name.
	Environment []string
}

// ListenHandle is the handle of the i-th of Request.ListenFDs.
func ListenHandle(i int) string { return "listen" + itoa(i) }

// compiler is one compilation: the plan so far and the slots that later steps use.
type compiler struct {
	plan.Builder
	Request
	root      plan.Slot // the container's root, a mount
	dev       plan.Slot // the container's /dev
	start     plan.Slot
	placedFD  plan.Slot
	placed    bool                                   // the barrier has been passed
	trees     map[int]plan.Slot                      // detached mounts of bind sources, by index into mounts
	joins     map[specs.LinuxNamespaceType]plan.Slot // namespaces to join, opened
	proc      plan.Slot                              // a detached procfs of the container's namespaces
	late      []int                                  // mounts that wait until the child is in its scope, by index
	procMount int                                    // index of the mount that proc will become, or -1
}

// Container compiles the plan of a container's first process. Its error, if
// any, is a *spec.InvalidError: findings of what only the whole configuration
// shows.
func Container(r Request) (*plan.Program, error) {
	if err := check(r).Err(); err != nil {
		return nil, err
	}
	c := &compiler{Request: r, trees: map[int]plan.Slot{}, procMount: -1}
	c.entry()
	c.fork()
	c.session()
	c.prepare()
	c.namespaces()
	c.attachRoot()
	c.uts()
	c.procFS()
	c.sysctls()
	c.oomScore()
	c.mounts()
	c.devices()
	c.readonlyPaths()
	c.maskedPaths()
	c.pivot()
	c.waitPlaced()
	c.lateMounts()
	c.finishRoot()
	c.propagation()
	c.process()
	c.exec()
	return c.Program()
}

// entry takes the handles.
func (c *compiler) entry() {
	stdio := []string{Stdin, Stdout, Stderr}
	for i, name := range stdio {
		c.Call("set "+name, unix.SYS_DUP3, c.Handle(name).Arg(), plan.Lit(i), plan.Lit(0))
	}
	c.start, c.placedFD = c.Handle(Start), c.Handle(Placed)
	for i, name := range c.ListenFDs {
		c.Call("pass socket "+quote(name), unix.SYS_DUP3, c.Handle(ListenHandle(i)).Arg(), plan.Lit(firstListenFD+i), plan.Lit(0))
	}
}

// session frees the process from what is the caller's: session, terminal and
// process group, keyring (see session-keyring(7)) and umask. It comes after the
// fork, because a session is not inherited with its leadership.
func (c *compiler) session() {
	c.Call("make session", unix.SYS_SETSID)
	c.Call("make session keyring", unix.SYS_KEYCTL, plan.Lit(unix.KEYCTL_JOIN_SESSION_KEYRING), plan.Lit(0)).
		Tolerate(unix.ENOSYS, unix.EPERM, unix.EDQUOT)
	c.Call("reset umask", unix.SYS_UMASK, plan.Lit(0))
}

// prepare opens what host paths name, while the child still is in the host's
// mount namespace.
func (c *compiler) prepare() {
	c.openNamespaces()
	c.openRoot()
	for i, m := range c.Spec.Mounts {
		if flags, _ := spec.ParseMountOptions(m.Options); flags.Bind && !flags.Remount {
			c.openBind(i, m, flags)
		}
	}
}

// openRoot makes a detached mount of the rootfs. No part of root.path below
// the bundle may be a symbolic link: it would name a directory that the
// bundle's author does not own.
func (c *compiler) openRoot() {
	label := "open root " + quote(c.Spec.Root.Path)
	fd := c.Slot("rootfs")
	base, rel, resolve := plan.Lit(unix.AT_FDCWD), c.Spec.Root.Path, uint64(unix.RESOLVE_NO_SYMLINKS)
	if !path.IsAbs(rel) {
		bundle := c.Slot("bundle")
		c.Call("open bundle "+quote(c.Bundle), unix.SYS_OPENAT, base, c.String(c.Bundle), plan.Lit(dirFlags)).Into(bundle)
		base, resolve = bundle.Arg(), resolve|unix.RESOLVE_BENEATH
	}
	c.Call(label, unix.SYS_OPENAT2, base, c.String(rel), c.how(dirFlags, 0, resolve), plan.Lit(howSize)).Into(fd).With(plan.RetryAgain)
	c.root = c.Slot("root")
	c.Call(label, unix.SYS_OPEN_TREE, fd.Arg(), c.String(""), plan.Lit(cloneTree|unix.AT_RECURSIVE|unix.AT_EMPTY_PATH)).Into(c.root)
	propagation := uint64(unix.MS_PRIVATE)
	if p := c.Spec.Linux.RootfsPropagation; p == "slave" || p == "rslave" {
		propagation = unix.MS_SLAVE
	}
	c.setattr(label, c.root.Arg(), true, attr{propagation: propagation})
}

// attachRoot puts the root on top of "/" of the new mount namespace, where
// pivot_root(2) will take it from; paths of the host still resolve below it.
func (c *compiler) attachRoot() {
	c.Call("make mounts private", unix.SYS_MOUNT_SETATTR, plan.Lit(unix.AT_FDCWD), c.String("/"), plan.Lit(unix.AT_RECURSIVE),
		c.Words(0, 0, unix.MS_PRIVATE, 0), plan.Lit(attrSize))
	c.Call("attach root", unix.SYS_MOVE_MOUNT, c.root.Arg(), c.String(""), plan.Lit(unix.AT_FDCWD), c.String("/"), plan.Lit(unix.MOVE_MOUNT_F_EMPTY_PATH))
}

// finishRoot sets what would have been in the way before.
func (c *compiler) finishRoot() {
	if c.Spec.Root.Readonly {
		c.setattr("make root read-only", c.root.Arg(), false, attr{set: unix.MOUNT_ATTR_RDONLY})
	}
}

// propagation sets that of the root. It follows pivot_root(2), which refuses a shared root.
func (c *compiler) propagation() {
	if p, _ := spec.Propagation(c.Spec.Linux.RootfsPropagation); p != 0 {
		top, all := propagationOf(p)
		c.setattr("set rootfsPropagation", c.root.Arg(), all != 0, attr{propagation: top | all})
	}
}

// pivot makes the container's root the root, and drops the host's tree.
func (c *compiler) pivot() {
	dot := c.String(".")
	c.Call("enter root", unix.SYS_FCHDIR, c.root.Arg())
	c.Call("pivot root", unix.SYS_PIVOT_ROOT, dot, dot)
	c.Call("unmount host", unix.SYS_UMOUNT2, dot, plan.Lit(unix.MNT_DETACH))
	c.Call("enter root", unix.SYS_CHDIR, c.String("/"))
}

// waitPlaced waits, once, until the child is in its scope.
func (c *compiler) waitPlaced() {
	if c.placed {
		return
	}
	c.placed = true
	c.Call("wait for scope", unix.SYS_READ, c.placedFD.Arg(), c.Bytes(make([]byte, 1)), plan.Lit(1)).With(plan.NonZero)
	if c.newNamespace(specs.CgroupNamespace) {
		c.Call("make cgroup namespace", unix.SYS_UNSHARE, plan.Lit(unix.CLONE_NEWCGROUP))
	}
}
