package spec

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestParseMountOptions(t *testing.T) {
	const atime = unix.MOUNT_ATTR__ATIME
	for _, tt := range []struct {
		name  string
		words []string
		want  MountFlags
	}{
		{"nothing", nil, MountFlags{}},
		{"runc's sysfs", []string{"nosuid", "noexec", "nodev", "ro"}, MountFlags{
			AttrSet: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_RDONLY, SBFlags: []string{"ro"}}},
		{"runc's dev", []string{"nosuid", "strictatime", "mode=755", "size=65536k"}, MountFlags{
			AttrSet: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_STRICTATIME, AttrClear: atime, Data: []string{"mode=755", "size=65536k"}}},
		{"later word counts", []string{"ro", "noexec", "rw", "exec"}, MountFlags{
			AttrClear: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOEXEC, SBFlags: []string{}}},
		{"set after clear", []string{"suid", "dev", "nosuid"}, MountFlags{AttrSet: unix.MOUNT_ATTR_NOSUID, AttrClear: unix.MOUNT_ATTR_NODEV}},
		{"defaults", []string{"ro", "defaults", "nosuid"}, MountFlags{AttrSet: unix.MOUNT_ATTR_NOSUID,
			AttrClear: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC, SBFlags: []string{}}},
		{"bind", []string{"bind", "private"}, MountFlags{Bind: true, Propagation: unix.MS_PRIVATE}},
		{"rbind", []string{"rbind", "rslave", "rslave"}, MountFlags{Bind: true, RecBind: true, Propagation: unix.MS_SLAVE | unix.MS_REC}},
		{"bind then rbind", []string{"bind", "rbind", "bind"}, MountFlags{Bind: true, RecBind: true}},
		{"recursive", []string{"rbind", "rro", "rnosuid", "rw"}, MountFlags{Bind: true, RecBind: true,
			RecAttrSet: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID, AttrClear: unix.MOUNT_ATTR_RDONLY}},
		{"recursive words", []string{"rnodev", "rnoexec", "rnosymfollow", "rnodiratime", "rrw", "rsuid", "rnoatime"}, MountFlags{
			RecAttrSet:   unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC | unix.MOUNT_ATTR_NOSYMFOLLOW | unix.MOUNT_ATTR_NODIRATIME | unix.MOUNT_ATTR_NOATIME,
			RecAttrClear: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | atime}},
		{"recursive back", []string{"rdev", "rexec", "rsymfollow", "rdiratime", "rrelatime"}, MountFlags{
			RecAttrClear: unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC | unix.MOUNT_ATTR_NOSYMFOLLOW | unix.MOUNT_ATTR_NODIRATIME | atime}},
		{"relatime is zero", []string{"relatime"}, MountFlags{AttrClear: atime}},
		{"noatime", []string{"strictatime", "noatime", "nodiratime"}, MountFlags{
			AttrSet: unix.MOUNT_ATTR_NOATIME | unix.MOUNT_ATTR_NODIRATIME, AttrClear: atime}},
		{"taken back", []string{"noatime", "atime"}, MountFlags{AttrClear: atime}},
		{"another taken back", []string{"strictatime", "norelatime", "atime"}, MountFlags{AttrSet: unix.MOUNT_ATTR_STRICTATIME, AttrClear: atime}},
		{"superblock", []string{"sync", "dirsync", "lazytime", "sync", "nolazytime"}, MountFlags{SBFlags: []string{"sync", "dirsync"}}},
		{"sync and back", []string{"sync", "async"}, MountFlags{SBFlags: []string{}}},
		{"no effect", []string{"silent", "loud", "mand", "nomand", "iversion", "noiversion"}, MountFlags{}},
		{"devpts", []string{"newinstance", "ptmxmode=0666", "gid=5"}, MountFlags{Data: []string{"newinstance", "ptmxmode=0666", "gid=5"}}},
		{"remount", []string{"remount", "ro"}, MountFlags{Remount: true, AttrSet: unix.MOUNT_ATTR_RDONLY, SBFlags: []string{"ro"}}},
		{"unknown", []string{"z", "idmap", "ridmap", "tmpcopyup", "r", "rr", "rrrw", "rsync", "rdefaults", "rtmpcopyup", "Ro", "upperdir=/x"}, MountFlags{
			Unknown: []string{"z", "idmap", "ridmap", "tmpcopyup", "r", "rr", "rrrw", "rsync", "rdefaults", "rtmpcopyup", "Ro", "upperdir=/x"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseMountOptions(tt.words)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("flags (-want +got):\n%s", diff)
			}
			if got.AttrSet&got.AttrClear&^unix.MOUNT_ATTR__ATIME != 0 || got.RecAttrSet&got.RecAttrClear&^unix.MOUNT_ATTR__ATIME != 0 {
				t.Errorf("a bit is both set and cleared: %+v", got)
			}
		})
	}
}

func TestParseMountOptionsFails(t *testing.T) {
	for _, tt := range []struct {
		words []string
		want  string
	}{
		{[]string{"ro", ""}, `parse mount option "": it has no name`},
		{[]string{"=x"}, `parse mount option "=x": it has no name`},
		{[]string{"rprivate", "private"}, `parse mount option "private": the propagation was already given`},
	} {
		if got, err := ParseMountOptions(tt.words); err == nil || err.Error() != tt.want {
			t.Errorf("%q is %+v, %v; want %q", tt.words, got, err, tt.want)
		}
	}
}

// TestEverySpecifiedWord holds the table against the list of config.md#linux-mount-options.
func TestEverySpecifiedWord(t *testing.T) {
	for _, word := range []string{
		"async", "atime", "bind", "defaults", "dev", "diratime", "dirsync", "exec", "iversion", "lazytime", "loud", "mand", "noatime", "nodev",
		"nodiratime", "noexec", "noiversion", "nolazytime", "nomand", "norelatime", "nostrictatime", "nosuid", "nosymfollow", "private", "ratime",
		"rbind", "rdev", "rdiratime", "relatime", "remount", "rexec", "rnoatime", "rnodiratime", "rnoexec", "rnorelatime", "rnostrictatime",
		"rnosuid", "rnosymfollow", "ro", "rprivate", "rrelatime", "rro", "rrw", "rshared", "rslave", "rstrictatime", "rsuid", "rsymfollow",
		"runbindable", "rw", "shared", "silent", "slave", "strictatime", "suid", "symfollow", "sync", "tmpcopyup", "unbindable", "idmap", "ridmap",
	} {
		opt, ok := LookupMountOption(word)
		if !ok || opt.Word != word {
			t.Errorf("%q is not known: %+v", word, opt)
		}
		if opt == (MountOption{Word: word}) {
			t.Errorf("%q does nothing, and nothing says why", word)
		}
	}
}
