package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/dbusapi/client"
	"github.com/berth-project/berth/dbusapi/wire"
)

// report prints an error for people, with what to do about it where that is known.
func (a *app) report(err error) {
	text := strings.ReplaceAll(err.Error(), "\n", "\n  ")
	if h := hint(err); h != "" {
		text += "\n  " + h
	}
	fmt.Fprintln(a.stderr, "berthctl: "+text) //nolint:errcheck // there is nowhere left to say so
}

// failed says what failed, unless the error is a sentence of berthd, which says so itself.
func failed(verb, id string, err error) error {
	var bus *client.Error
	if errors.As(err, &bus) && (strings.HasPrefix(bus.Name, "org.berth1.") || bus.Name == wire.ErrorAccessDenied) {
		return err
	}
	return fmt.Errorf("%s %q: %w", verb, id, err)
}

// hint says what to do about an error whose text does not.
func hint(err error) string {
	const look = "See 'systemctl status berthd.service berth-keeper.service' and 'journalctl -u berthd.service'."
	var bus *client.Error
	switch {
	case !errors.As(err, &bus):
		if errors.Is(err, syscall.ENOENT) && strings.HasPrefix(err.Error(), "connect to bus") ||
			errors.Is(err, syscall.ECONNREFUSED) {
			return "The bus is not there. See 'systemctl status dbus.service', or give --address."
		}
	case bus.Name == wire.ErrorAccessDenied, bus.Name == wire.ErrorInteractiveRequired:
		return "Run it as root, or as a user whom polkit allows it."
	case bus.Name == wire.ErrorUnavailable, bus.Name == "org.freedesktop.DBus.Error.NoReply":
		return look
	case bus.Name == "org.freedesktop.DBus.Error.ServiceUnknown",
		bus.Name == "org.freedesktop.DBus.Error.NameHasNoOwner",
		strings.HasPrefix(bus.Name, "org.freedesktop.DBus.Error.Spawn."),
		strings.HasPrefix(bus.Name, "org.freedesktop.systemd1."):
		return "berthd does not run and could not be started. " + look
	}
	return ""
}

// printJSON prints v as one line of JSON.
func (a *app) printJSON(v any) error {
	encoder := json.NewEncoder(a.stdout)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// printTable prints t, and below it, set off by an empty line, the legend.
func (a *app) printTable(t *table, legend string) error {
	showHeader := !a.noLegend && len(t.rows) > 0
	if err := t.write(a.stdout, showHeader, a.colour()); err != nil {
		return err
	}
	if a.noLegend || legend == "" {
		return nil
	}
	if showHeader {
		legend = "\n" + legend
	}
	_, err := fmt.Fprintln(a.stdout, legend)
	return err
}

// colour tells whether to colour: on a terminal, unless NO_COLOR (no-color.org) or TERM=dumb says no.
func (a *app) colour() bool {
	if _, err := unix.IoctlGetTermios(int(a.stdout.Fd()), unix.TCGETS); err != nil {
		return false
	}
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
