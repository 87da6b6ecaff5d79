package unit

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// ask is one access to one device.
type ask struct {
	kind         byte
	major, minor int64
	access       access
}

// asks are all accesses that the kernel asks for at once, to a few devices.
func asks() (out []ask) {
	for _, kind := range []byte("bc") {
		for major := range int64(3) {
			for minor := range int64(3) {
				for _, a := range []access{accessR, accessW, accessR | accessW, accessM} {
					out = append(out, ask{kind, major, minor, a})
				}
			}
		}
	}
	return out
}

// specAllows is what the rules of the specification say: for each of r, w and m the last rule about it decides,
// and without one it is denied.
func specAllows(rules []specs.LinuxDeviceCgroup, q ask) bool {
	for a := accessR; a <= accessM; a <<= 1 {
		if q.access&a != 0 && !specAllowsOne(rules, ask{q.kind, q.major, q.minor, a}) {
			return false
		}
	}
	return true
}

func specAllowsOne(rules []specs.LinuxDeviceCgroup, q ask) bool {
	allowed := false
	for _, r := range rules {
		acc, _ := parseAccess(r.Access)
		about := (r.Type == "a" || r.Type == string(q.kind)) && (r.Major == nil || *r.Major == q.major) &&
			(r.Minor == nil || *r.Minor == q.minor) && acc&q.access != 0
		if about {
			allowed = r.Allow
		}
	}
	return allowed
}

// unitAllows is what systemd makes of DevicePolicy and DeviceAllow (src/core/bpf-devices.c).
func unitAllows(t *testing.T, props []Property, q ask) bool {
	t.Helper()
	policy, rules := props[0].Value.(string), props[1].Value.([]DeviceRule)
	if policy == "auto" && len(rules) == 0 {
		return true
	}
	long := map[byte]string{'b': "block", 'c': "char"}[q.kind]
	seen := map[string]bool{}
	allowed := false
	for _, r := range rules {
		if seen[r.Path] {
			t.Errorf("%q is there twice: systemd keeps the last alone", r.Path)
		}
		seen[r.Path] = true
		acc, ok := parseAccess(r.Access)
		if !ok || r.Access == "" {
			t.Errorf("%v: systemd refuses or widens this access", r)
		}
		switch r.Path {
		case long + "-*", fmt.Sprintf("%s-%d", long, q.major), fmt.Sprintf("/dev/%s/%d:%d", long, q.major, q.minor):
			allowed = allowed || q.access&^acc == 0 // one entry has to say all
		}
	}
	return allowed
}

// Random rules: the unit allows exactly what the specification allows, or the rules are refused.
func TestDevicesAgainstSpecification(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	number := func() *int64 {
		if rnd.IntN(3) == 0 {
			return nil
		}
		return new(rnd.Int64N(3))
	}
	compiled := 0
	for range 20000 {
		rules := make([]specs.LinuxDeviceCgroup, 1+rnd.IntN(5))
		for i := range rules {
			r := specs.LinuxDeviceCgroup{Allow: rnd.IntN(3) > 0, Type: []string{"a", "b", "c"}[rnd.IntN(3)],
				Access: access(1 + rnd.IntN(7)).String()}
			if r.Type != "a" {
				r.Major, r.Minor = number(), number()
			}
			rules[i] = r
		}
		props, err := FromResources(&specs.LinuxResources{Devices: rules}, nil)
		if err != nil {
			continue
		}
		compiled++
		for _, q := range asks() {
			if want, got := specAllows(rules, q), unitAllows(t, props, q); want != got {
				text, _ := json.Marshal(rules)
				t.Fatalf("%c %d:%d %v: the rules say %v, the unit %v\n%s\n%v", q.kind, q.major, q.minor, q.access, want, got, text, props)
			}
		}
	}
	if compiled < 5000 {
		t.Errorf("only %d of 20000 could be compiled: the test says little", compiled)
	}
}

// ranges are what bus_cgroup_set_property of systemd 252 (src/core/dbus-cgroup.c) takes.
var ranges = map[string][2]uint64{
	"CPUWeight": {0, 10000}, "CPUQuotaPerSecUSec": {1, Infinity}, "CPUQuotaPeriodUSec": {periodMin, periodMax},
	"MemoryMin": {0, Infinity}, "MemoryLow": {0, Infinity}, "MemoryHigh": {1, Infinity}, "MemoryMax": {1, Infinity},
	"MemorySwapMax": {0, Infinity}, "TasksMax": {1, Infinity}, "IOWeight": {1, 10000},
}

// checkAccepted fails for a property that systemd would refuse.
func checkAccepted(t *testing.T, p Property) {
	t.Helper()
	switch v := p.Value.(type) {
	case uint64:
		if r, ok := ranges[p.Name]; !ok || v < r[0] || v > r[1] {
			t.Errorf("%s=%d is out of range", p.Name, v)
		}
		if p.Name == "CPUQuotaPerSecUSec" && v != Infinity && v%percentUSec != 0 {
			t.Errorf("%s=%d is not a whole percent", p.Name, v)
		}
	case []byte:
		if len(v) == 0 {
			t.Errorf("%s is empty", p.Name)
		}
	case []DeviceValue:
		for _, d := range v {
			if !strings.HasPrefix(d.Path, "/dev/block/") || d.Value == 0 || (p.Name == "IODeviceWeight" && d.Value > 10000) {
				t.Errorf("%s has %v", p.Name, d)
			}
		}
	case []DeviceRule:
		for _, d := range v {
			if d.Access == "" || !(strings.HasPrefix(d.Path, "/dev/") || strings.HasPrefix(d.Path, "char-") || strings.HasPrefix(d.Path, "block-")) {
				t.Errorf("%s has %v", p.Name, d)
			}
		}
	case string:
		if p.Name != "DevicePolicy" {
			t.Errorf("%s=%q", p.Name, v)
		}
	default:
		t.Errorf("%s has a %T", p.Name, p.Value)
	}
}

// Whatever a bundle says: an error, or properties that systemd takes, each once, the same every time.
func FuzzFromResources(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"memory":{"limit":1,"swap":2}}`, `{"cpu":{"shares":3,"quota":1000,"period":1000,"cpus":"0-7"}}`,
		`{"devices":[{"allow":true,"type":"c","major":1}]}`, `{"unified":{"cpu.max":"max 5000","memory.low":"0"}}`,
		`{"blockIO":{"weight":100,"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":5}]}}`, `{"pids":{"limit":-5}}`,
		`{"cpu":{"quota":9223372036854,"period":1000}}`, `{"rdma":{"a":{}}}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var r specs.LinuxResources
		if json.Unmarshal([]byte(text), &r) != nil {
			return
		}
		props, err := FromResources(&r, nil)
		again, errAgain := FromResources(&r, nil)
		if !reflect.DeepEqual(props, again) || fmt.Sprint(err) != fmt.Sprint(errAgain) {
			t.Errorf("not the same twice: %v, %v; %v, %v", props, err, again, errAgain)
		}
		if err != nil && props != nil {
			t.Errorf("both %v and %v", props, err)
		}
		seen := map[string]bool{}
		for _, p := range props {
			if seen[p.Name] {
				t.Errorf("%s twice", p.Name)
			}
			seen[p.Name] = true
			checkAccepted(t, p)
		}
	})
}
