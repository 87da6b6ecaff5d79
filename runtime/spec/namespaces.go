package spec

import (
	"path"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// namespaceFlags by type, see namespaces(7).
var namespaceFlags = map[specs.LinuxNamespaceType]uint64{
	specs.PIDNamespace: unix.CLONE_NEWPID, specs.NetworkNamespace: unix.CLONE_NEWNET, specs.MountNamespace: unix.CLONE_NEWNS,
	specs.IPCNamespace: unix.CLONE_NEWIPC, specs.UTSNamespace: unix.CLONE_NEWUTS, specs.UserNamespace: unix.CLONE_NEWUSER,
	specs.CgroupNamespace: unix.CLONE_NEWCGROUP, specs.TimeNamespace: unix.CLONE_NEWTIME,
}

// NamespaceFlag returns the CLONE_NEW* flag of a type, for unshare(2) and setns(2).
func NamespaceFlag(typ specs.LinuxNamespaceType) (flag uint64, ok bool) {
	flag, ok = namespaceFlags[typ]
	return flag, ok
}

// namespace returns the first entry of a type.
func (c *checker) namespace(typ specs.LinuxNamespaceType) (specs.LinuxNamespace, bool) {
	for _, ns := range c.linux.Namespaces {
		if ns.Type == typ {
			return ns, true
		}
	}
	return specs.LinuxNamespace{}, false
}

// isNew reports whether the container gets a namespace of this type for itself.
func (c *checker) isNew(typ specs.LinuxNamespaceType) bool {
	ns, ok := c.namespace(typ)
	return ok && ns.Path == ""
}

func (c *checker) namespaces() {
	seen := map[specs.LinuxNamespaceType]bool{}
	for i, ns := range c.linux.Namespaces {
		at := index("linux.namespaces", i)
		_, known := NamespaceFlag(ns.Type)
		switch {
		case !known:
			c.errorf(at+".type", refNamespaces, "%s is not a type of namespace", quote(string(ns.Type)))
		case seen[ns.Type]:
			c.errorf(at+".type", refNamespaces, "%s is given twice", quote(string(ns.Type)))
		case ns.Type == specs.UserNamespace:
			c.refuse(at, refNamespaces, causeUserNS)
		case ns.Type == specs.MountNamespace && ns.Path != "":
			c.refuse(at+".path", refNamespaces, "Berth sets up the root file system in a mount namespace of its own; leave the path empty")
		}
		if ns.Path != "" && !path.IsAbs(ns.Path) {
			c.errorf(at+".path", refNamespaces, "%s is not an absolute path", quote(ns.Path))
		}
		seen[ns.Type] = true
	}
	if !seen[specs.MountNamespace] {
		c.errorf("linux.namespaces", refNamespaces, "have no entry of type \"mount\"; without it the container's mounts would be the host's")
	}
}
