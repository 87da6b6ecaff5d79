package spec

import (
	"maps"
	"slices"
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
	if p := r.Pids; p != nil && p.Limit != nil {
		c.pids(*p.Limit)
	}
	if r.BlockIO != nil {
		c.blockIO(r.BlockIO)
	}
	c.uncarried(r)
}

// uncarried refuses what no property of a scope can say, and checks the names of what some can.
func (c *checker) uncarried(r *specs.LinuxResources) {
	if len(r.HugepageLimits) > 0 {
		c.refuse(resources+".hugepageLimits", refHugepages, causePayload)
	}
	if len(r.Rdma) > 0 {
		c.refuse(resources+".rdma", refRDMA, causePayload)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Unified)) {
		// It is a file of the scope's cgroup, never of another one; which of them a property can say, package
		// unit knows.
		if file, attribute, ok := strings.Cut(name, "."); !ok || file == "" || attribute == "" || strings.Contains(name, "/") {
			c.errorf(key(resources+".unified", name), refUnified, "is no file of a cgroup, such as \"memory.high\"")
		}
	}
	if n := r.Network; n != nil && n.ClassID != nil && *n.ClassID != 0 {
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

// pids refuses 0, which the runtime specification allows: systemd's TasksMax= is at least 1.
func (c *checker) pids(limit int64) {
	switch {
	case limit == 0:
		c.refuse(resources+".pids.limit", refPids, "0 would leave no task for the container's own process")
	case limit < -1:
		c.errorf(resources+".pids.limit", refPids, "%d is neither a number of tasks nor -1 for no limit", limit)
	}
}

func (c *checker) memory(m *specs.LinuxMemory) {
	const at = resources + ".memory"
	c.bytes(at+".limit", m.Limit, 1)
	c.bytes(at+".reservation", m.Reservation, 0)
	c.bytes(at+".swap", m.Swap, 1)
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
	c.memoryV1(m)
}

func (c *checker) memoryV1(m *specs.LinuxMemory) {
	const at = resources + ".memory"
	if v := m.Kernel; v != nil && *v > 0 { //nolint:staticcheck // deprecated, which is what we say
		c.refuse(at+".kernel", refMemory, causeV1)
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
		c.refuse(at+".useHierarchy", refMemory, "cgroup v2 is always hierarchical")
	}
	if v := m.CheckBeforeUpdate; v != nil && *v {
		c.refuse(at+".checkBeforeUpdate", refMemory, "Berth does not look at the usage before it sets a limit")
	}
}

// bytes has a least of 1 for a limit: other runtimes read 0 as no limit at all, the kernel as nothing allowed.
func (c *checker) bytes(at string, v *int64, least int64) {
	if v != nil && *v != -1 && *v < least {
		c.errorf(at, refMemory, "%d is neither at least %d byte nor -1 for unlimited", *v, least)
	}
}

// cpu uses the ranges of Linux: kernel/sched/core.c (tg_set_cfs_bandwidth, MIN_SHARES, MAX_SHARES). A 0 means
// not given, because CRI-O writes it so.
func (c *checker) cpu(p *specs.LinuxCPU) {
	const at = resources + ".cpu"
	const minQuota, maxPeriod = 1000, 1_000_000
	if v := p.Shares; v != nil && *v != 0 && (*v < 2 || *v > 1<<18) {
		c.errorf(at+".shares", refCPU, "%d is not in 2 to %d", *v, 1<<18)
	}
	if v := p.Quota; v != nil && *v != 0 && *v != -1 && *v < minQuota {
		c.errorf(at+".quota", refCPU, "%d is neither at least %d microseconds nor -1 for no limit", *v, minQuota)
	}
	if v := p.Period; v != nil && *v != 0 && (*v < minQuota || *v > maxPeriod) {
		c.errorf(at+".period", refCPU, "%d microseconds are not in %d to %d", *v, minQuota, maxPeriod)
	}
	if v := p.Idle; v != nil && *v != 0 && *v != 1 {
		c.errorf(at+".idle", refCPU, "%d is neither 0 nor 1", *v)
	} else if v != nil && *v == 1 && p.Shares != nil && *p.Shares != 0 {
		c.warnf(at+".shares", refCPU, "has no effect on an idle group")
	}
	c.cpuList(at+".cpus", p.Cpus, refCPU)
	c.cpuList(at+".mems", p.Mems, refCPU)
	c.cpuUncarried(at, p)
}

func (c *checker) cpuUncarried(at string, p *specs.LinuxCPU) {
	if v := p.Burst; v != nil && *v > 0 {
		c.refuse(at+".burst", refCPU, causePayload)
	}
	if v := p.RealtimeRuntime; v != nil && *v != 0 {
		c.refuse(at+".realtimeRuntime", refCPU, causeV1)
	}
	if v := p.RealtimePeriod; v != nil && *v != 0 {
		c.refuse(at+".realtimePeriod", refCPU, causeV1)
	}
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

// weight has the range of cgroup v1's blkio, which the runtime specification means; 0 means not given.
func (c *checker) weight(at string, v *uint16) {
	if v != nil && *v != 0 && (*v < 10 || *v > 1000) {
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
