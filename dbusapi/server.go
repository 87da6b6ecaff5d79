package dbusapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/berth-project/berth/dbusapi/bus"
	"github.com/berth-project/berth/dbusapi/wire"
	"github.com/berth-project/berth/runtime/lifecycle"
	"github.com/godbus/dbus/v5"
)

// Config configures a Server.
type Config struct {
	// Address is the D-Bus address; empty means the system bus.
	Address string
	// Manager has the containers.
	Manager *lifecycle.Manager
	// Logger gets what no caller can be told; nil discards.
	Logger *slog.Logger
	// Version, OCIVersions and Features are the properties of org.berth1.Manager.
	Version     string
	OCIVersions []string
	Features    []string
}

// Server serves the API on one connection to a bus.
type Server struct {
	cfg      Config
	manager  manager
	conn     *bus.Conn
	peers    *peers
	handlers map[string]handler
	objects  map[kind][]wire.Interface

	cancel context.CancelFunc
	calls  sync.WaitGroup
	mu     sync.Mutex // guards closed, and calls against it
	closed bool

	notify    sync.Mutex // one event at a time; guards published
	published map[string]lifecycle.Info
}

// New connects to the bus, serves the API and then takes the bus name, so that nobody finds the name without the
// API behind it. ctx bounds that alone. From then on events go to Notify; the containers the manager has by now are
// taken as published.
func New(ctx context.Context, cfg Config) (*Server, error) {
	return start(ctx, cfg, lifecycleManager{cfg.Manager}, defaultLimits())
}

func start(ctx context.Context, cfg Config, m manager, limits limits) (*Server, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := &Server{
		cfg: cfg, manager: m, cancel: cancel, peers: newPeers(running, limits),
		handlers: handlers(), objects: objects(), published: map[string]lifecycle.Info{},
	}
	for _, info := range m.List() {
		s.published[info.ID] = info
	}
	var err error
	s.conn, err = bus.Dial(ctx, bus.Config{Address: cfg.Address, OnCall: s.onCall, OnSignal: s.onSignal, Logger: cfg.Logger})
	if err != nil {
		cancel()
		return nil, err
	}
	if err := s.announce(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// leavers is the match rule for names that lose their owner, which is how callers leave.
const leavers = "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged',arg2=''"

func (s *Server) announce(ctx context.Context) error {
	if _, err := s.conn.CallBus(ctx, "AddMatch", leavers); err != nil {
		return fmt.Errorf("watch callers: %w", err)
	}
	var answer uint32
	reply, err := s.conn.CallBus(ctx, "RequestName", wire.BusName, uint32(dbus.NameFlagDoNotQueue))
	if err == nil {
		err = dbus.Store(reply, &answer)
	}
	if err != nil {
		return fmt.Errorf("own bus name %q, is its policy installed? %w", wire.BusName, err)
	}
	if answer != uint32(dbus.RequestNameReplyPrimaryOwner) {
		return fmt.Errorf("own bus name %q: %w", wire.BusName, errNameTaken)
	}
	return nil
}

var errNameTaken = errors.New("another process owns it, is another berthd running?")

// Done is closed when the bus is lost or the server closed.
func (s *Server) Done() <-chan struct{} { return s.conn.Done() }

// Err says why the bus was lost, nil while it is there.
func (s *Server) Err() error { return s.conn.Err() }

// Close leaves the bus. Calls under way are cancelled and waited for; their callers get no answer from us but the
// bus's NoReply, on which a client may ask the next berthd. Containers are not touched.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.calls.Wait()
	_ = s.conn.Close()
}

// spawn runs f in a goroutine that Close waits for; not any more once Close was called.
func (s *Server) spawn(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.calls.Go(f)
	return true
}

func (s *Server) onSignal(_ *bus.Conn, m *bus.Message) {
	defer m.Release()
	if !m.FromBus() || m.Member != "NameOwnerChanged" {
		return
	}
	var name, old, owner string
	if body, err := m.Body(); err == nil && dbus.Store(body, &name, &old, &owner) == nil && owner == "" {
		s.peers.drop(name)
	}
}
