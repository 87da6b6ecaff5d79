package spec

import (
	"os"
	"path"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Device numbers have 12 bits for the major and 20 for the minor (Linux: include/linux/kdev_t.h).
const (
	maxMajor = 1<<12 - 1
	maxMinor = 1<<20 - 1
)

// deviceTypes are the S_IFMT bits of mknod(2).
var deviceTypes = map[string]uint32{"c": unix.S_IFCHR, "u": unix.S_IFCHR, "b": unix.S_IFBLK, "p": unix.S_IFIFO}

// DeviceType returns the S_IFMT bits of a type of linux.devices, for mknod(2).
func DeviceType(typ string) (mode uint32, ok bool) {
	mode, ok = deviceTypes[typ]
	return mode, ok
}

func (c *checker) devices() {
	byPath := map[string]int{}
	type number struct {
		mode         uint32
		major, minor int64
	}
	byNumber := map[number]int{}
	for i, d := range c.linux.Devices {
		at := index("linux.devices", i)
		c.device(at, &d)
		if first, again := byPath[path.Clean(d.Path)]; again {
			c.errorf(at+".path", refDevices, "%s is already made by linux.devices[%d]", quote(d.Path), first)
		}
		byPath[path.Clean(d.Path)] = i
		mode, _ := DeviceType(d.Type)
		n := number{mode, d.Major, d.Minor}
		if first, again := byNumber[n]; again && d.Type != "p" {
			c.warnf(at, refDevices, "is the same device as linux.devices[%d]", first)
		}
		byNumber[n] = i
	}
}

func (c *checker) device(at string, d *specs.LinuxDevice) {
	c.containerPath(at+".path", d.Path, refDevices)
	mode, known := DeviceType(d.Type)
	if !known {
		c.errorf(at+".type", refDevices, "%s is not \"c\", \"b\", \"u\" or \"p\"", quote(d.Type))
	} else if d.FileMode != nil {
		c.fileMode(at+".fileMode", *d.FileMode, mode)
	}
	c.deviceNumbers(at, &d.Major, &d.Minor, refDevices)
	if d.UID != nil {
		c.id(at+".uid", *d.UID, refDevices)
	}
	if d.GID != nil {
		c.id(at+".gid", *d.GID, refDevices)
	}
}

// fileMode lets the type bits of mknod(2) pass where they agree with the type, because engines copy
// st_mode here. The value is that of the system call, not Go's: os.FileMode is only its size.
func (c *checker) fileMode(at string, given os.FileMode, typ uint32) {
	mode := uint32(given)
	if format := mode & unix.S_IFMT; format != 0 && format != typ || mode&^unix.S_IFMT > 0o7777 {
		c.errorf(at, refDevices, "%d (octal %o) is no mode of such a file; most are 0 to %d (octal 777)", mode, mode, 0o777)
	}
}

func (c *checker) deviceNumbers(at string, major, minor *int64, ref string) {
	if major != nil && (*major < 0 || *major > maxMajor) {
		c.errorf(at+".major", ref, "%d is not in 0 to %d", *major, maxMajor)
	}
	if minor != nil && (*minor < 0 || *minor > maxMinor) {
		c.errorf(at+".minor", ref, "%d is not in 0 to %d", *minor, maxMinor)
	}
}
