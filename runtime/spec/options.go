package spec

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// MountOption is what one option word of a mount does. Exactly one of the effects is set, except that
// ro and rw are both an attribute and a superblock flag.
type MountOption struct {
	Word string
	// Set and Clear are MOUNT_ATTR_* bits of mount_setattr(2), Atime apart. Recursive says that they
	// apply to the whole tree (AT_RECURSIVE).
	Set, Clear uint64
	Recursive  bool
	// Atime names the access time mode that the word sets or, if Negates, takes back.
	Atime   atimeMode
	Negates bool
	// Propagation is MS_PRIVATE, MS_SHARED, MS_SLAVE or MS_UNBINDABLE, with MS_REC in the r-forms.
	Propagation uint64
	// Bind makes the mount a bind mount, with Recursive one of the whole tree.
	Bind bool
	// Remount changes the mount that is there already.
	Remount bool
	// SetSB and ClearSB are flags of a new superblock, by their fsconfig(2) names.
	SetSB, ClearSB string
	// NoEffect says why the word is accepted but does nothing; "" where it does something.
	NoEffect string
	// Refused says why the word is not supported yet.
	Refused string
}

// atimeMode is a value of the access time field of mount attributes, plus one so that zero is "not given".
type atimeMode uint64

const (
	relatime    = atimeMode(unix.MOUNT_ATTR_RELATIME + 1)
	noatime     = atimeMode(unix.MOUNT_ATTR_NOATIME + 1)
	strictatime = atimeMode(unix.MOUNT_ATTR_STRICTATIME + 1)
)

// MountFlags is what all option words of one mount do together, in the terms of the new mount API.
type MountFlags struct {
	// AttrSet and AttrClear are for mount_setattr(2) on the mount itself, RecAttrSet and RecAttrClear
	// for mount_setattr(2) with AT_RECURSIVE, to be applied before them. Where an access time mode is
	// given, MOUNT_ATTR__ATIME is in the clear mask as that call demands.
	AttrSet, AttrClear       uint64
	RecAttrSet, RecAttrClear uint64
	// Propagation is one MS_* propagation flag, with MS_REC for the whole tree; 0 if not given.
	Propagation uint64
	// Bind is set for bind and rbind, RecBind for rbind alone.
	Bind, RecBind bool
	// Remount is set where the options are for the mount that is there already.
	Remount bool
	// SBFlags are the fsconfig(2) flags of a new superblock (FSCONFIG_SET_FLAG); of no use to a bind mount.
	SBFlags []string
	// Data are the options of the file system itself, key or key=value, in the order given.
	Data []string
	// Unknown are the words that no supported file system knows or that Berth refuses; empty in a
	// configuration that passed [Validate].
	Unknown []string
}

// ParseMountOptions reads the option words of a mount. Of two words that contradict each other the
// later one counts, as in mount(8). It fails for an empty word and for two different propagations.
// See config.md#linux-mount-options.
func ParseMountOptions(words []string) (MountFlags, error) {
	var f MountFlags
	var own, all attrs
	for _, w := range words {
		opt, known := LookupMountOption(w)
		switch {
		case w == "" || strings.HasPrefix(w, "="):
			return MountFlags{}, fmt.Errorf("parse mount option %q: it has no name", w)
		case !known && isDataOption(w):
			f.Data = append(f.Data, w)
			continue
		case !known || opt.Refused != "":
			f.Unknown = append(f.Unknown, w)
			continue
		case opt.Propagation != 0 && f.Propagation != 0 && opt.Propagation != f.Propagation:
			return MountFlags{}, fmt.Errorf("parse mount option %q: the propagation was already given", w)
		}
		if opt.Recursive && !opt.Bind {
			all.apply(opt)
		} else {
			own.apply(opt)
		}
		f.apply(opt)
	}
	f.AttrSet, f.AttrClear = own.masks()
	f.RecAttrSet, f.RecAttrClear = all.masks()
	return f, nil
}

func (f *MountFlags) apply(opt MountOption) {
	f.Propagation |= opt.Propagation
	f.Bind = f.Bind || opt.Bind
	f.RecBind = f.RecBind || opt.Bind && opt.Recursive
	f.Remount = f.Remount || opt.Remount
	if opt.SetSB != "" && !slices.Contains(f.SBFlags, opt.SetSB) {
		f.SBFlags = append(f.SBFlags, opt.SetSB)
	}
	if opt.ClearSB != "" {
		f.SBFlags = slices.DeleteFunc(f.SBFlags, func(s string) bool { return s == opt.ClearSB })
	}
}

// attrs collects mount attributes while words are read.
type attrs struct {
	set, clear uint64
	atime      atimeMode
}

func (a *attrs) apply(opt MountOption) {
	a.set = a.set&^opt.Clear | opt.Set
	a.clear = a.clear&^opt.Set | opt.Clear
	switch {
	case opt.Atime == 0:
	case !opt.Negates:
		a.atime = opt.Atime
	case a.atime == 0 || a.atime == opt.Atime:
		// Taking a mode back leaves the kernel's default, which is relatime (mount(2), Linux 2.6.30).
		a.atime = relatime
	}
}

// masks adds the access time field: it is a value, not a bit, so the whole field is cleared first.
// See mount_setattr(2), MOUNT_ATTR__ATIME.
func (a *attrs) masks() (set, clear uint64) {
	if a.atime == 0 {
		return a.set, a.clear
	}
	return a.set | uint64(a.atime-1), a.clear | unix.MOUNT_ATTR__ATIME
}
