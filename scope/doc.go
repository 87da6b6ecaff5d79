// Package scope manages the transient scopes that hold the containers: it asks systemd for them over the system
// bus and follows what becomes of them.
//
// One goroutine owns the bus connection: it reconnects and subscribes anew when dbus-daemon restarts or systemd
// re-executes. Callers register for the signal they need, make their call, and wait in a select with their
// context; the goroutine that reads the bus hands them the signal. Nothing is asked of systemd per scope but what
// the caller wants: the match rules are three, added once per connection.
//
// The package uses godbus directly. The connection type of go-systemd opens two connections, loses the names of
// D-Bus errors, drops signals when a channel is full, and does not reconnect.
//
// See systemd.scope(5) and org.freedesktop.systemd1(5); the floor is systemd 252.
package scope
