package spec

import (
	"path"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func (c *checker) mounts() {
	for i, m := range c.spec.Mounts {
		at := index("mounts", i)
		flags, err := ParseMountOptions(m.Options)
		if err != nil {
			c.errorf(at+".options", refMountOptions, "%v", err)
			continue
		}
		if len(m.UIDMappings) > 0 {
			c.refuse(at+".uidMappings", refPOSIXMounts, refusedIDMap)
		}
		if len(m.GIDMappings) > 0 {
			c.refuse(at+".gidMappings", refPOSIXMounts, refusedIDMap)
		}
		c.destination(at+".destination", &m, flags)
		if flags.Remount && (flags.Bind || m.Type == "" || m.Type == "none") {
			c.remount(at, &m)
		} else if flags.Bind {
			c.bindMount(at, &m)
		} else if c.mountType(at+".type", m.Type) {
			c.mountWords(at, &m)
		}
	}
}

func (c *checker) mountType(at, typ string) bool {
	_, ok := filesystems[typ]
	switch {
	case ok:
	case typ == "":
		c.errorf(at, refPOSIXMounts, "is missing; give a type, or the option \"bind\" or \"rbind\"")
	case typ == "bind", typ == "rbind", typ == "none":
		c.errorf(at, refPOSIXMounts, "%q makes no bind mount; give the option \"bind\" or \"rbind\"", typ)
	default:
		c.refuse(at, refPOSIXMounts, quote(typ)+" is not among what Berth mounts: "+supportedMounts)
	}
	return ok
}

func (c *checker) bindMount(at string, m *specs.Mount) {
	if m.Source == "" {
		c.errorf(at+".source", refMounts, "is missing; a bind mount needs one, absolute or relative to the bundle")
	}
	for j, word := range m.Options {
		opt, known := LookupMountOption(word)
		where := index(at+".options", j)
		switch superblock := opt.SetSB + opt.ClearSB; {
		case !known:
			c.errorf(where, refMountOptions, "%s is no option of a bind mount", quote(word))
		case superblock != "" && superblock != "ro":
			c.warnf(where, refMountOptions, "%q has no effect on a bind mount: it belongs to the file system", word)
		default:
			c.generalWord(where, opt)
		}
	}
}

func (c *checker) mountWords(at string, m *specs.Mount) {
	for j, word := range m.Options {
		opt, known := LookupMountOption(word)
		where := index(at+".options", j)
		switch {
		case !known:
			if err := checkData(m.Type, word); err != nil {
				c.errorf(where, refMountOptions, "%v", err)
			}
		default:
			c.generalWord(where, opt)
		}
	}
}

// generalWord reports the words that do nothing or are refused on every mount.
func (c *checker) generalWord(at string, opt MountOption) {
	switch {
	case opt.Refused != "":
		c.refuse(at, refMountOptions, opt.Refused)
	case opt.NoEffect != "":
		c.warnf(at, refMountOptions, "%q has no effect: %s", opt.Word, opt.NoEffect)
	}
}

// remount changes attributes of a mount. Its type is only of use for options of the file system itself.
func (c *checker) remount(at string, m *specs.Mount) {
	for j, word := range m.Options {
		if opt, known := LookupMountOption(word); known {
			c.generalWord(index(at+".options", j), opt)
		} else {
			c.errorf(index(at+".options", j), refMountOptions, "%s is an option of a file system; give its type with the remount", quote(word))
		}
	}
}

func (c *checker) destination(at string, m *specs.Mount, f MountFlags) {
	if m.Destination != "" && !path.IsAbs(m.Destination) {
		c.warnf(at, refMounts, "%s is relative, which is deprecated; it is read as relative to \"/\"", quote(m.Destination))
		c.containerPath(at, "/"+m.Destination, refMounts)
	} else {
		c.containerPath(at, m.Destination, refMounts)
	}
	if !f.Remount {
		c.procMount(at, m, f.Bind)
	}
}

// procFiles may be bind-mounted over, as virtualized views of them are. Nothing else below /proc may:
// security settings are written there (CVE-2019-16884, CVE-2019-19921, CVE-2023-28642).
var procFiles = []string{
	"cpuinfo", "diskstats", "loadavg", "meminfo", "slabinfo", "stat", "swaps", "sys/crypto/fips_enabled", "sys/kernel/ns_last_pid", "uptime",
}

func (c *checker) procMount(at string, m *specs.Mount, bind bool) {
	dest := path.Clean("/" + m.Destination)
	below, isBelow := strings.CutPrefix(dest, "/proc/")
	switch {
	case isBelow && (!bind || !slices.Contains(procFiles, below)):
		c.errorf(at, refMounts, "%s lies in procfs, where only bind mounts over files such as /proc/meminfo are allowed", quote(m.Destination))
	case dest != "/proc", !bind && m.Type == "proc", bind && path.Clean(m.Source) == "/proc":
	default:
		c.errorf(at, refMounts, "only procfs can be mounted on \"/proc\"")
	}
}
