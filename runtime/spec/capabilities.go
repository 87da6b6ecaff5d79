package spec

import (
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// capabilityNames by number, see capabilities(7).
var capabilityNames = [unix.CAP_LAST_CAP + 1]string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
	"CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN",
	"CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT",
	"CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE",
	"CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
	"CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND",
	"CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
}

// Capability returns the number of a capability by its CAP_ name.
func Capability(name string) (number int, ok bool) {
	for i, n := range capabilityNames {
		if n == name {
			return i, true
		}
	}
	return 0, false
}

// CapabilitySets are the five sets of a process as masks of 1<<number, see capabilities(7).
type CapabilitySets struct{ Bounding, Effective, Inheritable, Permitted, Ambient uint64 }

// Capabilities returns the sets that c asks for, as far as the kernel grants them: unknown names are
// left out, and so is what is effective without being permitted, inheritable outside the bounding set, or
// ambient without being both permitted and inheritable (capset(2), PR_CAP_AMBIENT of prctl(2)). [Validate]
// warns of each. Without c all sets are empty.
func Capabilities(c *specs.LinuxCapabilities) CapabilitySets {
	if c == nil {
		return CapabilitySets{}
	}
	s := CapabilitySets{
		Bounding: capabilityMask(c.Bounding), Effective: capabilityMask(c.Effective), Permitted: capabilityMask(c.Permitted),
		Inheritable: capabilityMask(c.Inheritable), Ambient: capabilityMask(c.Ambient),
	}
	s.Effective &= s.Permitted
	s.Inheritable &= s.Bounding
	s.Ambient &= s.Permitted & s.Inheritable
	return s
}

func capabilityMask(names []string) uint64 {
	var mask uint64
	for _, name := range names {
		if n, ok := Capability(name); ok {
			mask |= 1 << n
		}
	}
	return mask
}

// capabilities are never refused: config.md#linux-process wants a warning for what cannot be granted.
func (c *checker) capabilities(caps *specs.LinuxCapabilities) {
	const path = "process.capabilities"
	if caps == nil {
		return
	}
	granted := Capabilities(caps)
	c.capabilitySet(path+".bounding", caps.Bounding, granted.Bounding, "")
	c.capabilitySet(path+".permitted", caps.Permitted, granted.Permitted, "")
	c.capabilitySet(path+".effective", caps.Effective, granted.Effective, "permitted")
	c.capabilitySet(path+".inheritable", caps.Inheritable, granted.Inheritable, "bounding")
	c.capabilitySet(path+".ambient", caps.Ambient, granted.Ambient, "permitted and inheritable")
}

func (c *checker) capabilitySet(path string, names []string, granted uint64, needs string) {
	for i, name := range names {
		n, ok := Capability(name)
		switch {
		case !ok:
			c.warnf(index(path, i), refLinuxProcess, "%s is no capability that Berth knows; it is left out", quote(name))
		case granted&(1<<n) == 0:
			c.warnf(index(path, i), refLinuxProcess, "%s is not also %s; the kernel does not grant it, so it is left out", name, needs)
		}
	}
}
