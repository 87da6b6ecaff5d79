package compile

import (
	"maps"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/runtime/spec"
)

// procFS makes a detached procfs of the container's namespaces, if something
// has to be written to one. Nobody else can reach it, so nothing can redirect
// the write (CVE-2025-52881, CVE-2019-19921); it becomes the container's /proc
// where that is a plain mount of it.
func (c *compiler) procFS() {
	if len(c.Spec.Linux.Sysctl) == 0 && c.Spec.Process.OOMScoreAdj == nil {
		return
	}
	for i, m := range c.Spec.Mounts {
		f, _ := spec.ParseMountOptions(m.Options)
		if m.Type == "proc" && !f.Bind && len(f.Data) == 0 && f.AttrSet&unix.MOUNT_ATTR_RDONLY == 0 {
			c.procMount = i
			c.proc = c.newMount("mount proc on "+quote(m.Destination), "proc", m.Source, f)
			return
		}
	}
	c.proc = c.newMount("mount proc, detached", "proc", "", spec.MountFlags{})
}

// procOnly refuses everything but files of that very procfs.
const procOnly = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_MAGICLINKS

// sysctls writes the parameters of the namespaces.
func (c *compiler) sysctls() {
	for _, name := range slices.Sorted(maps.Keys(c.Spec.Linux.Sysctl)) {
		value := c.Spec.Linux.Sysctl[name]
		parts, _ := spec.SysctlPath(name)
		c.writeFile("set sysctl "+quote(name)+" to "+quote(value), c.proc, "sys/"+strings.Join(parts, "/"), procOnly|unix.RESOLVE_NO_SYMLINKS, value)
	}
}

func (c *compiler) oomScore() {
	if adj := c.Spec.Process.OOMScoreAdj; adj != nil {
		c.writeFile("set oomScoreAdj to "+itoa(*adj), c.proc, "self/oom_score_adj", procOnly, itoa(*adj))
	}
}
