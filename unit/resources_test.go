package unit

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// parse reads linux.resources as a bundle has it.
func parse(t *testing.T, text string) *specs.LinuxResources {
	t.Helper()
	var r specs.LinuxResources
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		t.Fatalf("decode %s: %v", text, err)
	}
	return &r
}

func TestFromResources(t *testing.T) {
	for _, tt := range []struct {
		name, json string
		want       []Property
	}{
		{"nothing", `{}`, nil},
		{"memory", `{"memory":{"limit":1048576,"reservation":4096,"swap":2097152}}`,
			[]Property{MemoryMax(1048576), MemoryLow(4096), MemorySwapMax(1048576)}},
		{"memory without limit", `{"memory":{"limit":-1,"reservation":-1,"swap":-1}}`,
			[]Property{MemoryMax(Infinity), MemoryLow(Infinity), MemorySwapMax(Infinity)}},
		{"no swap", `{"memory":{"limit":4096,"swap":4096}}`, []Property{MemoryMax(4096), MemorySwapMax(0)}},
		{"v1 settings that say what v2 does",
			`{"memory":{"disableOOMKiller":false,"useHierarchy":true,"kernel":-1,"kernelTCP":0,"checkBeforeUpdate":false}}`, nil},
		{"cpu", `{"cpu":{"shares":1024,"quota":50000,"period":100000,"cpus":"0-2,8","mems":"0"}}`,
			[]Property{CPUWeight(100), CPUQuotaPerSecUSec(500000), CPUQuotaPeriodUSec(100000),
				AllowedCPUs([]byte{7, 1}), AllowedMemoryNodes([]byte{1})}},
		{"quota rounded up to a percent", `{"cpu":{"quota":33333,"period":100000}}`,
			[]Property{CPUQuotaPerSecUSec(340000), CPUQuotaPeriodUSec(100000)}},
		{"quota of the default period", `{"cpu":{"quota":200000}}`, []Property{CPUQuotaPerSecUSec(2000000)}},
		{"no quota", `{"cpu":{"quota":-1}}`, []Property{CPUQuotaPerSecUSec(Infinity)}},
		{"cpu zeros are unset", `{"cpu":{"shares":0,"quota":0,"period":0,"burst":0,"idle":0,"realtimeRuntime":0,"realtimePeriod":0}}`, nil},
		{"idle wins", `{"cpu":{"idle":1,"shares":1024}}`, []Property{CPUWeight(CPUWeightIdle)}},
		{"pids", `{"pids":{"limit":32}}`, []Property{TasksMax(32)}},
		{"pids without limit", `{"pids":{"limit":-1}}`, []Property{TasksMax(Infinity)}},
		{"pids zero", `{"pids":{"limit":0}}`, []Property{TasksMax(Infinity)}},
		{"blockIO", `{"blockIO":{"weight":10,"weightDevice":[{"major":8,"minor":0,"weight":1000}],
			"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":1},{"major":8,"minor":16,"rate":2}],
			"throttleWriteBpsDevice":[{"major":8,"minor":0,"rate":3}],
			"throttleReadIOPSDevice":[{"major":8,"minor":0,"rate":4}],
			"throttleWriteIOPSDevice":[{"major":8,"minor":0,"rate":5}]}}`,
			[]Property{IOWeight(1), IODeviceWeight(DeviceValue{"/dev/block/8:0", 10000}),
				IOReadBandwidthMax(DeviceValue{"/dev/block/8:0", 1}, DeviceValue{"/dev/block/8:16", 2}),
				IOWriteBandwidthMax(DeviceValue{"/dev/block/8:0", 3}),
				IOReadIOPSMax(DeviceValue{"/dev/block/8:0", 4}),
				IOWriteIOPSMax(DeviceValue{"/dev/block/8:0", 5})}},
		{"unified", `{"unified":{"memory.high":"max","cpu.max":"10000 50000","pids.max":"7","memory.swap.max":"0","io.weight":"default 50"}}`,
			[]Property{CPUQuotaPerSecUSec(200000), CPUQuotaPeriodUSec(50000), IOWeight(50), MemoryHigh(Infinity),
				MemorySwapMax(0), TasksMax(7)}},
		{"unified sets", `{"unified":{"cpu.weight":"10000","cpu.max":"max","cpuset.cpus":"1","cpuset.mems":"0,2","memory.min":"1","memory.low":"2","memory.max":"3"}}`,
			[]Property{CPUQuotaPerSecUSec(Infinity), CPUWeight(10000), AllowedCPUs([]byte{2}), AllowedMemoryNodes([]byte{5}),
				MemoryLow(2), MemoryMax(3), MemoryMin(1)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := FromResources(parse(t, tt.json), nil)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("properties (-want +got):\n%s", d)
			}
		})
	}
}

func TestFromResourcesRefuses(t *testing.T) {
	for _, tt := range []struct{ json, path, value string }{
		{`{"memory":{"limit":0}}`, "memory.limit", "0"},
		{`{"memory":{"limit":-2}}`, "memory.limit", "-2"},
		{`{"memory":{"reservation":-7}}`, "memory.reservation", "-7"},
		{`{"memory":{"swap":4096}}`, "memory.swap", "4096"},
		{`{"memory":{"limit":8192,"swap":4096}}`, "memory.swap", "4096"},
		{`{"memory":{"limit":8192,"swap":-3}}`, "memory.swap", "-3"},
		{`{"memory":{"swappiness":60}}`, "memory.swappiness", "60"},
		{`{"memory":{"kernel":4096}}`, "memory.kernel", "4096"},
		{`{"memory":{"kernelTCP":4096}}`, "memory.kernelTCP", "4096"},
		{`{"memory":{"disableOOMKiller":true}}`, "memory.disableOOMKiller", "true"},
		{`{"memory":{"useHierarchy":false}}`, "memory.useHierarchy", "false"},
		{`{"memory":{"checkBeforeUpdate":true}}`, "memory.checkBeforeUpdate", "true"},
		{`{"cpu":{"burst":100}}`, "cpu.burst", "100"},
		{`{"cpu":{"realtimeRuntime":5}}`, "cpu.realtimeRuntime", "5"},
		{`{"cpu":{"realtimePeriod":5}}`, "cpu.realtimePeriod", "5"},
		{`{"cpu":{"idle":2}}`, "cpu.idle", "2"},
		{`{"cpu":{"quota":999}}`, "cpu.quota", "999"},
		{`{"cpu":{"quota":-2}}`, "cpu.quota", "-2"},
		{`{"cpu":{"quota":9223372036854775807}}`, "cpu.quota", "9223372036854775807"},
		{`{"cpu":{"period":999}}`, "cpu.period", "999"},
		{`{"cpu":{"period":1000001,"quota":5000}}`, "cpu.period", "1000001"},
		{`{"cpu":{"cpus":"3-1"}}`, "cpu.cpus", "3-1"},
		{`{"cpu":{"cpus":"8192"}}`, "cpu.cpus", "8192"},
		{`{"cpu":{"cpus":"0,"}}`, "cpu.cpus", "0,"},
		{`{"cpu":{"mems":"x"}}`, "cpu.mems", "x"},
		{`{"blockIO":{"weight":9}}`, "blockIO.weight", "9"},
		{`{"blockIO":{"weight":1001}}`, "blockIO.weight", "1001"},
		{`{"blockIO":{"leafWeight":10}}`, "blockIO.leafWeight", "10"},
		{`{"blockIO":{"weightDevice":[{"major":8,"minor":0,"leafWeight":10}]}}`, "blockIO.weightDevice[0].leafWeight", "10"},
		{`{"blockIO":{"weightDevice":[{"major":8,"minor":0,"weight":5}]}}`, "blockIO.weightDevice[0].weight", "5"},
		{`{"blockIO":{"throttleReadBpsDevice":[{"major":-1,"minor":0,"rate":1}]}}`, "blockIO.throttleReadBpsDevice[0]", "-1:0"},
		{`{"blockIO":{"throttleWriteIOPSDevice":[{"major":8,"minor":0,"rate":0}]}}`, "blockIO.throttleWriteIOPSDevice[0].rate", "0"},
		{`{"hugepageLimits":[{"pageSize":"2MB","limit":1}]}`, "hugepageLimits[0]", "2MB=1"},
		{`{"rdma":{"mlx5":{"hcaHandles":1}}}`, `rdma["mlx5"]`, "mlx5"},
		{`{"network":{"classID":5}}`, "network.classID", "5"},
		{`{"network":{"priorities":[{"name":"eth0","priority":1}]}}`, "network.priorities[0]", "eth0"},
		{`{"unified":{"hugetlb.2MB.max":"1"}}`, `unified["hugetlb.2MB.max"]`, "1"},
		{`{"unified":{"memory.max":"0"}}`, `unified["memory.max"]`, "0"},
		{`{"unified":{"cpu.weight":"max"}}`, `unified["cpu.weight"]`, "max"},
		{`{"unified":{"cpu.max":"1 2 3"}}`, `unified["cpu.max"]`, "1 2 3"},
		{`{"unified":{"cpu.max":"10000 7"}}`, `unified["cpu.max"]`, "10000 7"},
		{`{"unified":{"cpu.max":""}}`, `unified["cpu.max"]`, ""},
		{`{"memory":{"limit":8192},"unified":{"memory.max":"4096"}}`, `unified["memory.max"]`, "4096"},
	} {
		t.Run(tt.path+"="+tt.value, func(t *testing.T) {
			props, err := FromResources(parse(t, tt.json), nil)
			var e *ResourceError
			if !errors.As(err, &e) {
				t.Fatalf("got %v, %v, want a ResourceError", props, err)
			}
			if e.Path != "linux.resources."+tt.path || e.Value != tt.value || e.Reason == "" {
				t.Errorf("got %+v, want path %q and value %q", e, tt.path, tt.value)
			}
			if props != nil {
				t.Errorf("properties beside an error: %v", props)
			}
		})
	}
}

// Every finding is told, not only the first, in an order that does not change.
func TestFromResourcesFindsAll(t *testing.T) {
	_, err := FromResources(parse(t, `{"cpu":{"burst":1},"memory":{"swappiness":1},"rdma":{"a":{},"b":{}}}`), nil)
	want := []string{"cpu.burst", "memory.swappiness", `rdma["a"]`, `rdma["b"]`}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != len(want) {
		t.Fatalf("got %q, want %d findings", lines, len(want))
	}
	for i, w := range want {
		if !strings.HasPrefix(lines[i], "linux.resources."+w+": value \"") {
			t.Errorf("line %d is %q, want it to begin with %q", i, lines[i], w)
		}
	}
}

func TestWeightFromShares(t *testing.T) {
	for shares, want := range map[uint64]uint64{0: 1, 1: 1, 2: 1, 512: 59, 1024: 100, 2048: 174, 262143: 10000, 262144: 10000, 1 << 40: 10000} {
		if got := WeightFromShares(shares); got != want {
			t.Errorf("WeightFromShares(%d) = %d, want %d", shares, got, want)
		}
	}
	last := uint64(0)
	for s := uint64(0); s < 263000; s++ {
		w := WeightFromShares(s)
		if w < last || w < 1 || w > 10000 {
			t.Fatalf("WeightFromShares(%d) = %d after %d: not rising within 1..10000", s, w, last)
		}
		last = w
	}
}

func FuzzBitmask(f *testing.F) {
	for _, s := range []string{"0", "0-3,7", "", "-", "8191", "1-2-3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		mask, err := bitmask(s)
		if err != nil {
			return
		}
		if len(mask) == 0 || len(mask) > 1024 || mask[len(mask)-1] == 0 {
			t.Errorf("bitmask(%q) = %v: empty, too long or with a zero at the end", s, mask)
		}
	})
}

// The constructors' Go types are what systemd documents as D-Bus types; go vet cannot see it, so name them.
func TestPropertyTypes(t *testing.T) {
	strs := []Property{Description(""), Slice(""), CollectMode(""), KillMode(""), OOMPolicy(""), Controller(""), DevicePolicy("")}
	bools := []Property{Delegate(true), CPUAccounting(true), MemoryAccounting(true), TasksAccounting(true), IOAccounting(true)}
	u64s := []Property{TimeoutStopUSec(1), RuntimeMaxUSec(1), CPUWeight(1), CPUQuotaPerSecUSec(1), CPUQuotaPeriodUSec(1),
		MemoryMin(1), MemoryLow(1), MemoryHigh(1), MemoryMax(1), MemorySwapMax(1), TasksMax(1), IOWeight(1)}
	check := func(list []Property, ok func(any) bool) {
		for _, p := range list {
			if !ok(p.Value) {
				t.Errorf("%s has a %T", p.Name, p.Value)
			}
		}
	}
	check(strs, func(v any) bool { _, ok := v.(string); return ok })
	check(bools, func(v any) bool { _, ok := v.(bool); return ok })
	check(u64s, func(v any) bool { _, ok := v.(uint64); return ok })
	check([]Property{After("a"), PartOf("a")}, func(v any) bool { _, ok := v.([]string); return ok })
	check([]Property{PIDs(1)}, func(v any) bool { _, ok := v.([]uint32); return ok })
	check([]Property{DeviceAllow()}, func(v any) bool { l, ok := v.([]DeviceRule); return ok && l != nil })
	all := slices.Concat(strs, bools, u64s)
	slices.SortFunc(all, func(a, b Property) int { return strings.Compare(a.Name, b.Name) })
	for i := range all[1:] {
		if all[i].Name == all[i+1].Name {
			t.Errorf("two constructors make %s", all[i].Name)
		}
	}
}
