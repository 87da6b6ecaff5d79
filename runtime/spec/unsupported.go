package spec

import specs "github.com/opencontainers/runtime-spec/specs-go"

// refusal is a field that Berth refuses when it is set.
type refusal struct {
	path, ref, cause string
	kind             Kind
	set              func(s *specs.Spec) bool
}

// refusals that need nothing else.
var refusals = []refusal{
	{"hooks.prestart", refHooks, causeHooks, NotSupported, func(s *specs.Spec) bool {
		return s.Hooks != nil && len(s.Hooks.Prestart) > 0 //nolint:staticcheck // deprecated, but to be refused by name
	}},
	{"hooks.createRuntime", refHooks, causeHooks, NotSupported, func(s *specs.Spec) bool { return s.Hooks != nil && len(s.Hooks.CreateRuntime) > 0 }},
	{"hooks.createContainer", refHooks, causeHooks, NotSupported, func(s *specs.Spec) bool { return s.Hooks != nil && len(s.Hooks.CreateContainer) > 0 }},
	{"hooks.startContainer", refHooks, causeHooks, NotSupported, func(s *specs.Spec) bool { return s.Hooks != nil && len(s.Hooks.StartContainer) > 0 }},
	{"hooks.poststart", refHooks, causeHooks, NotSupported, func(s *specs.Spec) bool { return s.Hooks != nil && len(s.Hooks.Poststart) > 0 }},
	{"hooks.poststop", refHooks, causeHooks, NotSupported, func(s *specs.Spec) bool { return s.Hooks != nil && len(s.Hooks.Poststop) > 0 }},
	{"solaris", refPlatforms, causePlatform, Invalid, func(s *specs.Spec) bool { return s.Solaris != nil }},
	{"windows", refPlatforms, causePlatform, Invalid, func(s *specs.Spec) bool { return s.Windows != nil }},
	{"vm", refPlatforms, causePlatform, Invalid, func(s *specs.Spec) bool { return s.VM != nil }},
	{"zos", refPlatforms, causePlatform, Invalid, func(s *specs.Spec) bool { return s.ZOS != nil }},
	{"freebsd", refPlatforms, causePlatform, Invalid, func(s *specs.Spec) bool { return s.FreeBSD != nil }},
}

// processRefusals are asked only where there is a process.
var processRefusals = []refusal{
	{"process.terminal", refProcess, "Berth cannot make a pseudoterminal; set it to false and pass standard streams", NotSupported, func(s *specs.Spec) bool { return s.Process.Terminal }},
	{"process.commandLine", refProcess, "it is for Windows; on Linux give args", Invalid, func(s *specs.Spec) bool { return s.Process.CommandLine != "" }},
	{"process.user.username", refUser, "it is for Windows; on Linux give uid and gid", Invalid, func(s *specs.Spec) bool { return s.Process.User.Username != "" }},
	{"process.apparmorProfile", refLinuxProcess, causeLabel, NotSupported, func(s *specs.Spec) bool { return s.Process.ApparmorProfile != "" }},
	{"process.selinuxLabel", refLinuxProcess, causeLabel, NotSupported, func(s *specs.Spec) bool { return s.Process.SelinuxLabel != "" }},
}

// linuxRefusals are asked only where there is a linux section.
var linuxRefusals = []refusal{
	{"linux.uidMappings", refUserMappings, causeUserNS, NotSupported, func(s *specs.Spec) bool { return len(s.Linux.UIDMappings) > 0 }},
	{"linux.gidMappings", refUserMappings, causeUserNS, NotSupported, func(s *specs.Spec) bool { return len(s.Linux.GIDMappings) > 0 }},
	{"linux.cgroupsPath", refCgroupsPath, "a container's cgroup is that of its scope unit; leave this empty", NotSupported, func(s *specs.Spec) bool { return s.Linux.CgroupsPath != "" }},
	{"linux.netDevices", refNetDevices, "Berth moves no network devices", NotSupported, func(s *specs.Spec) bool { return len(s.Linux.NetDevices) > 0 }},
	{"linux.seccomp", refSeccomp, "Berth installs no system call filter", NotSupported, func(s *specs.Spec) bool { return s.Linux.Seccomp != nil }},
	{"linux.mountLabel", refMountLabel, causeLabel, NotSupported, func(s *specs.Spec) bool { return s.Linux.MountLabel != "" }},
	{"linux.intelRdt", refIntelRdt, "Berth does not write to resctrl", NotSupported, func(s *specs.Spec) bool { return s.Linux.IntelRdt != nil }},
	{"linux.memoryPolicy", refMemoryPolicy, "Berth does not call set_mempolicy", NotSupported, func(s *specs.Spec) bool { return s.Linux.MemoryPolicy != nil }},
	{"linux.personality", refPersonality, "Berth does not call personality", NotSupported, func(s *specs.Spec) bool { return s.Linux.Personality != nil }},
	{"linux.timeOffsets", refTimeOffsets, "Berth makes time namespaces without offsets only", NotSupported, func(s *specs.Spec) bool { return len(s.Linux.TimeOffsets) > 0 }},
}

const (
	causeHooks    = "Berth runs no hooks"
	causePlatform = "it is for another platform; Berth runs Linux containers"
	causeLabel    = "Berth sets no security labels or profiles"
	causeUserNS   = "Berth makes no user namespaces"
	causePayload  = "no unit property says this, and Berth makes no group of its own below the scope"
	causeV1       = "cgroup v2 has nothing like it"
)

func (c *checker) unsupported() {
	c.refuseAll(refusals)
	if c.spec.Process != nil {
		c.refuseAll(processRefusals)
	}
	if c.spec.Linux != nil {
		c.refuseAll(linuxRefusals)
	}
}

func (c *checker) refuseAll(table []refusal) {
	for _, r := range table {
		if r.set(c.spec) {
			c.add(Finding{Level: Error, Kind: r.kind, Path: r.path, Cause: r.cause, Ref: r.ref})
		}
	}
}
