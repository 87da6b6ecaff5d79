package spec

import (
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// checkResources runs one set of resources for each name; want is without the common beginning of the paths.
func checkResources(t *testing.T, name string, r specs.LinuxResources, want ...string) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		s := base()
		s.Linux.Resources = &r
		checkFindings(t, Validate(s), want)
	})
}

func TestMemory(t *testing.T) {
	const at = "linux.resources.memory."
	memory := func(name string, m specs.LinuxMemory, want ...string) {
		t.Helper()
		checkResources(t, name, specs.LinuxResources{Memory: &m}, want...)
	}
	memory("good", specs.LinuxMemory{Limit: ptr[int64](100), Reservation: ptr[int64](50), Swap: ptr[int64](100), Kernel: ptr[int64](-1),
		KernelTCP: ptr[int64](-1), DisableOOMKiller: ptr(false), UseHierarchy: ptr(true), CheckBeforeUpdate: ptr(false)})
	memory("unlimited", specs.LinuxMemory{Limit: ptr[int64](-1), Reservation: ptr[int64](0), Swap: ptr[int64](-1)})
	memory("no numbers", specs.LinuxMemory{Limit: ptr[int64](0), Reservation: ptr[int64](-2), Swap: ptr[int64](-2)},
		"error "+at+"limit: 0 is neither at least 1 byte nor -1",
		"error "+at+"reservation: -2 is neither at least 0",
		"error "+at+"swap: -2 is neither")
	memory("reservation above", specs.LinuxMemory{Limit: ptr[int64](1), Reservation: ptr[int64](2)},
		"warning "+at+"reservation: 2 is above the limit of 1")
	memory("swap below", specs.LinuxMemory{Limit: ptr[int64](2), Swap: ptr[int64](1)},
		"error "+at+"swap: 1 is the sum of memory and swap, and less")
	memory("swap alone", specs.LinuxMemory{Swap: ptr[int64](1)},
		"error "+at+"swap: is the sum of memory and swap, so it needs")
	memory("swap of unlimited", specs.LinuxMemory{Limit: ptr[int64](-1), Swap: ptr[int64](1)},
		"error "+at+"swap: is the sum")
	memory("version 1", specs.LinuxMemory{Kernel: ptr[int64](1), KernelTCP: ptr[int64](1), Swappiness: ptr[uint64](0), DisableOOMKiller: ptr(true),
		UseHierarchy: ptr(false), CheckBeforeUpdate: ptr(true)},
		"error "+at+"kernel: not supported yet: cgroup v2 has",
		"error "+at+"kernelTCP: not supported yet: ",
		"error "+at+"swappiness: not supported yet: ",
		"error "+at+"disableOOMKiller: not supported yet: ",
		"error "+at+"useHierarchy: not supported yet: cgroup v2 is always",
		"error "+at+"checkBeforeUpdate: not supported yet: ")
}

func TestCPU(t *testing.T) {
	const at = "linux.resources.cpu."
	cpu := func(name string, c specs.LinuxCPU, want ...string) {
		t.Helper()
		checkResources(t, name, specs.LinuxResources{CPU: &c}, want...)
	}
	cpu("good", specs.LinuxCPU{Shares: ptr[uint64](2), Quota: ptr[int64](1000), Period: ptr[uint64](1000), Cpus: "0-3,7", Mems: "0", Idle: ptr[int64](0)})
	cpu("most", specs.LinuxCPU{Shares: ptr[uint64](262144), Quota: ptr[int64](-1), Period: ptr[uint64](1000000)})
	cpu("zeros are unset", specs.LinuxCPU{Shares: ptr[uint64](0), Quota: ptr[int64](0), Period: ptr[uint64](0), Burst: ptr[uint64](0),
		RealtimeRuntime: ptr[int64](0), RealtimePeriod: ptr[uint64](0), Idle: ptr[int64](1)})
	cpu("low", specs.LinuxCPU{Shares: ptr[uint64](1), Quota: ptr[int64](999), Period: ptr[uint64](999), Idle: ptr[int64](-1)},
		"error "+at+"shares: 1 is not in 2 to 262144",
		"error "+at+"quota: 999 is neither at least 1000",
		"error "+at+"period: 999 microseconds are not in",
		"error "+at+"idle: -1 is neither 0 nor 1")
	cpu("high", specs.LinuxCPU{Shares: ptr[uint64](262145), Quota: ptr[int64](-2), Period: ptr[uint64](1000001), Cpus: "x", Mems: "1-0"},
		"error "+at+"shares: 262145",
		"error "+at+"quota: -2",
		"error "+at+"period: 1000001",
		`error `+at+`cpus: parse list "x"`,
		`error `+at+`mems: parse list "1-0"`)
	cpu("idle shares", specs.LinuxCPU{Shares: ptr[uint64](1024), Idle: ptr[int64](1)},
		"warning "+at+"shares: has no effect on an idle group")
	cpu("uncarried", specs.LinuxCPU{Burst: ptr[uint64](1), RealtimeRuntime: ptr[int64](1), RealtimePeriod: ptr[uint64](1)},
		"error "+at+"burst: not supported yet: no unit property",
		"error "+at+"realtimeRuntime: not supported yet: cgroup v2",
		"error "+at+"realtimePeriod: not supported yet: ")
}

func TestBlockIO(t *testing.T) {
	const at = "linux.resources.blockIO."
	device := specs.LinuxBlockIODevice{Major: 8}
	wrong := specs.LinuxBlockIODevice{Major: 4096, Minor: -1}
	checkResources(t, "good", specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{
		Weight: ptr[uint16](10), LeafWeight: ptr[uint16](0), WeightDevice: []specs.LinuxWeightDevice{{LinuxBlockIODevice: device, Weight: ptr[uint16](1000), LeafWeight: nil}},
		ThrottleReadBpsDevice: []specs.LinuxThrottleDevice{{LinuxBlockIODevice: device, Rate: 1}}, ThrottleWriteBpsDevice: []specs.LinuxThrottleDevice{{LinuxBlockIODevice: device, Rate: 1}},
		ThrottleReadIOPSDevice: []specs.LinuxThrottleDevice{{LinuxBlockIODevice: device, Rate: 1}}, ThrottleWriteIOPSDevice: []specs.LinuxThrottleDevice{{LinuxBlockIODevice: device, Rate: 1}},
	}})
	checkResources(t, "bad", specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{
		Weight: ptr[uint16](9), LeafWeight: ptr[uint16](10), WeightDevice: []specs.LinuxWeightDevice{{LinuxBlockIODevice: wrong, Weight: ptr[uint16](1001), LeafWeight: ptr[uint16](1)}, {LinuxBlockIODevice: device, Weight: nil, LeafWeight: nil}},
		ThrottleReadBpsDevice: []specs.LinuxThrottleDevice{{LinuxBlockIODevice: device, Rate: 0}}, ThrottleWriteBpsDevice: []specs.LinuxThrottleDevice{{LinuxBlockIODevice: wrong, Rate: 1}},
		ThrottleReadIOPSDevice: []specs.LinuxThrottleDevice{{LinuxBlockIODevice: device, Rate: 0}}, ThrottleWriteIOPSDevice: []specs.LinuxThrottleDevice{{LinuxBlockIODevice: device, Rate: 0}},
	}},
		"error "+at+"weight: 9 is not in 10 to 1000", "error "+at+"leafWeight: not supported yet: ",
		"error "+at+"weightDevice[0].major: 4096 is not in 0 to 4095",
		"error "+at+"weightDevice[0].minor: -1 is not in",
		"error "+at+"weightDevice[0].weight: 1001",
		"error "+at+"weightDevice[0].leafWeight: not supported yet: ",
		"error "+at+"weightDevice[1].weight: is missing",
		"error "+at+"throttleReadBpsDevice[0].rate: is 0",
		"error "+at+"throttleWriteBpsDevice[0].major: ",
		"error "+at+"throttleWriteBpsDevice[0].minor: ",
		"error "+at+"throttleReadIOPSDevice[0].rate: is 0",
		"error "+at+"throttleWriteIOPSDevice[0].rate: is 0")
}

func TestDeviceRulesAndPids(t *testing.T) {
	const at = "linux.resources."
	checkResources(t, "rules", specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{
		{Access: "rwm"}, {}, {Allow: true, Type: "a", Access: "m"}, {Allow: true, Type: "c", Major: ptr[int64](10), Minor: ptr[int64](229), Access: "rw"},
	}})
	checkResources(t, "bad rules", specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{
		{Allow: true, Type: "x", Major: ptr[int64](-1), Minor: ptr[int64](1 << 20)}, {Access: "rx"},
	}},
		`error `+at+`devices[0].type: "x" is not`,
		"error "+at+"devices[0].major: -1",
		"error "+at+"devices[0].minor: 1048576",
		"error "+at+"devices[0].access: is empty",
		`error `+at+`devices[1].access: "rx" has letters other than "rwm"`)
	for limit, want := range map[int64][]string{-1: nil, 1: nil, 0: {"error " + at + "pids.limit: not supported yet: 0 would leave"}, -2: {"error " + at + "pids.limit: -2 is neither"}} {
		checkResources(t, "pids", specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &limit}}, want...)
	}
	checkResources(t, "empty", specs.LinuxResources{Pids: &specs.LinuxPids{}, Network: &specs.LinuxNetwork{ClassID: ptr[uint32](0)}})
}

func TestUncarriedResources(t *testing.T) {
	const at = "linux.resources."
	checkResources(t, "all", specs.LinuxResources{
		HugepageLimits: []specs.LinuxHugepageLimit{{}}, Rdma: map[string]specs.LinuxRdma{"a": {}},
		Network: &specs.LinuxNetwork{ClassID: ptr[uint32](1), Priorities: []specs.LinuxInterfacePriority{{}}},
		Unified: map[string]string{"memory.high": "1", "cgroup.procs/../x": "1", "": "", "memory": "", ".a": "", "a.": ""},
	},
		"error "+at+"hugepageLimits: not supported yet: no unit property",
		"error "+at+"rdma: not supported yet: ",
		`error `+at+`unified[""]: is no file of a cgroup`,
		`error `+at+`unified[".a"]: `,
		`error `+at+`unified["a."]: `,
		`error `+at+`unified["cgroup.procs/../x"]: `, `error `+at+`unified["memory"]: `,
		"error "+at+"network.classID: not supported yet: cgroup v2",
		"error "+at+"network.priorities: not supported yet: ")
}
