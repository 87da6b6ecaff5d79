package unit

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// What the kernel and systemd take (kernel/sched/core.c, cgroup_cpu_adjust_period_and_log of
// systemd's src/core/cgroup.c, which would clamp silently).
const (
	quotaMin      = 1000 // microseconds
	periodMin     = 1000
	periodMax     = 1000000
	periodDefault = 100000
	percentUSec   = 10000 // one percent of a CPU, in microseconds per second
)

func (c *compiler) cpu(p *specs.LinuxCPU) {
	if p == nil {
		return
	}
	c.cpuWeight(p)
	c.cpuQuota(p)
	if p.Cpus != "" {
		c.set("cpu.cpus", p.Cpus, AllowedCPUs)
	}
	if p.Mems != "" {
		c.set("cpu.mems", p.Mems, AllowedMemoryNodes)
	}
	if p.Burst != nil && *p.Burst != 0 {
		c.fail("cpu.burst", *p.Burst, noProperty)
	}
	if p.RealtimeRuntime != nil && *p.RealtimeRuntime != 0 {
		c.fail("cpu.realtimeRuntime", *p.RealtimeRuntime, "cgroup v2 has no real-time group scheduling")
	}
	if p.RealtimePeriod != nil && *p.RealtimePeriod != 0 {
		c.fail("cpu.realtimePeriod", *p.RealtimePeriod, "cgroup v2 has no real-time group scheduling")
	}
}

// cpuWeight: idle wins over shares, as in the kernel, where an idle group has no weight.
func (c *compiler) cpuWeight(p *specs.LinuxCPU) {
	if p.Idle != nil && *p.Idle != 0 {
		if *p.Idle != 1 {
			c.fail("cpu.idle", *p.Idle, "must be 0 or 1")
			return
		}
		c.add(CPUWeight(CPUWeightIdle))
		return
	}
	if p.Shares != nil && *p.Shares != 0 {
		c.add(CPUWeight(WeightFromShares(*p.Shares)))
	}
}

// WeightFromShares converts cpu.shares (2 to 262144, 1024 by default; others are clamped, as cgroup v1 did) to
// a CPUWeight (1 to 10000, 100 by default).
//
// The old formula, 1 + (shares-2)*9999/262142, turns the default of 1024 into 39: such a container would get
// less than half of what every other unit of the host gets, and would have 39 steps where there were 1024.
// Since 2025 runc (opencontainers/cgroups, ConvertCPUSharesToCgroupV2Value) and crun fit a quadratic in
// log2(shares) through the three points minimum, default and maximum; so do we: our containers are siblings of
// units whose weight is 100.
func WeightFromShares(shares uint64) uint64 {
	switch {
	case shares <= 2:
		return 1
	case shares >= 262144:
		return 10000
	}
	l := math.Log2(float64(shares))
	return uint64(math.Ceil(math.Pow(10, (l*l+125*l)/612-7.0/34)))
}

func (c *compiler) cpuQuota(p *specs.LinuxCPU) {
	period := uint64(0)
	if p.Period != nil {
		period = *p.Period
	}
	if period != 0 && (period < periodMin || period > periodMax) {
		c.fail("cpu.period", period, fmt.Sprintf("must be %d to %d microseconds", periodMin, periodMax))
		return
	}
	if p.Quota != nil && *p.Quota != 0 {
		c.quota("cpu.quota", *p.Quota, period)
	}
	if period != 0 {
		c.add(CPUQuotaPeriodUSec(period))
	}
}

// quota adds the quota of usec microseconds per period (0: the default), rounded up to a whole percent.
func (c *compiler) quota(path string, usec int64, period uint64) {
	if usec == -1 {
		c.add(CPUQuotaPerSecUSec(Infinity))
		return
	}
	if usec < quotaMin || usec > math.MaxInt64/1000000 {
		c.fail(path, usec, fmt.Sprintf("must be -1 (no limit) or at least %d microseconds", quotaMin))
		return
	}
	if period == 0 {
		period = periodDefault
	}
	perSec := (uint64(usec)*1000000 + period - 1) / period
	c.add(CPUQuotaPerSecUSec((perSec + percentUSec - 1) / percentUSec * percentUSec))
}

// set adds a set of CPUs or memory nodes.
func (c *compiler) set(path, list string, prop func([]byte) Property) {
	mask, err := bitmask(list)
	if err != nil {
		c.fail(path, list, err.Error())
		return
	}
	c.add(prop(mask))
}

// numberRange parses "3" or "0-3".
func numberRange(s string) (lo, hi int, ok bool) {
	first, last, isRange := strings.Cut(s, "-")
	if !isRange {
		last = first
	}
	l, err1 := strconv.ParseUint(first, 10, 16)
	h, err2 := strconv.ParseUint(last, 10, 16)
	return int(l), int(h), err1 == nil && err2 == nil
}
