package dbusapi

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/berth-project/berth/dbusapi/bus"
	"github.com/berth-project/berth/dbusapi/wire"
	"github.com/berth-project/berth/runtime/lifecycle"
	"github.com/berth-project/berth/unit"
	"github.com/godbus/dbus/v5"
)

// decodeOptions makes a request of the options of Create; its files are the caller's. Every error is InvalidArgs
// or about a file that could not be opened, and leaves no file open.
func decodeOptions(m *bus.Message, options map[string]dbus.Variant) (lifecycle.CreateRequest, error) {
	var r lifecycle.CreateRequest
	for _, name := range slices.Sorted(maps.Keys(options)) {
		if err := decodeOption(m, &r, name, options[name]); err != nil {
			closeFiles(r)
			return lifecycle.CreateRequest{}, err
		}
	}
	return r, nil
}

func decodeOption(m *bus.Message, r *lifecycle.CreateRequest, name string, v dbus.Variant) error {
	if err := checkType(name, v); err != nil {
		return err
	}
	var err error
	switch value := v.Value().(type) {
	case dbus.UnixFDIndex:
		err = decodeStdio(m, r, name, value)
	case []string:
		r.Environment = value
	case map[string]string:
		r.Annotations = value
	case string:
		if name == wire.OptionSlice {
			r.Slice = value
		} else {
			r.Log = value
		}
	case [][]any:
		if name == wire.OptionListenFDs {
			err = decodeListenFDs(m, r, value)
		} else {
			r.ScopeProperties, err = decodeProperties(value)
		}
	}
	if err != nil {
		return fmt.Errorf("option %q: %w", name, err)
	}
	return nil
}

func checkType(name string, v dbus.Variant) error {
	known := wire.CreateOptions()
	n := slices.IndexFunc(known, func(o wire.Arg) bool { return o.Name == name })
	if n < 0 {
		return refusal(wire.ErrorInvalidArgs, "unknown option %q, known are %s", name, argNames(known))
	}
	if have := v.Signature().String(); have != known[n].Type {
		return refusal(wire.ErrorInvalidArgs, "option %q has type %q, must be %q", name, have, known[n].Type)
	}
	return nil
}

func decodeStdio(m *bus.Message, r *lifecycle.CreateRequest, name string, index dbus.UnixFDIndex) error {
	access := os.O_WRONLY
	target := &r.Stdout
	switch name {
	case wire.OptionStdin:
		access, target = os.O_RDONLY, &r.Stdin
	case wire.OptionStderr:
		target = &r.Stderr
	}
	file, err := takeFile(m, index, name)
	if err != nil {
		return err
	}
	if err := checkStdio(file, index, access); err != nil {
		_ = file.Close()
		return err
	}
	*target = file
	return nil
}

func decodeListenFDs(m *bus.Message, r *lifecycle.CreateRequest, pairs [][]any) error {
	for _, pair := range pairs {
		name, _ := pair[0].(string)
		index, _ := pair[1].(dbus.UnixFDIndex)
		if !validFDName(name) {
			return refusal(wire.ErrorInvalidArgs, "name %q is not 1 to 255 printable characters without %q", name, ":")
		}
		file, err := takeFile(m, index, name)
		if err != nil {
			return err
		}
		r.ListenFDs = append(r.ListenFDs, lifecycle.NamedFile{Name: name, File: file})
		if err := checkPassed(file, index); err != nil {
			return err
		}
	}
	return nil
}

// validFDName is fdname_is_valid of systemd (src/basic/fd-util.c), but for the empty name, which LISTEN_FDNAMES
// could not tell from none.
func validFDName(name string) bool {
	bad := func(c rune) bool { return c < ' ' || c >= 127 || c == ':' }
	return name != "" && len(name) <= 255 && !strings.ContainsFunc(name, bad)
}

func takeFile(m *bus.Message, index dbus.UnixFDIndex, name string) (*os.File, error) {
	file, err := m.File(index, name)
	if errors.Is(err, bus.ErrNoDescriptor) {
		return nil, refusal(wire.ErrorInvalidArgs, "%v", err)
	}
	return file, err
}

func decodeProperties(pairs [][]any) ([]unit.Property, error) {
	properties := make([]unit.Property, 0, len(pairs))
	for _, pair := range pairs {
		name, _ := pair[0].(string)
		v, _ := pair[1].(dbus.Variant)
		value, err := bus.Typed(v)
		if err != nil {
			return nil, refusal(wire.ErrorInvalidArgs, "property %q: %v", name, err)
		}
		properties = append(properties, unit.Property{Name: name, Value: value})
	}
	return properties, nil
}

// closeFiles closes what a request that is not handed over has open.
func closeFiles(r lifecycle.CreateRequest) {
	for _, file := range []*os.File{r.Stdin, r.Stdout, r.Stderr} {
		if file != nil {
			_ = file.Close()
		}
	}
	for _, listen := range r.ListenFDs {
		_ = listen.File.Close()
	}
}
