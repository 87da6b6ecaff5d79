// Package journal speaks to systemd-journald: streams that a program writes its output to, and native records.
//
// Nothing is copied: a stream is a socket that the program inherits, and journald reads the sender's credentials
// with every message, so that lines carry the unit and the process that wrote them. See systemd-journald.service(8)
// and "Native Journal Protocol" in systemd's documentation.
package journal
