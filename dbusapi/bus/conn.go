// Package bus is a D-Bus connection for a service that trusts no caller. It uses godbus for the encoding of
// values and nothing else of it.
//
// godbus' own connection does not fit such a service: descriptors of a message that no body argument refers to,
// or whose body it cannot decode, stay open for ever; an array of descriptors makes its decoder panic in a
// goroutine of its own; and it starts a goroutine for every call before anybody can say no (conn.go, decoder.go,
// transport_unix.go of v5.2.4). Here a Message owns its descriptors until Release, bodies are decoded only when
// asked for and by whoever asks, and calls and signals come from one goroutine, in order.
//
// See the D-Bus specification, "Message Protocol" and "Authentication Protocol".
package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
)

// SystemBus is the address of the system bus, used when Config has none.
const SystemBus = "unix:path=/run/dbus/system_bus_socket"

// daemon is the bus daemon itself, as destination and as sender; nobody else can own the name.
const (
	daemon     = "org.freedesktop.DBus"
	daemonPath = "/org/freedesktop/DBus"
)

// writeTimeout is how long the bus may take no data from us before we give the connection up.
const writeTimeout = 30 * time.Second

// ErrClosed is the cause when Close ended the connection.
var ErrClosed = errors.New("connection closed")

// Config configures a Conn.
type Config struct {
	// Address is a D-Bus address of a unix socket; empty means SystemBus.
	Address string
	// OnCall is given every method call, OnSignal every signal. Both are called from the reading goroutine, in
	// order, must not block, and own the message: they see to it that Release is called. nil releases.
	OnCall, OnSignal func(*Conn, *Message)
	// Logger gets what no caller can be told; nil discards.
	Logger *slog.Logger
}

// Conn is a connection to a bus. All methods may be called from any goroutine.
type Conn struct {
	cfg    Config
	sock   *net.UnixConn
	name   string
	done   chan struct{} // closed when the connection is over
	reader sync.WaitGroup

	write sync.Mutex // held while one message is written

	mu     sync.Mutex // guards what follows
	serial uint32
	calls  map[uint32]chan *Message // waiting callers; room for one
	err    error                    // why the connection is over
}

// Dial connects, authenticates as the process's own user and says Hello. ctx bounds that alone.
func Dial(ctx context.Context, cfg Config) (*Conn, error) {
	if cfg.Address == "" {
		cfg.Address = SystemBus
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	sock, err := connect(ctx, cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("connect to bus %q: %w", cfg.Address, err)
	}
	c := &Conn{cfg: cfg, sock: sock, done: make(chan struct{}), calls: map[uint32]chan *Message{}}
	c.reader.Go(c.read)
	reply, err := c.CallBus(ctx, "Hello")
	if err == nil {
		err = dbus.Store(reply, &c.name)
	}
	if err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("say hello to bus %q: %w", cfg.Address, err)
	}
	return c, nil
}

// Name is the unique name of the connection.
func (c *Conn) Name() string { return c.name }

// Done is closed when the connection is over, by Close or because it was lost.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err says why the connection is over, nil while it is not. After Close it is ErrClosed.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close ends the connection and waits until no callback runs or will run any more. It must not be called from
// a callback.
func (c *Conn) Close() error {
	c.fail(ErrClosed)
	c.reader.Wait()
	return nil
}

// fail ends the connection; the first cause counts.
func (c *Conn) fail(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.err = cause
	close(c.done)
	_ = c.sock.Close() // wakes the reader
}

func (c *Conn) read() {
	r := reader{sock: c.sock}
	defer r.closeFDs()
	for {
		m, err := r.next()
		if err != nil {
			c.fail(fmt.Errorf("read from bus: %w", err))
			return
		}
		if err := m.check(); err != nil {
			// The bus checks messages too, so this is a stranger's odd header field at most.
			c.cfg.Logger.Debug("dropped a message", "sender", m.Sender, "error", err)
			m.Release()
			continue
		}
		c.route(m)
	}
}

func (c *Conn) route(m *Message) {
	switch {
	case m.Type == dbus.TypeMethodCall && c.cfg.OnCall != nil:
		c.cfg.OnCall(c, m)
	case m.Type == dbus.TypeSignal && c.cfg.OnSignal != nil:
		c.cfg.OnSignal(c, m)
	case m.Type == dbus.TypeMethodReply || m.Type == dbus.TypeError:
		m.Release() // nothing we call answers with descriptors; the body stays readable
		if ch := c.take(m.ReplySerial); ch != nil {
			ch <- m
		}
	default:
		m.Release()
	}
}

// take removes and returns the waiting caller, nil when there is none.
func (c *Conn) take(serial uint32) chan *Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch := c.calls[serial]
	delete(c.calls, serial)
	return ch
}

// FromBus reports whether the bus daemon itself sent m.
func (m *Message) FromBus() bool { return m.Sender == daemon }
