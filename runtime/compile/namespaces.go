package compile

import (
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/runtime/plan"
	"github.com/berth-project/berth/runtime/spec"
)

// newNamespace reports whether the container gets a new namespace of a kind.
func (c *compiler) newNamespace(kind specs.LinuxNamespaceType) bool {
	for _, ns := range c.Spec.Linux.Namespaces {
		if ns.Type == kind {
			return ns.Path == ""
		}
	}
	return false
}

// openNamespaces opens those to join; the paths are the host's.
func (c *compiler) openNamespaces() {
	for _, ns := range c.Spec.Linux.Namespaces {
		if ns.Path != "" {
			c.Call("open "+string(ns.Type)+" namespace "+quote(ns.Path), unix.SYS_OPENAT, plan.Lit(unix.AT_FDCWD), c.String(ns.Path),
				plan.Lit(unix.O_RDONLY|unix.O_CLOEXEC)).Into(c.namespaceSlot(ns.Type))
		}
	}
}

func (c *compiler) namespaceSlot(kind specs.LinuxNamespaceType) plan.Slot {
	if c.nsSlots == nil {
		c.nsSlots = map[specs.LinuxNamespaceType]plan.Slot{}
	}
	s, ok := c.nsSlots[kind]
	if !ok {
		s = c.Slot(string(kind) + "-ns")
		c.nsSlots[kind] = s
	}
	return s
}

// namespaces joins and makes namespaces. A PID namespace to join and any time
// namespace only act on children, hence the fork; a new PID namespace comes
// with the first clone(2) where no fork is needed anyway. The cgroup namespace
// waits for the scope.
func (c *compiler) namespaces() {
	var fresh, late uint64
	var names []string
	fork := false
	for _, ns := range c.Spec.Linux.Namespaces {
		flag, _ := spec.NamespaceFlag(ns.Type)
		switch {
		case ns.Path != "":
			fd := c.namespaceSlot(ns.Type)
			c.Call("join "+string(ns.Type)+" namespace "+quote(ns.Path), unix.SYS_SETNS, fd.Arg(), plan.Lit(flag))
			c.close(fd)
			fork = fork || ns.Type == specs.PIDNamespace || ns.Type == specs.TimeNamespace
		case ns.Type == specs.CgroupNamespace:
		case ns.Type == specs.PIDNamespace:
			late = flag
		default:
			fresh |= flag
			names = append(names, string(ns.Type))
			fork = fork || ns.Type == specs.TimeNamespace
		}
	}
	if fork {
		fresh |= late
	} else {
		c.CloneFlags(late)
	}
	c.Call("make namespaces "+strings.Join(names, ", "), unix.SYS_UNSHARE, plan.Lit(fresh))
	if fork {
		c.Fork("fork into namespaces")
	}
	if c.newNamespace(specs.NetworkNamespace) {
		c.loopback()
	}
}

// loopback sets the lo link up. See netdevice(7).
func (c *compiler) loopback() {
	fd := c.Slot("socket")
	ifreq := make([]byte, 40) // struct ifreq: name, then the flags
	copy(ifreq, "lo")
	ifreq[unix.IFNAMSIZ] = unix.IFF_UP
	c.Call("set loopback up", unix.SYS_SOCKET, plan.Lit(unix.AF_INET), plan.Lit(unix.SOCK_DGRAM|unix.SOCK_CLOEXEC), plan.Lit(0)).Into(fd)
	c.Call("set loopback up", unix.SYS_IOCTL, fd.Arg(), plan.Lit(unix.SIOCSIFFLAGS), c.Bytes(ifreq))
	c.close(fd)
}

// uts sets the names of a UTS namespace of the container's own or a joined one.
func (c *compiler) uts() {
	if h := c.Spec.Hostname; h != "" {
		c.Call("set hostname "+quote(h), unix.SYS_SETHOSTNAME, c.String(h), plan.Lit(len(h)))
	}
	if d := c.Spec.Domainname; d != "" {
		c.Call("set domainname "+quote(d), unix.SYS_SETDOMAINNAME, c.String(d), plan.Lit(len(d)))
	}
}
