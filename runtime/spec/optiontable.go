package spec

import (
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	noEffectPrinting = "the kernel's new mount calls print nothing anyway"
	noEffectMand     = "the kernel has no mandatory locking since 5.15"
	noEffectVersion  = "none of the supported file systems keeps i_version on request"
	refusedIDMap     = "idmapped mounts need a user namespace, which Berth does not make yet"
	refusedCopyUp    = "Berth copies nothing into a new tmpfs"
)

// mountOptions is the table of all option words that do not belong to one file system; the order is that
// of config.md#linux-mount-options. The recursive attribute words are made from it: see LookupMountOption.
var mountOptions = []MountOption{
	{Word: "async", ClearSB: "sync"},
	{Word: "atime", Atime: noatime, Negates: true},
	{Word: "bind", Bind: true},
	{Word: "defaults", Clear: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC, ClearSB: "ro"},
	{Word: "dev", Clear: unix.MOUNT_ATTR_NODEV},
	{Word: "diratime", Clear: unix.MOUNT_ATTR_NODIRATIME},
	{Word: "dirsync", SetSB: "dirsync"},
	{Word: "exec", Clear: unix.MOUNT_ATTR_NOEXEC},
	{Word: "idmap", Refused: refusedIDMap},
	{Word: "iversion", NoEffect: noEffectVersion},
	{Word: "lazytime", SetSB: "lazytime"},
	{Word: "loud", NoEffect: noEffectPrinting},
	{Word: "mand", NoEffect: noEffectMand},
	{Word: "noatime", Atime: noatime},
	{Word: "nodev", Set: unix.MOUNT_ATTR_NODEV},
	{Word: "nodiratime", Set: unix.MOUNT_ATTR_NODIRATIME},
	{Word: "noexec", Set: unix.MOUNT_ATTR_NOEXEC},
	{Word: "noiversion", NoEffect: noEffectVersion},
	{Word: "nolazytime", ClearSB: "lazytime"},
	{Word: "nomand", NoEffect: noEffectMand},
	{Word: "norelatime", Atime: relatime, Negates: true},
	{Word: "nostrictatime", Atime: strictatime, Negates: true},
	{Word: "nosuid", Set: unix.MOUNT_ATTR_NOSUID},
	{Word: "nosymfollow", Set: unix.MOUNT_ATTR_NOSYMFOLLOW},
	{Word: "private", Propagation: unix.MS_PRIVATE},
	{Word: "rbind", Bind: true, Recursive: true},
	{Word: "relatime", Atime: relatime},
	{Word: "remount", Remount: true},
	{Word: "ridmap", Refused: refusedIDMap},
	{Word: "ro", Set: unix.MOUNT_ATTR_RDONLY, SetSB: "ro"},
	{Word: "rprivate", Propagation: unix.MS_PRIVATE | unix.MS_REC},
	{Word: "rshared", Propagation: unix.MS_SHARED | unix.MS_REC},
	{Word: "rslave", Propagation: unix.MS_SLAVE | unix.MS_REC},
	{Word: "runbindable", Propagation: unix.MS_UNBINDABLE | unix.MS_REC},
	{Word: "rw", Clear: unix.MOUNT_ATTR_RDONLY, ClearSB: "ro"},
	{Word: "shared", Propagation: unix.MS_SHARED},
	{Word: "silent", NoEffect: noEffectPrinting},
	{Word: "slave", Propagation: unix.MS_SLAVE},
	{Word: "strictatime", Atime: strictatime},
	{Word: "suid", Clear: unix.MOUNT_ATTR_NOSUID},
	{Word: "symfollow", Clear: unix.MOUNT_ATTR_NOSYMFOLLOW},
	{Word: "sync", SetSB: "sync"},
	{Word: "tmpcopyup", Refused: refusedCopyUp},
	{Word: "unbindable", Propagation: unix.MS_UNBINDABLE},
}

// LookupMountOption returns what an option word does, and whether it is a word at all; words that only
// one file system knows (size=, mode=) are not.
func LookupMountOption(word string) (MountOption, bool) {
	if opt, ok := findOption(word); ok {
		return opt, true
	}
	// Every attribute word has a recursive twin with the letter r before it.
	base, isR := strings.CutPrefix(word, "r")
	opt, ok := findOption(base)
	if !isR || !ok || opt.Set|opt.Clear == 0 && opt.Atime == 0 || base == "defaults" {
		return MountOption{}, false
	}
	return MountOption{Word: word, Set: opt.Set, Clear: opt.Clear, Atime: opt.Atime, Negates: opt.Negates, Recursive: true}, true
}

func findOption(word string) (MountOption, bool) {
	i := slices.IndexFunc(mountOptions, func(o MountOption) bool { return o.Word == word })
	if i < 0 {
		return MountOption{}, false
	}
	return mountOptions[i], true
}

// isDataOption reports whether any supported file system has an option of this name.
func isDataOption(word string) bool {
	key, _, _ := strings.Cut(word, "=")
	for _, keys := range filesystems {
		if _, ok := keys[key]; ok {
			return true
		}
	}
	return false
}
