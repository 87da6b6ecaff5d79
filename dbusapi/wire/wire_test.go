package wire

import (
	"encoding/xml"
	"os"
	"strings"
	"testing"
)

func all() []Interface {
	return []Interface{Manager(), Container(), Properties(), Introspectable(), Peer(), ObjectManager()}
}

func TestEveryArgumentHasANameAndAType(t *testing.T) {
	for _, i := range all() {
		for _, m := range i.Methods {
			check(t, i.Name+"."+m.Name, append(append([]Arg{}, m.In...), m.Out...))
		}
		for _, s := range i.Signals {
			check(t, i.Name+"."+s.Name, s.Args)
		}
	}
}

func check(t *testing.T, of string, args []Arg) {
	t.Helper()
	seen := map[string]bool{}
	for _, a := range args {
		if a.Name == "" || a.Type == "" || seen[a.Name] || strings.Trim(a.Name, "abcdefghijklmnopqrstuvwxyz_") != "" {
			t.Errorf("%s: argument %+v", of, a)
		}
		seen[a.Name] = true
	}
}

// TestContract is the API as design and issue have it; a change here is a change for every client.
func TestContract(t *testing.T) {
	want := map[string]string{
		"Create": "ssa{sv}>o", "Get": "s>o", "GetByPID": "u>o", "List": ">a(ssuo)",
		"Start": ">", "Kill": "si>", "Stop": "t>", "Pause": ">", "Resume": ">", "Delete": "b>",
		"Wait": ">is", "State": ">s", "Processes": ">a(us)", "Stats": ">a{sv}",
	}
	manager, container := Manager(), Container()
	for _, m := range append(manager.Methods, container.Methods...) {
		if got := Signature(m.In) + ">" + Signature(m.Out); got != want[m.Name] {
			t.Errorf("%s has %q, want %q", m.Name, got, want[m.Name])
		}
		delete(want, m.Name)
	}
	for name := range want {
		t.Errorf("method %s is missing", name)
	}
	signals := map[string]string{
		"ContainerCreated": "so", "ContainerStarted": "sou", "ContainerExited": "soisu", "ContainerOOM": "so", "ContainerDeleted": "so",
	}
	for name, sig := range signals {
		if s := manager.Signal(name); s == nil || Signature(s.Args) != sig {
			t.Errorf("signal %s is %+v, want %q", name, s, sig)
		}
	}
	if manager.Method("Exec") != nil || container.Method("Exec") != nil || container.Property("Id") == nil {
		t.Error("lookup by name")
	}
}

// TestActions: what changes something needs authorisation, what reads does not.
func TestActions(t *testing.T) {
	for _, i := range all() {
		for _, m := range i.Methods {
			reads := strings.HasPrefix(m.Name, "Get") || strings.Contains(" List Wait State Processes Stats Introspect Ping Set ", " "+m.Name+" ")
			if want := BusName + "." + strings.ToLower(m.Name); reads != (m.Action == "") || (!reads && m.Action != want) {
				t.Errorf("%s has action %q", m.Name, m.Action)
			}
		}
	}
}

type node struct {
	Interfaces []struct {
		Name    string `xml:"name,attr"`
		Methods []struct {
			Name string   `xml:"name,attr"`
			Args []xmlArg `xml:"arg"`
		} `xml:"method"`
		Signals []struct {
			Name string   `xml:"name,attr"`
			Args []xmlArg `xml:"arg"`
		} `xml:"signal"`
		Properties []struct {
			Name       string `xml:"name,attr"`
			Type       string `xml:"type,attr"`
			Access     string `xml:"access,attr"`
			Annotation []struct {
				Name  string `xml:"name,attr"`
				Value string `xml:"value,attr"`
			} `xml:"annotation"`
		} `xml:"property"`
	} `xml:"interface"`
	Nodes []struct {
		Name string `xml:"name,attr"`
	} `xml:"node"`
}

type xmlArg struct {
	Name      string `xml:"name,attr"`
	Type      string `xml:"type,attr"`
	Direction string `xml:"direction,attr"`
}

// TestXMLRoundTrip parses the introspection data and expects the table back.
func TestXMLRoundTrip(t *testing.T) {
	var got node
	if err := xml.Unmarshal([]byte(XML(all(), []string{"a_2d", "b"})), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Nodes) != 2 || got.Nodes[0].Name != "a_2d" || len(got.Interfaces) != len(all()) {
		t.Fatalf("got %d interfaces, nodes %v", len(got.Interfaces), got.Nodes)
	}
	for n, i := range all() {
		g := got.Interfaces[n]
		if g.Name != i.Name || len(g.Methods) != len(i.Methods) || len(g.Signals) != len(i.Signals) || len(g.Properties) != len(i.Properties) {
			t.Fatalf("got %+v", g)
		}
		for k, m := range i.Methods {
			sameArgs(t, m.Name, g.Methods[k].Args, append(directed(m.In, "in"), directed(m.Out, "out")...))
		}
		for k, s := range i.Signals {
			sameArgs(t, s.Name, g.Signals[k].Args, directed(s.Args, ""))
		}
		for k, p := range i.Properties {
			x := g.Properties[k]
			if x.Name != p.Name || x.Type != p.Type || x.Access != "read" || len(x.Annotation) != 1 || x.Annotation[0].Value != string(p.Emits) {
				t.Errorf("property %+v became %+v", p, x)
			}
		}
	}
}

func directed(args []Arg, direction string) []xmlArg {
	var all []xmlArg
	for _, a := range args {
		all = append(all, xmlArg{a.Name, a.Type, direction})
	}
	return all
}

func sameArgs(t *testing.T, of string, got, want []xmlArg) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: arguments %v, want %v", of, got, want)
	}
	for n := range want {
		if got[n] != want[n] {
			t.Errorf("%s: argument %v, want %v", of, got[n], want[n])
		}
	}
}

// TestDocumented: docs/dbus-api.md names everything in the table.
func TestDocumented(t *testing.T) {
	data, err := os.ReadFile("../../docs/dbus-api.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	want := func(name string) {
		if !strings.Contains(text, "`"+name) {
			t.Errorf("docs/dbus-api.md does not explain %q", name)
		}
	}
	for _, i := range []Interface{Manager(), Container()} {
		want(i.Name)
		for _, m := range i.Methods {
			want(m.Name + "(")
			want(m.Action)
		}
		for _, s := range i.Signals {
			want(s.Name + "(")
		}
		for _, p := range i.Properties {
			want(p.Name)
		}
	}
	for _, o := range CreateOptions() {
		want(o.Name)
	}
	for _, e := range []string{
		ErrorNoSuchContainer, ErrorContainerExists, ErrorInvalidState, ErrorInvalidConfig, ErrorInvalidArgs,
		ErrorNotSupported, ErrorLimitsExceeded, ErrorUnavailable, ErrorFailed,
	} {
		want(strings.TrimPrefix(e, BusName+".Error."))
	}
}
