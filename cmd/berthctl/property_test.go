package main

import (
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/runtime/lifecycle"
	"github.com/berth-project/berth/unit"
)

// The D-Bus types are those that `systemd-run --scope -p NAME=VALUE` of systemd 252 sends.
func TestParseProperty(t *testing.T) {
	tests := []struct {
		text  string
		name  string
		value any
	}{
		{"MemoryMax=64M", "MemoryMax", uint64(64 << 20)},
		{"MemoryMax=infinity", "MemoryMax", uint64(math.MaxUint64)},
		{"MemoryHigh=50%", "MemoryHighScale", uint32(2147483648)},
		{"MemoryMax=100%", "MemoryMaxScale", uint32(math.MaxUint32)},
		{"TasksMax=20", "TasksMax", uint64(20)},
		{"TasksMax=infinity", "TasksMax", uint64(math.MaxUint64)},
		{"TasksMax=10%", "TasksMaxScale", uint32(429496730)},
		{"CPUQuota=20%", "CPUQuotaPerSecUSec", uint64(200000)},
		{"CPUQuota=150.5%", "CPUQuotaPerSecUSec", uint64(1505000)},
		{"CPUQuotaPeriodSec=10ms", "CPUQuotaPeriodUSec", uint64(10000)},
		{"CPUWeight=200", "CPUWeight", uint64(200)},
		{"CPUWeight=idle", "CPUWeight", uint64(0)},
		{"AllowedCPUs=0,2", "AllowedCPUs", []byte{5}},
		{"TimeoutStopSec=1min 30s", "TimeoutStopUSec", uint64(90e6)},
		{"RuntimeMaxSec=infinity", "RuntimeMaxUSec", uint64(math.MaxUint64)},
		{"IPAccounting=no", "IPAccounting", false},
		{"ManagedOOMSwap=kill", "ManagedOOMSwap", "kill"},
		{"PartOf=a.service b.target", "PartOf", []string{"a.service", "b.target"}},
	}
	for _, tt := range tests {
		got, err := parseProperty(tt.text)
		if err != nil {
			t.Errorf("parseProperty(%q): %v", tt.text, err)
		} else if diff := cmp.Diff(unit.Property{Name: tt.name, Value: tt.value}, got); diff != "" {
			t.Errorf("parseProperty(%q) (-want +got):\n%s", tt.text, diff)
		}
	}
}

func TestParsePropertyRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"MemoryMax":      `parse property "MemoryMax": not NAME=VALUE`,
		"Bogus=1":        `parse property "Bogus=1": unknown name "Bogus", berthctl(1) lists those that can be set`,
		"CPUWeight=0":    `parse property "CPUWeight=0": "0" is not a number from 1 to 10000`,
		"TasksMax=many":  `parse property "TasksMax=many": "many" is not a positive number, a percentage or "infinity"`,
		"MemoryMax=101%": `parse property "MemoryMax=101%": "101%" is more than 100%`,
		"IPAccounting=2": `parse property "IPAccounting=2": "2" is not a boolean such as yes or no`,
		"CPUQuota=0%":    `parse property "CPUQuota=0%": "0%" is out of range`,
		"MemoryMax=1X":   `parse property "MemoryMax=1X": parse size "1X": not a number with one of the suffixes K M G T P E`,
	} {
		if _, err := parseProperty(text); err == nil || err.Error() != want {
			t.Errorf("parseProperty(%q): %v\nwant %s", text, err, want)
		}
	}
}

// TestSettable checks that berthd lets callers set what berthctl offers.
func TestSettable(t *testing.T) {
	missing := maps.Clone(properties)
	for _, text := range []string{
		"AllowedCPUs=0", "AllowedMemoryNodes=0", "After=a.service", "Before=a.service", "BindsTo=a.service", "CPUQuota=1%",
		"CPUQuotaPeriodSec=1", "CPUWeight=1", "Conflicts=a.service", "Description=x", "IOWeight=1", "IPAccounting=1",
		"ManagedOOMMemoryPressure=kill", "ManagedOOMPreference=omit", "ManagedOOMSwap=kill", "MemoryHigh=1%", "MemoryHigh=1",
		"MemoryLow=1%", "MemoryLow=1", "MemoryMax=1%", "MemoryMax=1", "MemoryMin=1%", "MemoryMin=1", "MemorySwapMax=1%",
		"MemorySwapMax=1", "PartOf=a.service", "Requires=a.service", "RuntimeMaxSec=1", "TasksMax=1%", "TasksMax=1",
		"TimeoutStopSec=1", "Wants=a.service",
	} {
		p, err := parseProperty(text)
		if err != nil {
			t.Errorf("parseProperty(%q): %v", text, err)
		} else if !slices.Contains(lifecycle.SettableProperties(), p.Name) {
			t.Errorf("berthd does not take %q, which --property %s makes", p.Name, text)
		}
		delete(missing, strings.SplitN(text, "=", 2)[0])
	}
	for name := range missing {
		t.Errorf("no example of %q", name)
	}
}

func TestSignals(t *testing.T) {
	for text, want := range map[string]unix.Signal{
		"9": 9, "KILL": 9, "SIGKILL": 9, "sigterm": 15, "USR1": 10, "RTMIN": 34, "SIGRTMIN+3": 37, "RTMAX-1": 63, "RTMAX": 64, "64": 64,
	} {
		got, err := parseSignal(text)
		if err != nil || got != want {
			t.Errorf("parseSignal(%q) = %v, %v; want %v", text, got, err, want)
			continue
		}
		if back, err := parseSignal(signalName(got)); err != nil || back != got {
			t.Errorf("parseSignal(signalName(%d)) = %v, %v", got, back, err)
		}
	}
	for _, text := range []string{"", "0", "65", "-1", "SIG", "NOPE", "RTMIN+31", "RTMIN-1", "RTMAX+1"} {
		if got, err := parseSignal(text); err == nil {
			t.Errorf("parseSignal(%q) = %v; want an error", text, got)
		}
	}
}
