// Package scope manages the transient scopes that hold the containers: it asks systemd for them over the system
// bus and follows what becomes of them.
//
// One goroutine owns the bus connection and everything that depends on it: it alone sees the signals, knows who
// waits for which job, and reconnects and subscribes anew when dbus-daemon restarts or systemd re-executes.
// Callers talk to it by requests and wait in a select with their context. Nothing is asked of systemd per scope
// but what the caller wants: the match rules are four, added once per connection.
//
// The package uses godbus directly. The connection type of go-systemd opens two connections, loses the names of
// D-Bus errors, drops signals when a channel is full, and does not reconnect.
//
// See systemd.scope(5) and org.freedesktop.systemd1(5); the floor is systemd 252.
package scope
