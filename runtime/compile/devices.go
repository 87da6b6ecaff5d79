package compile

import (
	"io/fs"
	"path"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/runtime/plan"
	"github.com/berth-project/berth/runtime/spec"
)

// node is a device node to make.
type node struct {
	path     string
	mode     uint64 // S_IFCHR and so on, with permissions
	dev      uint64
	uid, gid uint32
}

// defaultDevices are those of config-linux.md#default-devices, /dev/console
// and /dev/ptmx apart: one needs a terminal, the other is a link into devpts.
var defaultDevices = []node{
	{path: "/dev/null", dev: unix.Mkdev(1, 3)},
	{path: "/dev/zero", dev: unix.Mkdev(1, 5)},
	{path: "/dev/full", dev: unix.Mkdev(1, 7)},
	{path: "/dev/random", dev: unix.Mkdev(1, 8)},
	{path: "/dev/urandom", dev: unix.Mkdev(1, 9)},
	{path: "/dev/tty", dev: unix.Mkdev(5, 0)},
}

// links are what programs expect in /dev next to the devices: see
// runtime-linux.md#dev-symbolic-links.
var links = [][2]string{
	{"/proc/self/fd", "fd"},
	{"/proc/self/fd/0", "stdin"},
	{"/proc/self/fd/1", "stdout"},
	{"/proc/self/fd/2", "stderr"},
	{"pts/ptmx", "ptmx"},
}

// devices makes the device nodes and links. A /dev that is a bind mount
// belongs to whoever made it: only what the configuration lists goes there.
func (c *compiler) devices() {
	var nodes []node
	if c.ownDev() {
		for _, d := range defaultDevices {
			if !c.listsDevice(d.path) {
				d.mode = unix.S_IFCHR | 0o666
				nodes = append(nodes, d)
			}
		}
	}
	for _, d := range c.Spec.Linux.Devices {
		nodes = append(nodes, specNode(d))
	}
	dirs := map[string]plan.Slot{}
	for _, n := range nodes {
		c.mknod(c.parent(dirs, n.path), n)
	}
	if c.ownDev() {
		for _, l := range links {
			c.Call("link "+quote("/dev/"+l[1]), unix.SYS_SYMLINKAT, c.String(l[0]), c.parent(dirs, "/dev/"+l[1]).Arg(), c.String(l[1])).Tolerate(unix.EEXIST)
		}
	}
	for _, name := range sortedDirs(dirs) {
		c.close(dirs[name])
	}
}

// parent is the directory of a path, opened once.
func (c *compiler) parent(dirs map[string]plan.Slot, name string) plan.Slot {
	dir := path.Dir(path.Clean("/" + name))
	s, ok := dirs[dir]
	if !ok {
		s = c.directory("open directory "+quote(dir), dir)
		dirs[dir] = s
	}
	return s
}

func (c *compiler) mknod(dir plan.Slot, n node) {
	label := "make device " + quote(n.path)
	base := c.String(path.Base(n.path))
	made := c.Call(label, unix.SYS_MKNODAT, dir.Arg(), base, plan.Lit(n.mode), plan.Lit(n.dev)).Tolerate(unix.EEXIST)
	if n.uid|n.gid != 0 {
		c.Call(label, unix.SYS_FCHOWNAT, dir.Arg(), base, plan.Lit(n.uid), plan.Lit(n.gid), plan.Lit(unix.AT_SYMLINK_NOFOLLOW))
	}
	made.JumpFailed()
}

func specNode(d specs.LinuxDevice) node {
	kind, _ := spec.DeviceType(d.Type)
	n := node{path: d.Path, mode: uint64(kind) | 0o666}
	if d.FileMode != nil {
		n.mode = uint64(kind) | permissions(*d.FileMode)
	}
	if d.Type != "p" {
		n.dev = unix.Mkdev(uint32(d.Major), uint32(d.Minor))
	}
	if d.UID != nil {
		n.uid = *d.UID
	}
	if d.GID != nil {
		n.gid = *d.GID
	}
	return n
}

// permissions are the low bits of a fileMode: os.FileMode in the Go types of
// the specification, but the number of chmod(2) in its JSON.
func permissions(m fs.FileMode) uint64 { return uint64(m) & 0o7777 }

// ownDev reports whether /dev is the container's own.
func (c *compiler) ownDev() bool {
	for _, m := range c.Spec.Mounts {
		f, _ := spec.ParseMountOptions(m.Options)
		if path.Clean("/"+m.Destination) == "/dev" && f.Bind {
			return false
		}
	}
	return true
}

func (c *compiler) listsDevice(name string) bool {
	for _, d := range c.Spec.Linux.Devices {
		if path.Clean("/"+d.Path) == name {
			return true
		}
	}
	return false
}
