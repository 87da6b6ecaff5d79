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

// forking are the namespaces that act on children only when they are joined
// or, for the time namespace, also when they are made.
func (c *compiler) forking() (joins []specs.LinuxNamespace, fresh uint64) {
	for _, ns := range c.Spec.Linux.Namespaces {
		flag, _ := spec.NamespaceFlag(ns.Type)
		switch {
		case ns.Type != specs.PIDNamespace && ns.Type != specs.TimeNamespace:
		case ns.Path != "":
			joins = append(joins, ns)
		default:
			fresh |= flag
		}
	}
	if len(joins) == 0 && fresh&unix.CLONE_NEWTIME == 0 {
		c.CloneFlags(fresh) // a new PID namespace comes with the first clone(2)
		return nil, 0
	}
	return joins, fresh
}

// fork enters those namespaces and goes on in a child of the same parent. It
// comes first, before any path of a bundle is touched: whoever runs the plan
// waits for it.
func (c *compiler) fork() {
	joins, fresh := c.forking()
	if len(joins) == 0 && fresh == 0 {
		return
	}
	for _, ns := range joins {
		c.join(ns, c.openNamespace(ns))
	}
	if fresh != 0 {
		c.Call("make namespaces", unix.SYS_UNSHARE, plan.Lit(fresh))
	}
	c.Fork("fork into namespaces")
}

// openNamespace does not wait, whatever the path names: a FIFO is no namespace.
func (c *compiler) openNamespace(ns specs.LinuxNamespace) plan.Slot {
	fd := c.Slot(string(ns.Type) + "-ns")
	c.Call("open "+string(ns.Type)+" namespace "+quote(ns.Path), unix.SYS_OPENAT, plan.Lit(unix.AT_FDCWD), c.String(ns.Path),
		plan.Lit(unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK)).Into(fd)
	return fd
}

func (c *compiler) join(ns specs.LinuxNamespace, fd plan.Slot) {
	flag, _ := spec.NamespaceFlag(ns.Type)
	c.Call("join "+string(ns.Type)+" namespace "+quote(ns.Path), unix.SYS_SETNS, fd.Arg(), plan.Lit(flag))
	c.close(fd)
}

// openNamespaces opens the others that are to be joined; the paths are the host's.
func (c *compiler) openNamespaces() {
	c.joins = map[specs.LinuxNamespaceType]plan.Slot{}
	for _, ns := range c.Spec.Linux.Namespaces {
		if ns.Path != "" && !forks(ns.Type) {
			c.joins[ns.Type] = c.openNamespace(ns)
		}
	}
}

func forks(kind specs.LinuxNamespaceType) bool {
	return kind == specs.PIDNamespace || kind == specs.TimeNamespace
}

// namespaces joins and makes the others. A new cgroup namespace waits for the scope.
func (c *compiler) namespaces() {
	var fresh uint64
	var names []string
	for _, ns := range c.Spec.Linux.Namespaces {
		flag, _ := spec.NamespaceFlag(ns.Type)
		fd, joined := c.joins[ns.Type]
		switch {
		case joined:
			c.join(ns, fd)
		case !forks(ns.Type) && ns.Type != specs.CgroupNamespace:
			fresh |= flag
			names = append(names, string(ns.Type))
		}
	}
	c.Call("make namespaces "+strings.Join(names, ", "), unix.SYS_UNSHARE, plan.Lit(fresh))
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
