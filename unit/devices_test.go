package unit

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const denyAll = `{"allow":false,"access":"rwm"}`

func TestDevices(t *testing.T) {
	for _, tt := range []struct {
		name, rules string
		policy      string
		want        []DeviceRule
	}{
		{"deny all", denyAll, "strict", []DeviceRule{}},
		{"no deny rule is as good", `{"allow":true,"type":"c","major":10,"minor":229,"access":"rwm"}`, "strict",
			[]DeviceRule{{"/dev/char/10:229", "rwm"}}},
		{"a whole major is its number", denyAll + `,{"allow":true,"type":"c","major":5,"access":"rw"}`, "strict",
			[]DeviceRule{{"char-5", "rw"}}},
		{"-1 is any", denyAll + `,{"allow":true,"type":"b","major":-1,"minor":-1,"access":"m"}`, "strict",
			[]DeviceRule{{"block-*", "m"}}},
		{"access joined per device", denyAll + `,{"allow":true,"type":"c","major":1,"minor":3,"access":"r"},` +
			`{"allow":true,"type":"c","major":1,"minor":3,"access":"w"}`, "strict", []DeviceRule{{"/dev/char/1:3", "rw"}}},
		{"everything", `{"allow":true,"access":"rwm"}`, "auto", []DeviceRule{}},
		{"everything, no access given", `{"allow":true,"type":"a"}`, "auto", []DeviceRule{}},
		{"everything but making nodes", `{"allow":true,"type":"a"},{"allow":false,"access":"m"}`, "strict",
			[]DeviceRule{{"char-*", "rw"}, {"block-*", "rw"}}},
		{"all of one type", denyAll + `,{"allow":true,"type":"b","access":"rw"}`, "strict", []DeviceRule{{"block-*", "rw"}}},
		{"a later deny takes the whole", denyAll + `,{"allow":true,"type":"c","major":1,"minor":3},{"allow":false,"type":"c","major":1}`,
			"strict", []DeviceRule{}},
		{"a deny of something else", denyAll + `,{"allow":true,"type":"c","major":1,"minor":3},{"allow":false,"type":"c","major":1,"minor":5}`,
			"strict", []DeviceRule{{"/dev/char/1:3", "rwm"}}},
		{"a deny of other access", denyAll + `,{"allow":true,"type":"c","access":"m"},{"allow":false,"type":"c","major":1,"minor":5,"access":"rw"}`,
			"strict", []DeviceRule{{"char-*", "m"}}},
		{"the narrower goes", denyAll + `,{"allow":true,"type":"c","major":5},{"allow":true,"type":"c","major":5,"minor":1,"access":"rw"}`,
			"strict", []DeviceRule{{"char-5", "rwm"}}},
		{"an entry says all that is allowed", denyAll + `,{"allow":true,"type":"c","major":5,"access":"r"},{"allow":true,"type":"c","major":5,"minor":1,"access":"w"}`,
			"strict", []DeviceRule{{"char-5", "r"}, {"/dev/char/5:1", "rw"}}},
		{"sorted", denyAll + `,{"allow":true,"type":"b","major":8,"minor":1},{"allow":true,"type":"c","major":10,"minor":2},{"allow":true,"type":"c","major":10,"minor":1}`,
			"strict", []DeviceRule{{"/dev/char/10:1", "rwm"}, {"/dev/char/10:2", "rwm"}, {"/dev/block/8:1", "rwm"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := FromResources(parse(t, `{"devices":[`+tt.rules+`]}`), nil)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff([]Property{DevicePolicy(tt.policy), DeviceAllow(tt.want...)}, got); d != "" {
				t.Errorf("properties (-want +got):\n%s", d)
			}
		})
	}
}

func TestDevicesRefused(t *testing.T) {
	for _, tt := range []struct{ name, rules, path string }{
		{"a hole in a major", `{"allow":true,"type":"c","major":1},{"allow":false,"type":"c","major":1,"minor":5}`, "devices[1]"},
		{"a hole in everything", `{"allow":true},{"allow":false,"type":"b","major":8}`, "devices[1]"},
		{"one minor of every major", `{"allow":true,"type":"c","minor":1}`, "devices[0].major"},
		{"a number for all types", `{"allow":true,"type":"a","major":1}`, "devices[0].type"},
		{"no such type", `{"allow":true,"type":"p"}`, "devices[0].type"},
		{"no such access", `{"allow":true,"type":"c","access":"rx"}`, "devices[0].access"},
		{"major too big", `{"allow":true,"type":"c","major":4096}`, "devices[0].major"},
		{"minor too big", `{"allow":true,"type":"c","major":1,"minor":1048576}`, "devices[0].minor"},
		{"negative", `{"allow":true,"type":"c","major":-2}`, "devices[0].major"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			props, err := FromResources(parse(t, `{"devices":[`+tt.rules+`]}`), DefaultDevices())
			var e *ResourceError
			if !errors.As(err, &e) || e.Path != "linux.resources."+tt.path {
				t.Errorf("got %v, %v, want an error at %s", props, err, tt.path)
			}
		})
	}
}

// The defaults come after the bundle's rules, and no path is there twice: systemd would keep only the last.
func TestDefaultDevices(t *testing.T) {
	got, err := FromResources(nil, DefaultDevices())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]Property{DevicePolicy("strict"), DeviceAllow(DefaultDevices()...)}, got); d != "" {
		t.Errorf("without resources (-want +got):\n%s", d)
	}
	got, err = FromResources(parse(t, `{"devices":[`+denyAll+`,{"allow":true,"type":"c","access":"r"},{"allow":true,"type":"c","major":1,"minor":3,"access":"w"}]}`), DefaultDevices())
	if err != nil {
		t.Fatal(err)
	}
	rules := got[1].Value.([]DeviceRule)
	want := append([]DeviceRule{{"char-*", "rm"}, {"/dev/char/1:3", "rwm"}, {"block-*", "m"}}, DefaultDevices()[3:]...)
	if d := cmp.Diff(want, rules); d != "" {
		t.Errorf("merged (-want +got):\n%s", d)
	}
}

func TestAccess(t *testing.T) {
	for a := access(1); a <= accessAll; a++ {
		if got, ok := parseAccess(a.String()); !ok || got != a {
			t.Errorf("parseAccess(%q) = %v, %v, want %v", a.String(), got, ok, a)
		}
	}
}
