// Package dbusapi serves the containers of a lifecycle.Manager on D-Bus, as package wire describes them.
//
// A call is looked up in the table, checked against its signature, decoded, authorised, handed to one function of
// the domain, and answered. Nothing is kept here but what has been published in signals. Callers are strangers: what
// they may occupy is limited, what they sent is closed, and what they asked polkit for is looked at again after the
// answer. See docs/dbus-api.md.
package dbusapi
