package unit

import (
	"cmp"
	"fmt"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Device numbers as systemd takes them (DEVICE_MAJOR_VALID and DEVICE_MINOR_VALID of src/basic/devnum-util.h).
const (
	majorMax = 1<<12 - 1
	minorMax = 1<<20 - 1
)

// anyNumber stands for every major or minor number.
const anyNumber = -1

// DefaultDevices are the rules every container gets (runtime-spec, config-linux.md, "Default Devices"), the
// same as those of runc and crun: making any node is harmless, because using it is another access.
func DefaultDevices() []DeviceRule {
	return []DeviceRule{
		{"char-*", "m"},
		{"block-*", "m"},
		{"/dev/char/1:3", "rwm"}, // null
		{"/dev/char/1:5", "rwm"}, // zero
		{"/dev/char/1:7", "rwm"}, // full
		{"/dev/char/1:8", "rwm"}, // random
		{"/dev/char/1:9", "rwm"}, // urandom
		{"/dev/char/5:0", "rwm"}, // tty
		{"/dev/char/5:2", "rwm"}, // ptmx
		{"char-136", "rwm"},      // /dev/pts/*
	}
}

// access is a set of r, w and m.
type access uint8

const (
	accessR access = 1 << iota
	accessW
	accessM
	accessAll = accessR | accessW | accessM
)

func parseAccess(s string) (access, bool) {
	var a access
	for _, c := range s {
		switch c {
		case 'r':
			a |= accessR
		case 'w':
			a |= accessW
		case 'm':
			a |= accessM
		default:
			return 0, false
		}
	}
	if s == "" {
		a = accessAll
	}
	return a, true
}

func (a access) String() string {
	var b []byte
	for i, c := range []byte("rwm") {
		if a&(1<<i) != 0 {
			b = append(b, c)
		}
	}
	return string(b)
}

// deviceSet names devices: one, a major, or all of a type.
type deviceSet struct {
	kind         byte // 'b' or 'c'
	major, minor int64
}

func within(n, set int64) bool { return set == anyNumber || n == set }
func meets(a, b int64) bool    { return a == anyNumber || b == anyNumber || a == b }

// covers tells whether every device of o is in s.
func (s deviceSet) covers(o deviceSet) bool {
	return s.kind == o.kind && within(o.major, s.major) && within(o.minor, s.minor)
}

// overlaps tells whether some device is in both.
func (s deviceSet) overlaps(o deviceSet) bool {
	return s.kind == o.kind && meets(s.major, o.major) && meets(s.minor, o.minor)
}

// path is the form of DeviceAllow. A number after "char-" is a major (bpf_devices_allow_list_major of systemd's
// src/core/bpf-devices.c), so no name of /proc/devices is needed.
func (s deviceSet) path() string {
	long := map[byte]string{'b': "block", 'c': "char"}[s.kind]
	switch {
	case s.major == anyNumber:
		return long + "-*"
	case s.minor == anyNumber:
		return fmt.Sprintf("%s-%d", long, s.major)
	}
	return fmt.Sprintf("/dev/%s/%d:%d", long, s.major, s.minor)
}

// allowList is what a sequence of rules allows, beginning with nothing.
type allowList map[deviceSet]access

// deny takes access away; it returns the entry of which it would have to take a part, which a list of things
// allowed cannot say.
func (l allowList) deny(s deviceSet, a access) (conflict deviceSet, ok bool) {
	for e, have := range l {
		if have&a != 0 && s.overlaps(e) && !s.covers(e) {
			return e, false
		}
	}
	for e := range l {
		if !s.covers(e) {
			continue
		}
		if l[e] &^= a; l[e] == 0 {
			delete(l, e)
		}
	}
	return deviceSet{}, true
}

// reduced drops what a wider entry says already, and sorts: wide first.
func (l allowList) reduced() []deviceSet {
	var out []deviceSet
	for e, a := range l {
		redundant := false
		for w, b := range l {
			redundant = redundant || (w != e && w.covers(e) && a&^b == 0)
		}
		if !redundant {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b deviceSet) int {
		return cmp.Or(cmp.Compare(b.kind, a.kind), cmp.Compare(a.major, b.major), cmp.Compare(a.minor, b.minor))
	})
	return out
}

// whole is the access to a set by its own entry and by wider ones. The kernel asks for reading and writing at
// once, and systemd's program compares that with one entry at a time, so an entry has to say all.
func (l allowList) whole(s deviceSet) access {
	var all access
	for e, a := range l {
		if e.covers(s) {
			all |= a
		}
	}
	return all
}

// everything tells whether nothing is denied.
func (l allowList) everything() bool {
	return l[deviceSet{'c', anyNumber, anyNumber}] == accessAll && l[deviceSet{'b', anyNumber, anyNumber}] == accessAll
}

// devices evaluates the rules in order (runtime-spec, config-linux.md, "Allowed Device list"). No rule at all
// means the same as a first rule that denies everything, as in runc and crun: a list that begins with an allow
// rule allows just that.
func (c *compiler) devices(rules []specs.LinuxDeviceCgroup, defaults []DeviceRule) {
	if len(rules) == 0 && defaults == nil {
		return
	}
	list := allowList{}
	for i, r := range rules {
		c.deviceRule(list, fmt.Sprintf("devices[%d]", i), r)
	}
	if list.everything() {
		c.add(DevicePolicy("auto"))
		c.add(DeviceAllow())
		return
	}
	c.add(DevicePolicy("strict"))
	c.add(DeviceAllow(mergeRules(list, defaults)...))
}

// mergeRules joins the list and the defaults. systemd keeps the last entry of a path, so there must be one.
func mergeRules(list allowList, defaults []DeviceRule) []DeviceRule {
	out := make([]DeviceRule, 0, len(list)+len(defaults))
	for _, s := range list.reduced() {
		out = append(out, DeviceRule{s.path(), list.whole(s).String()})
	}
	for _, d := range defaults {
		i := slices.IndexFunc(out, func(r DeviceRule) bool { return r.Path == d.Path })
		if i < 0 {
			out = append(out, d)
			continue
		}
		have, _ := parseAccess(out[i].Access)
		more, _ := parseAccess(d.Access)
		out[i].Access = (have | more).String()
	}
	return out
}

func (c *compiler) deviceRule(list allowList, path string, r specs.LinuxDeviceCgroup) {
	acc, ok := parseAccess(r.Access)
	if !ok {
		c.fail(path+".access", r.Access, "must be of the letters r, w and m")
		return
	}
	sets, ok := c.deviceSets(path, r)
	if !ok {
		return
	}
	for _, s := range sets {
		if !r.Allow {
			if e, ok := list.deny(s, acc); !ok {
				c.fail(path, s.path(), fmt.Sprintf("denies a part of %q, which an earlier rule allows: "+
					"a unit can only list what is allowed", e.path()))
			}
			continue
		}
		if s.major == anyNumber && s.minor != anyNumber {
			c.fail(path+".major", "any", "a unit cannot allow one minor number of every major")
			continue
		}
		list[s] |= acc
	}
}

// deviceSets are the devices a rule is about: two sets for type "a".
func (c *compiler) deviceSets(path string, r specs.LinuxDeviceCgroup) ([]deviceSet, bool) {
	major, ok1 := c.deviceNumber(path+".major", r.Major, majorMax)
	minor, ok2 := c.deviceNumber(path+".minor", r.Minor, minorMax)
	if !ok1 || !ok2 {
		return nil, false
	}
	switch r.Type {
	case "b", "c":
		return []deviceSet{{r.Type[0], major, minor}}, true
	case "", "a":
		if major != anyNumber || minor != anyNumber {
			c.fail(path+".type", r.Type, "all types cannot have a device number")
			return nil, false
		}
		return []deviceSet{{'c', anyNumber, anyNumber}, {'b', anyNumber, anyNumber}}, true
	}
	c.fail(path+".type", r.Type, `must be "a", "b" or "c"`)
	return nil, false
}

// deviceNumber: absent means every number, and so does -1, as in runc.
func (c *compiler) deviceNumber(path string, n *int64, limit int64) (int64, bool) {
	if n == nil || *n == anyNumber {
		return anyNumber, true
	}
	if *n < 0 || *n > limit {
		c.fail(path, *n, fmt.Sprintf("must be 0 to %d, or -1 for all", limit))
		return 0, false
	}
	return *n, true
}
