package unit

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// unified compiles the files of cgroup v2 that have a property of the same meaning (Linux,
// Documentation/admin-guide/cgroup-v2.rst). A file whose property another member of linux.resources has set
// is refused: the specification does not say which wins.
func (c *compiler) unified(files map[string]string) {
	for file, value := range sorted(files) {
		path := fmt.Sprintf("unified[%q]", file)
		sub := &compiler{}
		if !sub.unifiedFile(path, file, strings.TrimSpace(value)) {
			c.fail(path, value, noProperty)
		}
		c.errs = append(c.errs, sub.errs...)
		for _, p := range sub.props {
			if c.has(p.Name) {
				c.fail(path, value, "set elsewhere in linux.resources too")
				continue
			}
			c.add(p)
		}
	}
}

// unifiedFile returns false for a file that has no property.
func (c *compiler) unifiedFile(path, file, value string) bool {
	switch file {
	case "cpu.weight":
		c.number(path, value, 1, 10000, CPUWeight)
	case "cpu.max":
		c.cpuMax(path, value)
	case "cpuset.cpus":
		c.set(path, value, AllowedCPUs)
	case "cpuset.mems":
		c.set(path, value, AllowedMemoryNodes)
	case "io.weight":
		c.number(path, strings.TrimPrefix(value, "default "), 1, 10000, IOWeight)
	case "memory.min":
		c.number(path, value, 0, Infinity, MemoryMin)
	case "memory.low":
		c.number(path, value, 0, Infinity, MemoryLow)
	case "memory.high":
		c.number(path, value, 1, Infinity, MemoryHigh)
	case "memory.max":
		c.number(path, value, 1, Infinity, MemoryMax)
	case "memory.swap.max":
		c.number(path, value, 0, Infinity, MemorySwapMax)
	case "pids.max":
		c.number(path, value, 1, Infinity, TasksMax)
	default:
		return false
	}
	return true
}

// number adds a number in a range; "max" is one where the range has no end.
func (c *compiler) number(path, value string, lo, hi uint64, prop func(uint64) Property) {
	if value == "max" && hi == Infinity {
		c.add(prop(Infinity))
		return
	}
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil || n < lo || n > hi {
		c.fail(path, value, fmt.Sprintf("must be a number from %d to %d", lo, hi))
		return
	}
	c.add(prop(n))
}

// cpuMax is "QUOTA PERIOD", the quota possibly "max", the period optional.
func (c *compiler) cpuMax(path, value string) {
	f := strings.Fields(value)
	quota, period := int64(-1), uint64(0)
	var err error
	if len(f) > 0 && f[0] != "max" {
		quota, err = strconv.ParseInt(f[0], 10, 64)
	}
	if len(f) == 2 && err == nil {
		period, err = strconv.ParseUint(f[1], 10, 64)
	}
	if err != nil || len(f) < 1 || len(f) > 2 || (len(f) == 2 && (period < periodMin || period > periodMax)) {
		c.fail(path, value, `must be "QUOTA PERIOD" in microseconds, or "max PERIOD"`)
		return
	}
	c.quota(path, quota, period)
	if period != 0 {
		c.add(CPUQuotaPeriodUSec(period))
	}
}

// sorted yields a map in the order of its keys, so that findings and properties have one order.
func sorted[V any](m map[string]V) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if !yield(k, m[k]) {
				return
			}
		}
	}
}
