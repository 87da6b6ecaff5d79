package lifecycle

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/runtime/spec"
	"github.com/berth-project/berth/unit"
)

// maxListenFDs keeps the handles of a plan within the 253 fds of one message (unix(7), SCM_RIGHTS).
const maxListenFDs = 64

// check looks at all that can be said of the request without its bundle.
func (r *CreateRequest) check() error {
	if err := spec.ValidID(r.ID); err != nil {
		return faultf(ErrInvalidArgs, "%w", err)
	}
	if !filepath.IsAbs(r.Bundle) || filepath.Clean(r.Bundle) != r.Bundle {
		return faultf(ErrInvalidArgs, "check bundle %q: it must be an absolute path without \".\", \"..\" or double slashes", r.Bundle)
	}
	if r.Log != "" && r.Log != LogJournald && r.Log != LogNone {
		return faultf(ErrInvalidArgs, "check log %q: it must be %q or %q", r.Log, LogJournald, LogNone)
	}
	if r.Slice != "" && !ValidSlice(r.Slice) {
		return faultf(ErrInvalidArgs, "check slice %q: it must be the name of a slice unit, such as %q", r.Slice, DefaultSlice)
	}
	for _, e := range r.Environment {
		if name, _, ok := strings.Cut(e, "="); !ok || name == "" || strings.ContainsRune(e, 0) {
			return faultf(ErrInvalidArgs, "check environment %q: it must be NAME=value", e)
		}
	}
	if err := r.checkFiles(); err != nil {
		return err
	}
	return checkProperties(r.ScopeProperties)
}

func (r *CreateRequest) checkFiles() error {
	if len(r.ListenFDs) > maxListenFDs {
		return faultf(ErrLimitsExceeded, "check sockets: %d are given, at most %d are taken", len(r.ListenFDs), maxListenFDs)
	}
	for _, f := range r.stdio() {
		if f.file == nil {
			continue
		}
		if err := checkFile(f.handle, f.file, f.direction); err != nil {
			return err
		}
	}
	for _, l := range r.ListenFDs {
		if !validFDName(l.Name) {
			return faultf(ErrInvalidArgs, "check socket %q: its name must be 1 to 255 printable ASCII characters without \":\"", l.Name)
		}
		if l.File == nil {
			return faultf(ErrInvalidArgs, "check socket %q: it has no file", l.Name)
		}
		if err := checkFile(l.Name, l.File, unix.O_RDWR); err != nil {
			return err
		}
	}
	return nil
}

// ValidSlice reports whether s is the name of a slice unit. See systemd.unit(5).
func ValidSlice(s string) bool {
	name, ok := strings.CutSuffix(s, ".slice")
	return ok && name != "" && len(s) <= 255 && !strings.ContainsFunc(name, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-_.:\\", c)
	})
}

// settable are the properties of its scope that a caller may set: its resources, its texts and its place among other units.
// What makes it a container's scope (its processes, delegation, controller, how it is killed and collected) is ours.
var settable = map[string]bool{
	"AllowedCPUs": true, "AllowedMemoryNodes": true, "StartupAllowedCPUs": true, "StartupAllowedMemoryNodes": true,
	"CPUWeight": true, "StartupCPUWeight": true, "CPUQuotaPerSecUSec": true, "CPUQuotaPeriodUSec": true,
	"IOWeight": true, "StartupIOWeight": true, "IODeviceWeight": true, "IODeviceLatencyTargetUSec": true, "IOReadBandwidthMax": true, "IOWriteBandwidthMax": true, "IOReadIOPSMax": true, "IOWriteIOPSMax": true,
	"MemoryMin": true, "MemoryLow": true, "MemoryHigh": true, "MemoryMax": true, "MemorySwapMax": true, "TasksMax": true,
	"MemoryMinScale": true, "MemoryLowScale": true, "MemoryHighScale": true, "MemoryMaxScale": true, "MemorySwapMaxScale": true, "TasksMaxScale": true, // percentages
	"IPAccounting": true, "IPAddressAllow": true, "IPAddressDeny": true,
	"ManagedOOMSwap": true, "ManagedOOMMemoryPressure": true, "ManagedOOMMemoryPressureLimit": true, "ManagedOOMPreference": true,
	"Description": true, "Documentation": true, "RuntimeMaxUSec": true, "RuntimeRandomizedExtraUSec": true, "TimeoutStopUSec": true,
	"After": true, "Before": true, "Requires": true, "Requisite": true, "Wants": true, "BindsTo": true, "PartOf": true, "Upholds": true, "Conflicts": true,
}

// SettableProperties are the names that CreateRequest.ScopeProperties may have, sorted.
func SettableProperties() []string { return slices.Sorted(maps.Keys(settable)) }

func checkProperties(props []unit.Property) error {
	var refused []string
	for _, p := range props {
		if !settable[p.Name] {
			refused = append(refused, p.Name)
		}
	}
	if len(refused) > 0 {
		return faultf(ErrNotSupported, "check scope properties: %q cannot be set by a caller", refused)
	}
	return nil
}
