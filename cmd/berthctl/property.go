package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/unit"
)

// property turns the text of one setting into the properties that StartTransientUnit takes for it.
type property func(name, value string) (unit.Property, error)

// properties are the settings that --property knows, spelt as in unit files; see systemd.resource-control(5),
// systemd.scope(5) and systemd.unit(5). Their D-Bus types are those of org.freedesktop.systemd1(5).
var properties = map[string]property{
	"AllowedCPUs":              cpuSetProperty,
	"AllowedMemoryNodes":       cpuSetProperty,
	"After":                    unitsProperty,
	"Before":                   unitsProperty,
	"BindsTo":                  unitsProperty,
	"CPUQuota":                 cpuQuotaProperty,
	"CPUQuotaPeriodSec":        spanProperty,
	"CPUWeight":                weightProperty,
	"Conflicts":                unitsProperty,
	"Description":              stringProperty,
	"IOWeight":                 weightProperty,
	"IPAccounting":             boolProperty,
	"ManagedOOMMemoryPressure": stringProperty,
	"ManagedOOMPreference":     stringProperty,
	"ManagedOOMSwap":           stringProperty,
	"MemoryHigh":               sizeProperty,
	"MemoryLow":                sizeProperty,
	"MemoryMax":                sizeProperty,
	"MemoryMin":                sizeProperty,
	"MemorySwapMax":            sizeProperty,
	"PartOf":                   unitsProperty,
	"Requires":                 unitsProperty,
	"RuntimeMaxSec":            spanProperty,
	"TasksMax":                 tasksProperty,
	"TimeoutStopSec":           spanProperty,
	"Wants":                    unitsProperty,
}

// propertyNames are the names --property knows, sorted.
func propertyNames() []string { return slices.Sorted(maps.Keys(properties)) }

// parseProperty parses NAME=VALUE.
func parseProperty(s string) (unit.Property, error) {
	name, value, ok := strings.Cut(s, "=")
	if !ok {
		return unit.Property{}, fmt.Errorf("parse property %q: not NAME=VALUE", s)
	}
	parse, ok := properties[name]
	if !ok {
		return unit.Property{}, fmt.Errorf("parse property %q: unknown name %q, berthctl(1) lists those that can be set", s, name)
	}
	p, err := parse(name, value)
	if err != nil {
		return unit.Property{}, fmt.Errorf("parse property %q: %w", s, err)
	}
	return p, nil
}

func stringProperty(name, value string) (unit.Property, error) {
	return unit.Property{Name: name, Value: value}, nil
}

func unitsProperty(name, value string) (unit.Property, error) {
	return unit.Property{Name: name, Value: strings.Fields(value)}, nil
}

func cpuSetProperty(name, value string) (unit.Property, error) {
	set, err := parseCPUSet(value)
	return unit.Property{Name: name, Value: set}, err
}

func spanProperty(name, value string) (unit.Property, error) {
	usec, err := parseSpan(value)
	return unit.Property{Name: strings.TrimSuffix(name, "Sec") + "USec", Value: usec}, err
}

// sizeProperty takes bytes, or a percentage of the machine's memory, which has a property of its own.
func sizeProperty(name, value string) (unit.Property, error) {
	if strings.HasSuffix(value, "%") {
		return scaleProperty(name, value)
	}
	size, err := parseSize(value)
	return unit.Property{Name: name, Value: size}, err
}

func tasksProperty(name, value string) (unit.Property, error) {
	if strings.HasSuffix(value, "%") {
		return scaleProperty(name, value)
	}
	if value == "infinity" {
		return unit.Property{Name: name, Value: infinity}, nil
	}
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil || n == 0 {
		return unit.Property{}, fmt.Errorf("%q is not a positive number, a percentage or \"infinity\"", value)
	}
	return unit.Property{Name: name, Value: n}, nil
}

// scaleProperty is the relative form of a limit: a fraction of UINT32_MAX (src/shared/bus-unit-util.c,
// UINT32_SCALE_FROM_PERMYRIAD).
func scaleProperty(name, value string) (unit.Property, error) {
	n, err := parsePermyriad(value)
	if err != nil {
		return unit.Property{}, err
	}
	if n > 10000 {
		return unit.Property{}, fmt.Errorf("%q is more than 100%%", value)
	}
	const max = uint64(1<<32 - 1)
	return unit.Property{Name: name + "Scale", Value: uint32((n*max + 5000) / 10000)}, nil
}

func cpuQuotaProperty(_, value string) (unit.Property, error) {
	const name = "CPUQuotaPerSecUSec"
	if value == "infinity" {
		return unit.Property{Name: name, Value: infinity}, nil
	}
	n, err := parsePermyriad(value)
	if err != nil {
		return unit.Property{}, err
	}
	if n == 0 || n > infinity/200 {
		return unit.Property{}, fmt.Errorf("%q is out of range", value)
	}
	return unit.Property{Name: name, Value: n * 100}, nil // 1% of a second is 10000 µs
}

func weightProperty(name, value string) (unit.Property, error) {
	if name == "CPUWeight" && value == "idle" {
		return unit.Property{Name: name, Value: uint64(0)}, nil // CGROUP_WEIGHT_IDLE
	}
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil || n < 1 || n > 10000 {
		return unit.Property{}, fmt.Errorf("%q is not a number from 1 to 10000", value)
	}
	return unit.Property{Name: name, Value: n}, nil
}

func boolProperty(name, value string) (unit.Property, error) {
	switch strings.ToLower(value) {
	case "1", "yes", "y", "true", "t", "on":
		return unit.Property{Name: name, Value: true}, nil
	case "0", "no", "n", "false", "f", "off":
		return unit.Property{Name: name, Value: false}, nil
	}
	return unit.Property{}, fmt.Errorf("%q is not a boolean such as yes or no", value)
}

// parseSignal parses a number, or a name with or without SIG, RTMIN+n and RTMAX-n included (signal(7)).
func parseSignal(s string) (unix.Signal, error) {
	const rtMin, rtMax = 34, 64 // as glibc counts: the kernel's first two belong to the C library
	if n, err := strconv.Atoi(s); err == nil && n >= 1 && n <= rtMax {
		return unix.Signal(n), nil
	}
	name := strings.TrimPrefix(strings.ToUpper(s), "SIG")
	if sig := unix.SignalNum("SIG" + name); sig != 0 {
		return sig, nil
	}
	for prefix, base := range map[string]int{"RTMIN": rtMin, "RTMAX": rtMax} {
		offset, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		n, err := strconv.Atoi("0" + strings.TrimLeft(offset, "+-"))
		if strings.HasPrefix(offset, "-") {
			n = -n
		}
		if sig := base + n; err == nil && sig >= rtMin && sig <= rtMax {
			return unix.Signal(sig), nil
		}
	}
	return 0, fmt.Errorf("parse signal %q: not a number from 1 to %d or a name such as SIGTERM", s, rtMax)
}

// signalName is the name of a signal, for example "SIGKILL" or "SIGRTMIN+3".
func signalName(sig unix.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return name
	}
	if sig >= 34 {
		return "SIGRTMIN+" + strconv.Itoa(int(sig)-34)
	}
	return strconv.Itoa(int(sig))
}
