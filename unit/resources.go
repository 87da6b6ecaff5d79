package unit

import (
	"errors"
	"fmt"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// ResourceError is one finding of FromResources: a value that systemd's properties cannot say, or that is wrong.
type ResourceError struct {
	Path   string // JSON path, for example "linux.resources.cpu.burst"
	Value  string // as it would be in the JSON
	Reason string
}

// Error quotes the JSON path and the value.
func (e *ResourceError) Error() string {
	return fmt.Sprintf("%s: value %q: %s", e.Path, e.Value, e.Reason)
}

// FromResources compiles linux.resources (runtime-spec, config-linux.md, "Control groups") to properties for
// StartTransientUnit and SetUnitProperties. Only what was given is set. What no property of systemd 252 says
// exactly is an error: nothing is ignored, nothing widened (but for the CPU quota, which is rounded up to a
// whole percent, see CPUQuotaPerSecUSec). The error joins all findings, each a *ResourceError.
//
// defaults are device rules that are added after those of r, so that they win, as in runc and crun: normally
// DefaultDevices. With nil defaults and no devices in r no device property is made, as an update wants it.
func FromResources(r *specs.LinuxResources, defaults []DeviceRule) ([]Property, error) {
	c := &compiler{}
	if r == nil {
		r = &specs.LinuxResources{}
	}
	c.cpu(r.CPU)
	c.memory(r.Memory)
	c.pids(r.Pids)
	c.blockIO(r.BlockIO)
	c.devices(r.Devices, defaults)
	c.unified(r.Unified)
	c.refuseRest(r)
	if len(c.errs) > 0 {
		return nil, errors.Join(c.errs...)
	}
	return c.props, nil
}

// compiler collects properties and findings.
type compiler struct {
	props []Property
	errs  []error
}

func (c *compiler) add(p Property) { c.props = append(c.props, p) }

// fail records a finding; path is relative to linux.resources.
func (c *compiler) fail(path string, value any, reason string) {
	c.errs = append(c.errs, &ResourceError{"linux.resources." + path, fmt.Sprint(value), reason})
}

// has tells whether a property of this name was made already.
func (c *compiler) has(name string) bool {
	for _, p := range c.props {
		if p.Name == name {
			return true
		}
	}
	return false
}

func (c *compiler) pids(p *specs.LinuxPids) {
	switch {
	case p == nil || p.Limit == nil:
	case *p.Limit <= 0:
		c.add(TasksMax(Infinity))
	default:
		c.add(TasksMax(uint64(*p.Limit)))
	}
}

const noProperty = "no unit property of systemd says this"

// refuseRest refuses what has no property at all.
func (c *compiler) refuseRest(r *specs.LinuxResources) {
	for i, h := range r.HugepageLimits {
		c.fail(fmt.Sprintf("hugepageLimits[%d]", i), fmt.Sprintf("%s=%d", h.Pagesize, h.Limit), noProperty)
	}
	for name := range sorted(r.Rdma) {
		c.fail(fmt.Sprintf("rdma[%q]", name), name, noProperty)
	}
	if n := r.Network; n != nil {
		if n.ClassID != nil && *n.ClassID != 0 {
			c.fail("network.classID", *n.ClassID, "cgroup v2 has no net_cls controller")
		}
		for i, p := range n.Priorities {
			c.fail(fmt.Sprintf("network.priorities[%d]", i), p.Name, "cgroup v2 has no net_prio controller")
		}
	}
}

func (c *compiler) memory(m *specs.LinuxMemory) {
	if m == nil {
		return
	}
	if m.Limit != nil {
		c.limit("memory.limit", *m.Limit, 1, MemoryMax)
	}
	if m.Reservation != nil {
		c.limit("memory.reservation", *m.Reservation, 0, MemoryLow)
	}
	c.swap(m)
	c.memoryV1(m)
}

// limit adds a limit in bytes: -1 is no limit.
func (c *compiler) limit(path string, v, minimum int64, prop func(uint64) Property) {
	switch {
	case v == -1:
		c.add(prop(Infinity))
	case v < minimum:
		c.fail(path, v, fmt.Sprintf("must be -1 (no limit) or at least %d", minimum))
	default:
		c.add(prop(uint64(v)))
	}
}

// swap: OCI's memory.swap is memory and swap together, as memory.memsw.limit_in_bytes of cgroup v1 was; the
// property, as cgroup v2, is swap alone.
func (c *compiler) swap(m *specs.LinuxMemory) {
	if m.Swap == nil || *m.Swap == 0 {
		return
	}
	v := *m.Swap
	switch {
	case v == -1:
		c.add(MemorySwapMax(Infinity))
	case v < -1:
		c.fail("memory.swap", v, "must be -1 (no limit) or memory and swap together")
	case m.Limit == nil || *m.Limit < 0:
		c.fail("memory.swap", v, "is memory and swap together, so it needs linux.resources.memory.limit")
	case v < *m.Limit:
		c.fail("memory.swap", v, fmt.Sprintf("is memory and swap together: less than memory.limit %d", *m.Limit))
	default:
		c.add(MemorySwapMax(uint64(v - *m.Limit)))
	}
}

// memoryV1 refuses what only cgroup v1 had, unless it says what cgroup v2 does anyway.
func (c *compiler) memoryV1(m *specs.LinuxMemory) {
	const v1 = "cgroup v2 has nothing like it"
	if m.Kernel != nil && *m.Kernel > 0 {
		c.fail("memory.kernel", *m.Kernel, v1)
	}
	if m.KernelTCP != nil && *m.KernelTCP > 0 {
		c.fail("memory.kernelTCP", *m.KernelTCP, v1)
	}
	if m.Swappiness != nil {
		c.fail("memory.swappiness", *m.Swappiness, v1)
	}
	if m.DisableOOMKiller != nil && *m.DisableOOMKiller {
		c.fail("memory.disableOOMKiller", true, v1)
	}
	if m.UseHierarchy != nil && !*m.UseHierarchy {
		c.fail("memory.useHierarchy", false, "cgroup v2 is always hierarchical")
	}
	if m.CheckBeforeUpdate != nil && *m.CheckBeforeUpdate {
		c.fail("memory.checkBeforeUpdate", true, "not supported")
	}
}

// bitmask parses a list of numbers in the kernel's format, "0-3,7" (cpuset(7), "List format"), into bytes.
func bitmask(list string) ([]byte, error) {
	const limit = 8192 // CONFIG_NR_CPUS is at most this
	var mask []byte
	for part := range strings.SplitSeq(strings.TrimSpace(list), ",") {
		lo, hi, ok := numberRange(part)
		if !ok || hi < lo || hi >= limit {
			return nil, fmt.Errorf("%q is not a number below %d or a range of them", part, limit)
		}
		for n := lo; n <= hi; n++ {
			for len(mask) <= n/8 {
				mask = append(mask, 0)
			}
			mask[n/8] |= 1 << (n % 8)
		}
	}
	return mask, nil
}
