package spec

import (
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestMounts(t *testing.T) {
	const (
		dest = "mounts[0].destination: "
		opts = "mounts[0].options"
	)
	maps := []specs.LinuxIDMapping{{Size: 1}}
	for _, tt := range []struct {
		name string
		m    specs.Mount
		want []string
	}{
		{"proc", specs.Mount{Destination: "/proc", Type: "proc", Options: []string{"hidepid=2", "gid=5", "subset=pid"}}, nil},
		{"all tmpfs options", specs.Mount{Destination: "/t", Type: "tmpfs", Options: []string{
			"size=50%", "nr_blocks=1k", "nr_inodes=800k", "mode=1777", "uid=0", "gid=5", "huge=advise", "mpol=local", "inode64", "noswap", "ro"}}, nil},
		{"devpts", specs.Mount{Destination: "/dev/pts", Type: "devpts", Options: []string{"newinstance", "ptmxmode=0666", "mode=0620", "gid=5", "max=1024"}}, nil},
		{"cgroup", specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Options: []string{"relatime", "ro"}}, nil},
		{"cgroup2", specs.Mount{Destination: "/c", Type: "cgroup2"}, nil},
		{"bind of any type", specs.Mount{Destination: "/b", Type: "ext9", Source: "data/../x", Options: []string{"rbind", "rro", "rprivate"}}, nil},

		{"no destination", specs.Mount{Type: "tmpfs"}, []string{"error " + dest + "is empty"}},
		{"root", specs.Mount{Destination: "//.", Type: "tmpfs"}, []string{
			"error " + dest + `"//." is the root directory`,
		}},
		{"relative", specs.Mount{Destination: "t", Type: "tmpfs"}, []string{
			"warning " + dest + `"t" is relative, which is deprecated`,
		}},
		{"relative root", specs.Mount{Destination: ".", Type: "tmpfs"}, []string{
			"warning " + dest,
			"error " + dest + `"/." is the root directory`,
		}},
		{"escape", specs.Mount{Destination: "/a/../../etc", Type: "tmpfs"}, []string{
			"error " + dest + `"/a/../../etc" contains ".."`,
		}},
		{"relative escape", specs.Mount{Destination: "../etc", Type: "tmpfs"}, []string{
			"warning " + dest,
			"error " + dest + `"/../etc" contains ".."`,
		}},

		{"no type", specs.Mount{Destination: "/t"}, []string{
			"error mounts[0].type: is missing; give a type, or",
		}},
		{"type bind alone", specs.Mount{Destination: "/t", Type: "bind", Source: "/x"}, []string{
			`error mounts[0].type: "bind" makes no bind mount; give the option`,
		}},
		{"another type", specs.Mount{Destination: "/t", Type: "overlay", Options: []string{"lowerdir=/"}}, []string{
			`error mounts[0].type: not supported yet: "overlay" is not among what Berth mounts`}},
		{"no source", specs.Mount{Destination: "/t", Options: []string{"bind"}}, []string{
			"error mounts[0].source: is missing; a bind mount needs one",
		}},
		{"id maps", specs.Mount{Destination: "/t", Source: "/s", Options: []string{"bind", "idmap"}, UIDMappings: maps, GIDMappings: maps}, []string{
			"error mounts[0].uidMappings: not supported yet: ",
			"error mounts[0].gidMappings: not supported yet: ",
			"error " + opts + "[1]: not supported yet: idmapped",
		}},

		{"bind's options", specs.Mount{Destination: "/t", Source: "/s", Options: []string{"bind", "size=1", "sync", "tmpcopyup", "silent", "z", "ro", "defaults"}}, []string{
			"error " + opts + `[1]: "size=1" is no option of a bind mount`,
			"warning " + opts + `[2]: "sync" has no effect on a bind mount`,
			"error " + opts + `[3]: not supported yet: Berth copies nothing into a new tmpfs`,
			"warning " + opts + `[4]: "silent" has no effect: the kernel's`,
			"error " + opts + `[5]: "z" is no option of a bind mount`,
		}},
		{"remount", specs.Mount{Destination: "/proc", Options: []string{"remount", "size=1", "ro", "silent"}}, []string{
			"error " + opts + `[1]: "size=1" is an option of a file system; give its type with the remount`,
			"warning " + opts + `[3]: "silent" has no effect`,
		}},
		{"another's options", specs.Mount{Destination: "/p", Type: "proc", Options: []string{"size=1", "foo", "mand", "tmpcopyup"}}, []string{
			"error " + opts + `[0]: "size=1" is no option of proc`,
			"error " + opts + `[1]: "foo" is no option of proc, nor one of all`,
			"warning " + opts + `[2]: "mand" has no effect: the kernel has no mandatory`,
			"error " + opts + `[3]: not supported yet: Berth copies nothing into a new tmpfs`,
		}},
		{"values", specs.Mount{Destination: "/t", Type: "tmpfs", Options: []string{
			"size=", "size", "size=1x", "mode=9", "mode=10000", "uid=-1", "gid=4294967295", "uid=root", "huge=deny", "inode64=1", "mpol=", "nr_inodes=5%"}}, []string{
			"error " + opts + `[0]: size: "" is not a size such as`,
			"error " + opts + `[1]: "size" needs a value`,
			"error " + opts + `[2]: size: "1x" is not`,
			"error " + opts + `[3]: mode: "9" is not an octal mode`,
			"error " + opts + `[4]: mode: "10000" is not`,
			"error " + opts + `[5]: uid: "-1" is not a numeric id`,
			"error " + opts + `[6]: gid: "4294967295" is not`,
			"error " + opts + `[7]: uid: "root" is not`,
			"error " + opts + `[8]: huge: "deny" is not one of never,`,
			"error " + opts + `[9]: "inode64" takes no value`,
			"error " + opts + `[10]: mpol: its value is empty`,
			"error " + opts + `[11]: nr_inodes: "5%" is not a number`,
		}},
		{"cgroup's options", specs.Mount{Destination: "/c", Type: "cgroup2", Options: []string{"nsdelegate"}}, []string{
			"error " + opts + `[0]: "nsdelegate" is no option of cgroup2`,
		}},
		{"unreadable", specs.Mount{Destination: "/c", Type: "tmpfs", Options: []string{"", "x"}}, []string{
			"error " + opts + `: parse mount option "": it has no name`,
		}},
		{"two propagations", specs.Mount{Destination: "/c", Type: "tmpfs", Options: []string{"slave", "shared"}}, []string{
			"error " + opts + `: parse mount option "shared": the propagation`,
		}},

		{"tmpfs on proc", specs.Mount{Destination: "/proc/", Type: "tmpfs"}, []string{
			"error " + dest + `only procfs can be mounted on "/proc"`,
		}},
		{"bind on proc", specs.Mount{Destination: "proc", Source: "/tmp", Options: []string{"bind"}}, []string{
			"warning " + dest,
			"error " + dest + "only procfs",
		}},
		{"host's proc", specs.Mount{Destination: "/proc", Source: "/proc/", Options: []string{"rbind"}}, nil},
		{"in proc", specs.Mount{Destination: "/proc/self/attr", Type: "tmpfs"}, []string{
			"error " + dest + `"/proc/self/attr" lies in procfs`,
		}},
		{"file in proc", specs.Mount{Destination: "/proc//meminfo", Source: "/m", Options: []string{"bind"}}, nil},
		{"tmpfs on a file in proc", specs.Mount{Destination: "/proc/meminfo", Type: "tmpfs"}, []string{
			"error " + dest}},
		{"no proc at all", specs.Mount{Destination: "/process", Type: "tmpfs"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := base()
			s.Mounts = []specs.Mount{tt.m}
			checkFindings(t, Validate(s), tt.want)
		})
	}
}

// TestCleanMountsHaveNoUnknownOptions is what runtime/compile relies on.
func TestCleanMountsHaveNoUnknownOptions(t *testing.T) {
	for fstype, options := range filesystems {
		for name := range options {
			for _, word := range []string{name, name + "=1", name + "=pid", name + "=never"} {
				flags, err := ParseMountOptions([]string{word})
				if err != nil || len(flags.Data) != 1 || len(flags.Unknown) != 0 {
					t.Errorf("%s: %q is parsed as %+v, %v", fstype, word, flags, err)
				}
			}
		}
	}
}
