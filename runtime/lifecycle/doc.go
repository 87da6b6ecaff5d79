// Package lifecycle is the life of a container from the outside: create, start, kill, stop, pause, delete, and
// what is known of it meanwhile. It holds no D-Bus types, so any front end can drive it.
//
// A container is three things that live in three places: a record in the state directory, a process that the
// keeper forked and will reap, and a systemd scope around it. A Manager keeps them in step and puts them back in
// step after a crash: New is recovery. What it needs of the outside it states as the interfaces Keeper, Scopes
// and Logs.
//
// The states are those of the OCI runtime specification (runtime.md, "State" and "Lifecycle") and "paused":
//
//	creating -> created -> running <-> paused
//	               |          |          |
//	               +------> stopped <----+   -> deleted
package lifecycle
