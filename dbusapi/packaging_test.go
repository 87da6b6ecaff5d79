package dbusapi

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/berth-project/berth/dbusapi/wire"
	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
)

const packaging = "../packaging"

// rule is an allow rule of a bus policy.
type rule struct {
	Destination string `xml:"send_destination,attr"`
	Interface   string `xml:"send_interface,attr"`
	Member      string `xml:"send_member,attr"`
	MaxFDs      string `xml:"max_fds,attr"`
}

func parse(t *testing.T, path string, into any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(packaging, path))
	if err != nil {
		t.Fatal(err)
	}
	if err := xml.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}

// TestBusPolicyAllowsTheTable: every method that can succeed is allowed for everybody, with descriptors only Create.
func TestBusPolicyAllowsTheTable(t *testing.T) {
	var config struct {
		Policies []struct {
			Context string `xml:"context,attr"`
			Allow   []rule `xml:"allow"`
		} `xml:"policy"`
	}
	parse(t, "dbus/org.berth1.conf", &config)
	var got, want []string
	for _, policy := range config.Policies {
		if policy.Context != "default" {
			continue
		}
		for _, r := range policy.Allow {
			if r.Destination == "" {
				continue
			}
			got = append(got, r.Interface+"."+r.Member)
			if files := r.MaxFDs != "0"; files != (r.Member == "Create") {
				t.Errorf("%s.%s may carry descriptors: %t", r.Interface, r.Member, files)
			}
		}
	}
	for _, i := range []wire.Interface{wire.Manager(), wire.Container()} {
		for _, m := range i.Methods {
			want = append(want, i.Name+"."+m.Name)
		}
	}
	want = append(want, wire.IntrospectableInterface+".", wire.ObjectManagerInterface+".", wire.PeerInterface+".",
		wire.PropertiesInterface+".Get", wire.PropertiesInterface+".GetAll")
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestPolkitActionsAreTheTable(t *testing.T) {
	var config struct {
		Actions []struct {
			ID string `xml:"id,attr"`
		} `xml:"action"`
	}
	parse(t, "polkit/org.berth1.policy", &config)
	var got, want []string
	for _, a := range config.Actions {
		got = append(got, a.ID)
	}
	for _, i := range []wire.Interface{wire.Manager(), wire.Container()} {
		for _, m := range i.Methods {
			if m.Action != "" {
				want = append(want, m.Action)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestBusPolicy runs the real policy under the rules of a system bus.
func TestBusPolicy(t *testing.T) {
	requireRoot(t)
	policy, err := filepath.Abs(filepath.Join(packaging, "dbus/org.berth1.conf"))
	if err != nil {
		t.Fatal(err)
	}
	const systemRules = `<allow user="*"/><deny own="*"/><deny send_type="method_call"/><allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/><allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/><allow receive_type="method_return"/><allow receive_type="error"/><allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus"/></policy><include>%s</include>
    <policy user="nobody"><allow own="org.freedesktop.PolicyKit1"/><allow send_destination="org.freedesktop.PolicyKit1"/></policy>
    <policy user="root"><allow send_destination="org.freedesktop.PolicyKit1"/>`
	r := newRigOn(t, startBusWith(t, systemRules, policy), defaultLimits())
	r.fake.add("web")
	stranger := connect(t, r.address, nobody)
	if err := invoke(stranger, wire.ManagerPath, wire.ManagerInterface+".List").Err; err != nil {
		t.Errorf("List: %v", err)
	}
	if _, err := stranger.Object(wire.BusName, containerPath("web")).GetProperty(wire.ContainerInterface + ".Status"); err != nil {
		t.Errorf("read property: %v", err)
	}
	file := dbus.MakeVariant(dbus.UnixFD(openNull(t).Fd()))
	const denied = "org.freedesktop.DBus.Error.AccessDenied"
	wantError(t, invoke(stranger, wire.ManagerPath, wire.ManagerInterface+".Get", file).Err, denied)
	wantError(t, invoke(stranger, wire.ManagerPath, wire.ManagerInterface+".Unknown").Err, denied)
	wantError(t, invoke(stranger, wire.ManagerPath, wire.PropertiesInterface+".Set", "a", "b", file).Err, denied)
	options := map[string]dbus.Variant{"Stdout": file}
	// Descriptors pass, and so does the answer of an authority that does not run as root.
	polkit := startPolkitAs(t, r, nobody)
	polkit.say(answer{Authorized: true})
	if err := invoke(stranger, wire.ManagerPath, wire.ManagerInterface+".Create", "new", "/b", options).Err; err != nil {
		t.Errorf("Create: %v", err)
	}
	reply, err := stranger.RequestName(wire.BusName, dbus.NameFlagReplaceExisting)
	wantError(t, err, denied)
	if reply == dbus.RequestNameReplyPrimaryOwner {
		t.Error("a stranger owns the name")
	}
}
