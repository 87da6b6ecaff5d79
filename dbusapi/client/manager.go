package client

import (
	"context"
	"fmt"
	"os"
	"runtime"

	"github.com/berth-project/berth/dbusapi/wire"
	"github.com/godbus/dbus/v5"
)

// CreateOptions are the options of Create. The zero value passes none. The files stay the caller's and may be
// closed when Create has returned.
type CreateOptions struct {
	Stdin, Stdout, Stderr *os.File
	ListenFDs             []NamedFile
	Environment           []string // NAME=value
	Annotations           map[string]string
	Slice                 string
	ScopeProperties       []Property
	Log                   string // wire.LogJournald or wire.LogNone
}

// NamedFile is a file with the name it has in LISTEN_FDNAMES.
type NamedFile struct {
	Name string
	File *os.File
}

// Property is one unit property. Value has the Go type godbus encodes to the signature systemd documents.
type Property struct {
	Name  string
	Value any
}

// Listed is one line of List.
type Listed struct {
	ID     string
	Status string
	PID    uint32
	Object string
}

// Manager are the properties of org.berth1.Manager.
type Manager struct {
	Version     string
	OCIVersions []string
	Features    []string
}

// Create creates a container from the bundle, an absolute path on the host.
func (c *Client) Create(ctx context.Context, id, bundle string, options CreateOptions) (*Container, error) {
	defer runtime.KeepAlive(options) // a file collected, hence closed, before the call is sent would send another
	var path dbus.ObjectPath
	args := []any{id, bundle, options.encode()}
	if err := c.call(ctx, wire.ManagerPath, wire.ManagerInterface+".Create", args, &path); err != nil {
		return nil, err
	}
	return &Container{client: c, path: path}, nil
}

// Get returns the container with this id.
func (c *Client) Get(ctx context.Context, id string) (*Container, error) {
	return c.find(ctx, "Get", id)
}

// GetByPID returns the container the process belongs to.
func (c *Client) GetByPID(ctx context.Context, pid uint32) (*Container, error) {
	return c.find(ctx, "GetByPID", pid)
}

// List returns all containers, sorted by id.
func (c *Client) List(ctx context.Context) ([]Listed, error) {
	var all []struct {
		ID, Status string
		PID        uint32
		Object     dbus.ObjectPath
	}
	if err := c.read(ctx, wire.ManagerPath, wire.ManagerInterface+".List", nil, &all); err != nil {
		return nil, err
	}
	listed := make([]Listed, len(all))
	for n, l := range all {
		listed[n] = Listed{ID: l.ID, Status: l.Status, PID: l.PID, Object: string(l.Object)}
	}
	return listed, nil
}

// Manager returns the service's own properties.
func (c *Client) Manager(ctx context.Context) (Manager, error) {
	var m Manager
	values, err := c.properties(ctx, wire.ManagerPath, wire.ManagerInterface)
	if err != nil {
		return m, err
	}
	err = store(values, map[string]any{"Version": &m.Version, "OCIVersions": &m.OCIVersions, "Features": &m.Features})
	return m, err
}

func (c *Client) find(ctx context.Context, method string, args ...any) (*Container, error) {
	var path dbus.ObjectPath
	if err := c.read(ctx, wire.ManagerPath, wire.ManagerInterface+"."+method, args, &path); err != nil {
		return nil, err
	}
	return &Container{client: c, path: path}, nil
}

func (c *Client) properties(ctx context.Context, path dbus.ObjectPath, iface string) (map[string]dbus.Variant, error) {
	var values map[string]dbus.Variant
	err := c.read(ctx, path, wire.PropertiesInterface+".GetAll", []any{iface}, &values)
	return values, err
}

// store copies the properties it finds; one that is missing keeps its zero value, so that a newer client can
// talk to an older service.
func store(values map[string]dbus.Variant, into map[string]any) error {
	for name, target := range into {
		value, ok := values[name]
		if !ok {
			continue
		}
		if err := dbus.Store([]any{value.Value()}, target); err != nil {
			return fmt.Errorf("decode property %q: %w", name, err)
		}
	}
	return nil
}

type namedFD struct {
	Name string
	FD   dbus.UnixFD
}

type namedValue struct {
	Name  string
	Value dbus.Variant
}

func (o *CreateOptions) encode() map[string]dbus.Variant {
	options := map[string]dbus.Variant{}
	for name, file := range map[string]*os.File{
		wire.OptionStdin: o.Stdin, wire.OptionStdout: o.Stdout, wire.OptionStderr: o.Stderr,
	} {
		if file != nil {
			options[name] = dbus.MakeVariant(descriptor(file))
		}
	}
	if len(o.ListenFDs) > 0 {
		fds := make([]namedFD, len(o.ListenFDs))
		for n, f := range o.ListenFDs {
			fds[n] = namedFD{f.Name, descriptor(f.File)}
		}
		options[wire.OptionListenFDs] = dbus.MakeVariant(fds)
	}
	if len(o.ScopeProperties) > 0 {
		properties := make([]namedValue, len(o.ScopeProperties))
		for n, p := range o.ScopeProperties {
			properties[n] = namedValue{p.Name, dbus.MakeVariant(p.Value)}
		}
		options[wire.OptionScopeProperties] = dbus.MakeVariant(properties)
	}
	if len(o.Environment) > 0 {
		options[wire.OptionEnvironment] = dbus.MakeVariant(o.Environment)
	}
	if len(o.Annotations) > 0 {
		options[wire.OptionAnnotations] = dbus.MakeVariant(o.Annotations)
	}
	for name, value := range map[string]string{wire.OptionSlice: o.Slice, wire.OptionLog: o.Log} {
		if value != "" {
			options[name] = dbus.MakeVariant(value)
		}
	}
	return options
}
