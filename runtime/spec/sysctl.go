package spec

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// SysctlPath returns the path components below /proc/sys of a sysctl name. As in sysctl(8), the first
// separator decides: after a "." the rest is separated by "." and "/" stands for a dot in a component, after
// a "/" it is the other way round. Every component is plain, so none can leave /proc/sys.
func SysctlPath(name string) ([]string, error) {
	separated := name
	if i := strings.IndexAny(name, "./"); i >= 0 && name[i] == '.' {
		separated = strings.NewReplacer(".", "/", "/", ".").Replace(name)
	}
	parts := strings.Split(separated, "/")
	for _, part := range parts {
		if part == "" || part == "." || part == ".." || strings.ContainsFunc(part, notInSysctl) {
			return nil, fmt.Errorf("parse sysctl %s: only letters, digits, \"_\", \"-\" and \":\" between single dots are allowed", quote(name))
		}
	}
	return parts, nil
}

func notInSysctl(r rune) bool {
	return r > 0x7f || !isAlphanumeric(byte(r)) && !strings.ContainsRune("_-:.", r)
}

// sysctlScope tells which namespace a sysctl belongs to; all others are the host's. See ipc_namespaces(7),
// uts_namespaces(7), network_namespaces(7).
func sysctlScope(parts []string) (typ specs.LinuxNamespaceType, ok bool) {
	name := strings.Join(parts, "/")
	switch name {
	case "kernel/msgmax", "kernel/msgmnb", "kernel/msgmni", "kernel/sem", "kernel/shmall", "kernel/shmmax",
		"kernel/shmmni", "kernel/shm_rmid_forced":
		return specs.IPCNamespace, true
	case "kernel/hostname", "kernel/domainname":
		return specs.UTSNamespace, true
	}
	switch {
	case strings.HasPrefix(name, "fs/mqueue/"):
		return specs.IPCNamespace, true
	case strings.HasPrefix(name, "net/"):
		return specs.NetworkNamespace, true
	}
	return "", false
}

func (c *checker) sysctls() {
	first := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(c.linux.Sysctl)) {
		at := key("linux.sysctl", name)
		parts, err := SysctlPath(name)
		if err != nil {
			c.errorf(at, refSysctl, "%v", err)
			continue
		}
		file := strings.Join(parts, "/")
		if other, again := first[file]; again {
			c.errorf(at, refSysctl, "is the same as %s", quote(other))
		}
		first[file] = name
		c.sysctlNamespace(at, parts)
		c.sysctlValue(at, file, c.linux.Sysctl[name])
	}
}

// sysctlNamespace wants a new namespace: a joined one belongs to others, and may be the host's.
func (c *checker) sysctlNamespace(at string, parts []string) {
	switch typ, ok := sysctlScope(parts); {
	case !ok:
		c.errorf(at, refSysctl, "is not separate for each namespace: it would change the host's")
	case !c.isNew(typ):
		c.errorf(at, refSysctl, "needs a new namespace of type %q", typ)
	}
}

func (c *checker) sysctlValue(at, file, value string) {
	const most = 4095 // a page with its NUL (Linux: fs/proc/proc_sysctl.c)
	switch {
	case value == "":
		c.errorf(at, refSysctl, "is empty; the kernel would ignore it")
	case strings.ContainsRune(value, '\n'):
		c.errorf(at, refSysctl, "%s contains a newline", quote(value))
	case len(value) > most:
		c.errorf(at, refSysctl, "has %d bytes; at most %d are possible", len(value), most)
	}
	switch {
	case file == "kernel/hostname" && c.spec.Hostname != "" && c.spec.Hostname != value:
		c.errorf(at, refSysctl, "%s contradicts hostname, which is %s", quote(value), quote(c.spec.Hostname))
	case file == "kernel/domainname" && c.spec.Domainname != "" && c.spec.Domainname != value:
		c.errorf(at, refSysctl, "%s contradicts domainname, which is %s", quote(value), quote(c.spec.Domainname))
	}
}
