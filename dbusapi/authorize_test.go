package dbusapi

import (
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/berth-project/berth/dbusapi/wire"
	"github.com/berth-project/berth/runtime/lifecycle"
	"github.com/godbus/dbus/v5"
)

// question is what the fake polkit was asked.
type question struct {
	Subject      polkitSubject
	Action       string
	Details      map[string]string
	Flags        uint32
	Cancellation string
}

type answer struct {
	Authorized, Challenge bool
	Details               map[string]string
}

// fakePolkit answers as decide says; it is an exported object, hence the capitals.
type fakePolkit struct {
	mu        sync.Mutex
	decide    func(question) answer
	last      question
	cancelled []string
}

func (p *fakePolkit) CheckAuthorization(subject polkitSubject, action string, details map[string]string, flags uint32, cancellation string) (answer, *dbus.Error) {
	p.mu.Lock()
	p.last = question{subject, action, details, flags, cancellation}
	decide, asked := p.decide, p.last
	p.mu.Unlock()
	return decide(asked), nil
}

// say is the answer from now on.
func (p *fakePolkit) say(a answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.decide = func(question) answer { return a }
}

func (p *fakePolkit) asked() question {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

func (p *fakePolkit) CancelCheckAuthorization(id string) *dbus.Error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cancelled = append(p.cancelled, id)
	return nil
}

func startPolkit(t *testing.T, r *rig, decide func(question) answer) *fakePolkit {
	t.Helper()
	p := startPolkitAs(t, r, os.Getuid())
	p.mu.Lock()
	defer p.mu.Unlock()
	p.decide = decide
	return p
}

func startPolkitAs(t *testing.T, r *rig, uid int) *fakePolkit {
	t.Helper()
	p := &fakePolkit{}
	conn := connect(t, r.address, uid)
	if err := conn.Export(p, polkitPath, polkitInterface); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.RequestName(polkitName, dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAuthorize(t *testing.T) {
	requireRoot(t)
	r := newRig(t)
	c := r.fake.add("web")
	stranger := connect(t, r.address, nobody)
	start := func(flags dbus.Flags) error {
		// The methods of dbus.Object would drop the flag.
		m := &dbus.Message{Type: dbus.TypeMethodCall, Flags: flags, Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldDestination: dbus.MakeVariant(wire.BusName), dbus.FieldPath: dbus.MakeVariant(containerPath("web")),
			dbus.FieldInterface: dbus.MakeVariant(wire.ContainerInterface), dbus.FieldMember: dbus.MakeVariant("Start"),
		}}
		return (<-stranger.Send(m, make(chan *dbus.Call, 1)).Done).Err
	}
	if text := wantError(t, start(0), wire.ErrorAccessDenied); !strings.Contains(text, "only root may") {
		t.Errorf("without polkit: %q", text)
	}
	if err := invoke(stranger, wire.ManagerPath, wire.ManagerInterface+".List").Err; err != nil {
		t.Errorf("reading is not free: %v", err)
	}
	polkit := startPolkit(t, r, nil)
	polkit.say(answer{Challenge: true})
	wantError(t, start(0), wire.ErrorInteractiveRequired)
	wantError(t, start(dbus.FlagAllowInteractiveAuthorization), wire.ErrorAccessDenied)
	asked := polkit.asked()
	if asked.Flags != polkitAllowInteraction || asked.Action != "org.berth1.start" || asked.Subject.Kind != "system-bus-name" ||
		asked.Subject.Details["name"].Value() != stranger.Names()[0] || asked.Details["container"] != "web" || asked.Details["bundle"] != "/bundle/web" {
		t.Errorf("asked %+v", asked)
	}
	polkit.say(answer{})
	wantError(t, start(0), wire.ErrorAccessDenied)
	if calls := c.calls(); len(calls) != 0 {
		t.Fatalf("the domain was called: %q", calls)
	}
	polkit.say(answer{Authorized: true})
	if err := start(0); err != nil || c.calledBy() != (lifecycle.Caller{UID: nobody, Known: true}) {
		t.Errorf("authorised: %v, as %v", err, c.calledBy())
	}
	if err := invoke(stranger, wire.ManagerPath, wire.ManagerInterface+".Create", "new", "/b", map[string]dbus.Variant{}).Err; err != nil {
		t.Error(err)
	}
	asked = polkit.asked()
	if asked.Action != "org.berth1.create" || asked.Details["container"] != "new" || asked.Details["bundle"] != "/b" {
		t.Errorf("asked %+v", asked)
	}
}

// TestDeletedWhilePending deletes or replaces the container while polkit thinks. See CVE-2020-1712, where systemd
// went on with what it had before the question.
func TestDeletedWhilePending(t *testing.T) {
	requireRoot(t)
	r := newRig(t)
	stranger := connect(t, r.address, nobody)
	deleted := r.fake.add("web")
	startPolkit(t, r, func(question) answer {
		r.fake.remove("web")
		return answer{Authorized: true}
	})
	wantError(t, invoke(stranger, containerPath("web"), wire.ContainerInterface+".Stop", uint64(0)).Err, wire.ErrorNoSuchContainer)

	var successor atomic.Pointer[fakeContainer]
	r2 := newRig(t)
	victim := r2.fake.add("web")
	stranger2 := connect(t, r2.address, nobody)
	startPolkit(t, r2, func(question) answer {
		successor.Store(r2.fake.addAt("web", 99))
		return answer{Authorized: true}
	})
	text := wantError(t, invoke(stranger2, containerPath("web"), wire.ContainerInterface+".Delete", true).Err, wire.ErrorInvalidState)
	if !strings.Contains(text, "was replaced") {
		t.Errorf("text %q", text)
	}
	for _, c := range []*fakeContainer{deleted, victim, successor.Load()} {
		if calls := c.calls(); len(calls) != 0 {
			t.Errorf("the domain was called: %q", calls)
		}
	}
}

// TestCallerLeavesWhilePending: the question is taken back, nothing happens, nothing stays open.
func TestCallerLeavesWhilePending(t *testing.T) {
	requireRoot(t)
	r := newRig(t)
	before := openFDs(t)
	release, asked := make(chan struct{}), make(chan struct{})
	polkit := startPolkit(t, r, func(question) answer {
		close(asked)
		<-release
		return answer{Authorized: true}
	})
	stranger := connect(t, r.address, nobody)
	options := map[string]dbus.Variant{"Stdout": dbus.MakeVariant(dbus.UnixFD(openNull(t).Fd()))}
	stranger.Object(wire.BusName, wire.ManagerPath).Go(wire.ManagerInterface+".Create", 0, nil, "x", "/b", options)
	<-asked
	_ = stranger.Close()
	eventually(t, "the question to be taken back", func() bool {
		polkit.mu.Lock()
		defer polkit.mu.Unlock()
		return len(polkit.cancelled) == 1
	})
	close(release)
	eventually(t, "the call to end", func() bool {
		r.server.peers.mu.Lock()
		defer r.server.peers.mu.Unlock()
		return r.server.peers.used == [slots]int{}
	})
	if request, _ := r.fake.requested(); request.ID != "" {
		t.Error("the container was created")
	}
	// What stays are polkit's connection and /dev/null.
	eventually(t, "descriptors to be closed", func() bool { return openFDs(t) <= before+2 })
}

// TestUserIsAskedForOnce: the bus is asked for the user of a connection once.
func TestUserIsAskedForOnce(t *testing.T) {
	r := newRig(t)
	c := r.fake.add("web")
	name := r.client.Names()[0]
	for _, want := range []uint32{uint32(os.Getuid()), 0} {
		if err := r.container("web", "Start").Err; err != nil {
			t.Fatal(err)
		}
		if got := c.calledBy().UID; got != want {
			t.Errorf("called by user %d, want %d", got, want)
		}
		r.server.peers.mu.Lock()
		p := r.server.peers.all[name]
		r.server.peers.mu.Unlock()
		p.lookup.Lock()
		p.uid = 0 // what is remembered counts from now on
		p.lookup.Unlock()
	}
}
