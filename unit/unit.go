// Package unit knows systemd's units from the outside: how their names are escaped, which typed properties
// they take over D-Bus, and how an OCI resource limit is said as a property.
//
// Everything here is pure data: nothing is opened, asked or probed. What the properties mean is documented in
// systemd.resource-control(5), systemd.kill(5), systemd.scope(5) and org.freedesktop.systemd1(5); the floor is
// systemd 252.
package unit

// Property is one unit property as StartTransientUnit and SetUnitProperties take it. Value has the Go type
// whose D-Bus signature systemd documents for Name; tuples are small structs with exported fields.
type Property struct {
	Name  string
	Value any
}
