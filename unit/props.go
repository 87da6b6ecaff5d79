package unit

import "math"

// Infinity is "no limit" in every property that is a limit in bytes, tasks or microseconds.
const Infinity uint64 = math.MaxUint64

// CPUWeightIdle as the value of CPUWeight makes the scheduler treat the unit as SCHED_IDLE (systemd 252).
const CPUWeightIdle uint64 = 0

// DeviceRule is one entry of DeviceAllow, D-Bus type (ss).
type DeviceRule struct {
	Path   string // "/dev/char/1:3", "/dev/block/8:0", "char-136" (a major), "char-*", "block-*"
	Access string // of "rwm": read, write, make the node
}

// DeviceValue is one entry of the per-device I/O properties, D-Bus type (st).
type DeviceValue struct {
	Path  string // "/dev/block/MAJOR:MINOR"
	Value uint64 // bytes/s, operations/s, or a weight
}

// Description is the text that systemctl shows for the unit.
func Description(s string) Property { return Property{"Description", s} }

// Slice puts the unit into a slice, for example "machine.slice".
func Slice(name string) Property { return Property{"Slice", name} }

// After orders the unit after others: it starts after and stops before them.
func After(units ...string) Property { return Property{"After", units} }

// PartOf stops the unit when one of the others is stopped.
func PartOf(units ...string) Property { return Property{"PartOf", units} }

// Delegate leaves the cgroups below the unit's own to its processes.
func Delegate(on bool) Property { return Property{"Delegate", on} }

// CollectMode is "inactive", or "inactive-or-failed": then also a failed unit is unloaded by itself.
func CollectMode(mode string) Property { return Property{"CollectMode", mode} }

// KillMode is "control-group", "mixed", "process" or "none". See systemd.kill(5).
func KillMode(mode string) Property { return Property{"KillMode", mode} }

// TimeoutStopUSec is the time in microseconds between asking the unit to stop and SIGKILL.
func TimeoutStopUSec(usec uint64) Property { return Property{"TimeoutStopUSec", usec} }

// RuntimeMaxUSec is the time in microseconds after which the unit is stopped.
func RuntimeMaxUSec(usec uint64) Property { return Property{"RuntimeMaxUSec", usec} }

// OOMPolicy is "continue", "stop" or "kill": what follows when the kernel kills a process of the unit for want
// of memory.
func OOMPolicy(policy string) Property { return Property{"OOMPolicy", policy} }

// Controller is the bus name that systemd asks to stop the scope, by the signal RequestStop.
func Controller(busName string) Property { return Property{"Controller", busName} }

// PIDs are the processes a new scope starts with.
func PIDs(pids ...uint32) Property { return Property{"PIDs", pids} }

// CPUAccounting counts CPU time.
func CPUAccounting(on bool) Property { return Property{"CPUAccounting", on} }

// MemoryAccounting counts memory.
func MemoryAccounting(on bool) Property { return Property{"MemoryAccounting", on} }

// TasksAccounting counts tasks.
func TasksAccounting(on bool) Property { return Property{"TasksAccounting", on} }

// IOAccounting counts block I/O.
func IOAccounting(on bool) Property { return Property{"IOAccounting", on} }

// CPUWeight is the share of CPU time among siblings, 1 to 10000, 100 by default, or CPUWeightIdle.
func CPUWeight(weight uint64) Property { return Property{"CPUWeight", weight} }

// CPUQuotaPerSecUSec is the CPU time in microseconds the unit may use in a second: 1000000 is one CPU. It
// should be a multiple of 10000, one percent: systemd writes percents when it keeps the setting, so that the
// rest is lost with the next daemon-reload.
func CPUQuotaPerSecUSec(usec uint64) Property { return Property{"CPUQuotaPerSecUSec", usec} }

// CPUQuotaPeriodUSec is the period in microseconds over which the quota is measured, 1000 to 1000000.
func CPUQuotaPeriodUSec(usec uint64) Property { return Property{"CPUQuotaPeriodUSec", usec} }

// AllowedCPUs is the set of CPUs: CPU n is bit n%8 of byte n/8.
func AllowedCPUs(mask []byte) Property { return Property{"AllowedCPUs", mask} }

// AllowedMemoryNodes is the set of NUMA nodes, in the form of AllowedCPUs.
func AllowedMemoryNodes(mask []byte) Property { return Property{"AllowedMemoryNodes", mask} }

// MemoryMin is the memory in bytes that is never reclaimed.
func MemoryMin(bytes uint64) Property { return Property{"MemoryMin", bytes} }

// MemoryLow is the memory in bytes that is reclaimed only when nothing else can be.
func MemoryLow(bytes uint64) Property { return Property{"MemoryLow", bytes} }

// MemoryHigh is the memory in bytes above which the unit is slowed down and reclaimed from; at least 1.
func MemoryHigh(bytes uint64) Property { return Property{"MemoryHigh", bytes} }

// MemoryMax is the most memory in bytes; above it the kernel kills. At least 1.
func MemoryMax(bytes uint64) Property { return Property{"MemoryMax", bytes} }

// MemorySwapMax is the most swap in bytes, memory not counted.
func MemorySwapMax(bytes uint64) Property { return Property{"MemorySwapMax", bytes} }

// TasksMax is the most tasks (processes and threads), at least 1.
func TasksMax(n uint64) Property { return Property{"TasksMax", n} }

// IOWeight is the share of block I/O among siblings, 1 to 10000, 100 by default.
func IOWeight(weight uint64) Property { return Property{"IOWeight", weight} }

// IODeviceWeight is IOWeight per device.
func IODeviceWeight(v ...DeviceValue) Property { return Property{"IODeviceWeight", v} }

// IOReadBandwidthMax is the most bytes per second read from a device.
func IOReadBandwidthMax(v ...DeviceValue) Property { return Property{"IOReadBandwidthMax", v} }

// IOWriteBandwidthMax is the most bytes per second written to a device.
func IOWriteBandwidthMax(v ...DeviceValue) Property { return Property{"IOWriteBandwidthMax", v} }

// IOReadIOPSMax is the most reads per second from a device.
func IOReadIOPSMax(v ...DeviceValue) Property { return Property{"IOReadIOPSMax", v} }

// IOWriteIOPSMax is the most writes per second to a device.
func IOWriteIOPSMax(v ...DeviceValue) Property { return Property{"IOWriteIOPSMax", v} }

// DevicePolicy is "strict" (what DeviceAllow says and nothing else), "closed" (also null, zero, full, random
// and urandom) or "auto" (everything, unless DeviceAllow says something).
func DevicePolicy(policy string) Property { return Property{"DevicePolicy", policy} }

// DeviceAllow allows access to devices. systemd keeps one entry per path, the last; no rule at all empties the
// list it has.
func DeviceAllow(rules ...DeviceRule) Property {
	if rules == nil {
		rules = []DeviceRule{} // a nil slice has no D-Bus value
	}
	return Property{"DeviceAllow", rules}
}
