package spec

import (
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

const resources = "linux.resources"

// resources checks ranges; which unit property carries a limit is the business of package unit.
func (c *checker) resources() {
	r := c.linux.Resources
	if r == nil {
		return
	}
	for i := range r.Devices {
		c.deviceRule(index(resources+".devices", i), &r.Devices[i])
	}
	if r.Memory != nil {
		c.memory(r.Memory)
	}
	if r.CPU != nil {
		c.cpu(r.CPU)
	}
	if p := r.Pids; p != nil && p.Limit != nil && *p.Limit < -1 {
		c.errorf(resources+".pids.limit", refPids, "%d is neither a number of tasks nor -1 for no limit", *p.Limit)
	}
	if r.BlockIO != nil {
		c.blockIO(r.BlockIO)
	}
	c.uncarried(r)
}

// uncarried refuses what no property of a scope can say.
func (c *checker) uncarried(r *specs.LinuxResources) {
	if len(r.HugepageLimits) > 0 {
		c.refuse(resources+".hugepageLimits", refHugepages, causePayload)
	}
	if len(r.Rdma) > 0 {
		c.refuse(resources+".rdma", refRDMA, causePayload)
	}
	if len(r.Unified) > 0 {
		c.refuse(resources+".unified", refUnified, causePayload)
	}
	if n := r.Network; n != nil && n.ClassID != nil {
		c.refuse(resources+".network.classID", refNetwork, causeV1)
	}
	if n := r.Network; n != nil && len(n.Priorities) > 0 {
		c.refuse(resources+".network.priorities", refNetwork, causeV1)
	}
}

func (c *checker) deviceRule(at string, d *specs.LinuxDeviceCgroup) {
	if t := d.Type; t != "" && t != "a" && t != "b" && t != "c" {
		c.errorf(at+".type", refDeviceRules, "%s is not \"a\", \"b\" or \"c\"", quote(t))
	}
	c.deviceNumbers(at, d.Major, d.Minor, refDeviceRules)
	if d.Access == "" && d.Allow {
		c.errorf(at+".access", refDeviceRules, "is empty; say what is allowed, of \"rwm\"")
	} else if strings.Trim(d.Access, "rwm") != "" {
		c.errorf(at+".access", refDeviceRules, "%s has letters other than \"rwm\"", quote(d.Access))
	}
}

func (c *checker) memory(m *specs.LinuxMemory) {
	const at = resources + ".memory"
	c.bytes(at+".limit", m.Limit)
	c.bytes(at+".reservation", m.Reservation)
	c.bytes(at+".swap", m.Swap)
	if m.Limit != nil && m.Reservation != nil && *m.Limit > 0 && *m.Reservation > *m.Limit {
		c.warnf(at+".reservation", refMemory, "%d is above the limit of %d", *m.Reservation, *m.Limit)
	}
	if s := m.Swap; s != nil && *s > 0 {
		switch {
		case m.Limit == nil || *m.Limit <= 0:
			c.errorf(at+".swap", refMemory, "is the sum of memory and swap, so it needs a memory limit")
		case *s < *m.Limit:
			c.errorf(at+".swap", refMemory, "%d is the sum of memory and swap, and less than the memory limit of %d", *s, *m.Limit)
		}
	}
	if v := m.Kernel; v != nil && *v > 0 { //nolint:staticcheck // deprecated, which is what we say
		c.warnf(at+".kernel", refMemory, "is ignored: %s", causeV1)
	}
	if v := m.KernelTCP; v != nil && *v > 0 {
		c.refuse(at+".kernelTCP", refMemory, causeV1)
	}
	if m.Swappiness != nil {
		c.refuse(at+".swappiness", refMemory, causeV1)
	}
	if v := m.DisableOOMKiller; v != nil && *v {
		c.refuse(at+".disableOOMKiller", refMemory, causeV1)
	}
	if v := m.UseHierarchy; v != nil && !*v {
		c.warnf(at+".useHierarchy", refMemory, "is ignored: cgroup v2 is always hierarchical")
	}
}

// bytes refuses 0 too: other runtimes read it as no limit at all, the kernel as nothing allowed.
func (c *checker) bytes(at string, v *int64) {
	if v != nil && (*v == 0 || *v < -1) {
		c.errorf(at, refMemory, "%d is neither a number of bytes nor -1 for unlimited", *v)
	}
}

// cpu uses the ranges of Linux: kernel/sched/core.c (tg_set_cfs_bandwidth, MIN_SHARES, MAX_SHARES).
func (c *checker) cpu(p *specs.LinuxCPU) {
	const at = resources + ".cpu"
	const minQuota, maxPeriod = 1000, 1_000_000
	if v := p.Shares; v != nil && (*v < 2 || *v > 1<<18) {
		c.errorf(at+".shares", refCPU, "%d is not in 2 to %d", *v, 1<<18)
	}
	if v := p.Quota; v != nil && *v != -1 && *v < minQuota {
		c.errorf(at+".quota", refCPU, "%d is neither at least %d microseconds nor -1 for no limit", *v, minQuota)
	}
	if v := p.Period; v != nil && (*v < minQuota || *v > maxPeriod) {
		c.errorf(at+".period", refCPU, "%d microseconds are not in %d to %d", *v, minQuota, maxPeriod)
	}
	if v := p.Idle; v != nil && *v != 0 && *v != 1 {
		c.errorf(at+".idle", refCPU, "%d is neither 0 nor 1", *v)
	} else if v != nil && *v == 1 && p.Shares != nil {
		c.warnf(at+".shares", refCPU, "has no effect on an idle group")
	}
	if v := p.Burst; v != nil && *v > 0 {
		c.refuse(at+".burst", refCPU, causePayload)
	}
	if v := p.RealtimeRuntime; v != nil && *v != 0 {
		c.refuse(at+".realtimeRuntime", refCPU, causeV1)
	}
	if v := p.RealtimePeriod; v != nil && *v != 0 {
		c.refuse(at+".realtimePeriod", refCPU, causeV1)
	}
	c.cpuList(at+".cpus", p.Cpus, refCPU)
	c.cpuList(at+".mems", p.Mems, refCPU)
}

func (c *checker) blockIO(b *specs.LinuxBlockIO) {
	const at = resources + ".blockIO"
	c.weight(at+".weight", b.Weight)
	c.leafWeight(at+".leafWeight", b.LeafWeight)
	for i := range b.WeightDevice {
		d, at := &b.WeightDevice[i], index(at+".weightDevice", i)
		c.deviceNumbers(at, &d.Major, &d.Minor, refBlockIO)
		c.weight(at+".weight", d.Weight)
		c.leafWeight(at+".leafWeight", d.LeafWeight)
		if d.Weight == nil && d.LeafWeight == nil {
			c.errorf(at+".weight", refBlockIO, "is missing, but required")
		}
	}
	c.throttle(at+".throttleReadBpsDevice", b.ThrottleReadBpsDevice)
	c.throttle(at+".throttleWriteBpsDevice", b.ThrottleWriteBpsDevice)
	c.throttle(at+".throttleReadIOPSDevice", b.ThrottleReadIOPSDevice)
	c.throttle(at+".throttleWriteIOPSDevice", b.ThrottleWriteIOPSDevice)
}

// weight has the range of cgroup v1's blkio, which the runtime specification means.
func (c *checker) weight(at string, v *uint16) {
	if v != nil && (*v < 10 || *v > 1000) {
		c.errorf(at, refBlockIO, "%d is not in 10 to 1000", *v)
	}
}

func (c *checker) leafWeight(at string, v *uint16) {
	if v != nil && *v != 0 {
		c.refuse(at, refBlockIO, causeV1)
	}
}

func (c *checker) throttle(at string, devices []specs.LinuxThrottleDevice) {
	for i := range devices {
		d, at := &devices[i], index(at, i)
		c.deviceNumbers(at, &d.Major, &d.Minor, refBlockIO)
		if d.Rate == 0 {
			c.errorf(at+".rate", refBlockIO, "is 0; leave the entry out for no limit")
		}
	}
}
