package compile

import (
	"encoding/binary"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/runtime/plan"
	"github.com/berth-project/berth/runtime/spec"
)

// process gives the process its limits and credentials. Everything that needs
// a privilege comes before the privilege goes.
func (c *compiler) process() {
	p := c.Spec.Process
	c.scheduling(p)
	c.workingDirectory(p.Cwd)
	for _, l := range p.Rlimits {
		resource, _ := spec.Rlimit(l.Type)
		c.Call("set "+l.Type, unix.SYS_PRLIMIT64, plan.Lit(0), plan.Lit(resource), c.Words(l.Soft, l.Hard), plan.Lit(0))
	}
	c.credentials(p)
	if p.NoNewPrivileges {
		c.Call("set noNewPrivileges", unix.SYS_PRCTL, plan.Lit(unix.PR_SET_NO_NEW_PRIVS), plan.Lit(1), plan.Lit(0), plan.Lit(0), plan.Lit(0))
	}
	umask := uint32(0o022)
	if p.User.Umask != nil {
		umask = *p.User.Umask
	}
	c.Call("set umask", unix.SYS_UMASK, plan.Lit(umask))
}

func (c *compiler) scheduling(p *specs.Process) {
	if s := p.Scheduler; s != nil {
		c.Call("set scheduler "+string(s.Policy), unix.SYS_SCHED_SETATTR, plan.Lit(0), c.Bytes(schedAttr(s)), plan.Lit(0))
	}
	if io := p.IOPriority; io != nil {
		value, _ := spec.IOPriority(io.Class, io.Priority)
		const whoProcess = 1 // IOPRIO_WHO_PROCESS
		c.Call("set ioPriority "+string(io.Class), unix.SYS_IOPRIO_SET, plan.Lit(whoProcess), plan.Lit(0), plan.Lit(value))
	}
}

// schedAttr is a struct sched_attr. See sched_setattr(2).
func schedAttr(s *specs.Scheduler) []byte {
	policy, _ := spec.SchedPolicy(s.Policy)
	var flags uint64
	for _, name := range s.Flags {
		flag, _ := spec.SchedFlag(name)
		flags |= flag
	}
	le := binary.LittleEndian
	b := le.AppendUint32(nil, 48)
	b = le.AppendUint32(b, policy)
	b = le.AppendUint64(b, flags)
	b = le.AppendUint32(b, uint32(s.Nice))
	b = le.AppendUint32(b, uint32(s.Priority))
	b = le.AppendUint64(b, s.Runtime)
	b = le.AppendUint64(b, s.Deadline)
	return le.AppendUint64(b, s.Period)
}

// workingDirectory enters process.cwd, made if it is missing. It is looked up
// below the root and without magic links, so /proc/self/fd/N leads nowhere
// (CVE-2024-21626).
func (c *compiler) workingDirectory(cwd string) {
	label := "enter cwd " + quote(cwd)
	dir := c.directory(label, cwd)
	c.Call(label, unix.SYS_FCHDIR, dir.Arg())
	c.close(dir)
}

// credentials drops what the process is not to have, in the order that the
// kernel needs: the bounding set while CAP_SETPCAP is there, the ids while
// CAP_SETUID is, the other sets last. See capabilities(7).
func (c *compiler) credentials(p *specs.Process) {
	sets := spec.Capabilities(p.Capabilities)
	for n := range c.Facts.LastCap + 1 {
		if sets.Bounding&(1<<n) == 0 {
			c.prctl("drop capability "+itoa(n), unix.PR_CAPBSET_DROP, plan.Lit(n))
		}
	}
	c.prctl("keep capabilities", unix.PR_SET_KEEPCAPS, plan.Lit(1))
	gids := make([]byte, 0, 4*len(p.User.AdditionalGids))
	for _, gid := range p.User.AdditionalGids {
		gids = binary.LittleEndian.AppendUint32(gids, gid)
	}
	list := plan.Lit(0)
	if len(gids) > 0 {
		list = c.Bytes(gids)
	}
	c.Call("set additionalGids", unix.SYS_SETGROUPS, plan.Lit(len(p.User.AdditionalGids)), list)
	gid, uid := plan.Lit(p.User.GID), plan.Lit(p.User.UID)
	c.Call("set gid", unix.SYS_SETRESGID, gid, gid, gid)
	c.Call("set uid", unix.SYS_SETRESUID, uid, uid, uid)
	c.capset(sets)
	c.prctl("clear ambient capabilities", unix.PR_CAP_AMBIENT, plan.Lit(unix.PR_CAP_AMBIENT_CLEAR_ALL))
	for n := range c.Facts.LastCap + 1 {
		if sets.Ambient&(1<<n) != 0 {
			c.prctl("raise ambient capability "+itoa(n), unix.PR_CAP_AMBIENT, plan.Lit(unix.PR_CAP_AMBIENT_RAISE), plan.Lit(n))
		}
	}
}

// capset sets the effective, permitted and inheritable sets. See capset(2).
func (c *compiler) capset(s spec.CapabilitySets) {
	known := uint64(1)<<(c.Facts.LastCap+1) - 1
	le := binary.LittleEndian
	header := le.AppendUint32(nil, unix.LINUX_CAPABILITY_VERSION_3)
	header = le.AppendUint32(header, 0)
	var data []byte
	for _, shift := range []int{0, 32} {
		for _, set := range []uint64{s.Effective, s.Permitted, s.Inheritable} {
			data = le.AppendUint32(data, uint32(set&known>>shift))
		}
	}
	c.Call("set capabilities", unix.SYS_CAPSET, c.Bytes(header), c.Bytes(data))
}

// prctl passes five arguments: the kernel wants the unused ones to be zero.
func (c *compiler) prctl(label string, option int, args ...plan.Arg) {
	all := append([]plan.Arg{plan.Lit(option)}, args...)
	for len(all) < 5 {
		all = append(all, plan.Lit(0))
	}
	c.Call(label, unix.SYS_PRCTL, all...)
}
