// Package wire is the D-Bus API of Berth as data: names, signatures, error names and introspection XML.
//
// One table describes every interface. The server dispatches from it, checks arguments against it and
// introspects with it; the client and the documentation are tested against it. The package knows no bus
// library, so that anything may import it.
//
// See the D-Bus specification, "Standard interfaces" and "Introspection data format".
package wire

// The well-known name, the object paths and the interfaces.
const (
	BusName            = "org.berth1"
	ManagerPath        = "/org/berth1"
	ContainersPath     = "/org/berth1/container" // a container is ContainersPath/<escaped id>
	ManagerInterface   = "org.berth1.Manager"
	ContainerInterface = "org.berth1.Container"

	PropertiesInterface     = "org.freedesktop.DBus.Properties"
	IntrospectableInterface = "org.freedesktop.DBus.Introspectable"
	ObjectManagerInterface  = "org.freedesktop.DBus.ObjectManager"
	PeerInterface           = "org.freedesktop.DBus.Peer"
)

// Arg is one argument of a method or signal, or one option of Create: its name and its signature.
type Arg struct {
	Name string
	Type string
}

// Method is one method. Action is the polkit action a caller who is not root needs; empty means that anybody
// may call it, because it only reads.
type Method struct {
	Name   string
	In     []Arg
	Out    []Arg
	Action string
}

// Signal is one signal.
type Signal struct {
	Name string
	Args []Arg
}

// Emits says what a change of a property emits; it becomes the annotation
// org.freedesktop.DBus.Property.EmitsChangedSignal.
type Emits string

// What a property can emit. A property that never changes while its object exists is EmitsConst, so clients may
// cache it; EmitsTrue comes with its new value in PropertiesChanged.
const (
	EmitsTrue  Emits = "true"
	EmitsConst Emits = "const"
)

// Property is one property. Every property is read-only.
type Property struct {
	Name  string
	Type  string
	Emits Emits
}

// Interface is one interface of an object.
type Interface struct {
	Name       string
	Methods    []Method
	Signals    []Signal
	Properties []Property
}

// Signature is the concatenated signature of args, as the SIGNATURE header field carries it.
func Signature(args []Arg) string {
	var s string
	for _, a := range args {
		s += a.Type
	}
	return s
}

// Method returns the method of that name, nil when there is none.
func (i *Interface) Method(name string) *Method {
	return find(i.Methods, name, func(m *Method) string { return m.Name })
}

// Signal returns the signal of that name, nil when there is none.
func (i *Interface) Signal(name string) *Signal {
	return find(i.Signals, name, func(s *Signal) string { return s.Name })
}

// Property returns the property of that name, nil when there is none.
func (i *Interface) Property(name string) *Property {
	return find(i.Properties, name, func(p *Property) string { return p.Name })
}

func find[T any](all []T, name string, nameOf func(*T) string) *T {
	for n := range all {
		if nameOf(&all[n]) == name {
			return &all[n]
		}
	}
	return nil
}
