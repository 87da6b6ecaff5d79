package plan

import (
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestPrintEverything(t *testing.T) {
	want := `
clone(CLONE_NEWPID)
  1  dup3($stdin, 0, 0)  # set stdin
  2  dup3($listen0, 3, O_CLOEXEC)  # pass socket
  3  openat2(AT_FDCWD, "/srv", {O_PATH|O_CLOEXEC, RESOLVE_IN_ROOT}) -> $dir or ENOENT|ENOTDIR go to 5  # open "/srv"
  4  mkdirat(AT_FDCWD, "/srv", 0755) or EEXIST, done go to 7  # make it
  5  unless $dir go to 7
  6  close($dir)  # close
  7  fork(CLONE_PARENT) and go on in the child  # fork into namespaces
  8  report point 1  # created
  9  read($stdin, {...}, 1)  # wait for start
 10  execve("/bin/sh", ["sh", "-c", "exit"], []) or ENOENT  # execute "sh"
 11  fail ENOENT  # find program
`
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), build(t, everything).String()); diff != "" {
		t.Errorf("print (-want +got):\n%s", diff)
	}
}

// TestPrintCalls has each format of an argument, and what only a hostile or
// foreign plan contains.
func TestPrintCalls(t *testing.T) {
	text := func(s string) func(*Builder) []Arg { return func(b *Builder) []Arg { return []Arg{b.String(s)} } }
	for _, tc := range []struct {
		nr   uintptr
		args func(b *Builder) []Arg
		want string
	}{
		{unix.SYS_CHDIR, text("/a \"b\"\n"), `chdir("/a \"b\"\n")`},
		{unix.SYS_CHDIR, func(*Builder) []Arg { return []Arg{Lit(0)} }, `chdir(NULL)`},
		{unix.SYS_CHDIR, func(b *Builder) []Arg { return []Arg{b.Slot("dir").Arg()} }, `chdir($dir)`},
		{unix.SYS_SETSID, nil0, `setsid()`},
		{unix.SYS_UMASK, lits(0o22), `umask(022)`},
		{unix.SYS_CLOSE, lits(-1), `close(-1)`},
		{unix.SYS_CLOSE_RANGE, lits(3, 1<<32-1, unix.CLOSE_RANGE_CLOEXEC), `close_range(3, 4294967295, CLOSE_RANGE_CLOEXEC)`},
		{unix.SYS_UNSHARE, lits(unix.CLONE_NEWNS | unix.CLONE_NEWTIME | 1<<40), `unshare(CLONE_NEWNS|CLONE_NEWTIME|0x10000000000)`},
		{unix.SYS_UMOUNT2, func(b *Builder) []Arg { return []Arg{b.String("."), Lit(unix.MNT_DETACH)} }, `umount2(".", MNT_DETACH)`},
		{unix.SYS_PRCTL, lits(unix.PR_CAPBSET_DROP, 7, 0), `prctl(PR_CAPBSET_DROP, 7, 0)`},
		{unix.SYS_PRCTL, lits(9999, 0, 0), `prctl(0x270f, 0, 0)`},
		{unix.SYS_IOPRIO_SET, lits(1, 0, 2<<13|4), `ioprio_set(1, 0, 0x4004)`},
		{unix.SYS_SETRESUID, lits(1, -1, 3), `setresuid(1, -1, 3)`},
		{unix.SYS_MKNODAT, func(b *Builder) []Arg {
			return []Arg{Lit(3), b.String("null"), Lit(unix.S_IFCHR | 0o666), Lit(unix.Mkdev(1, 3))}
		}, `mknodat(3, "null", 020666, makedev(1, 3))`},
		{unix.SYS_OPENAT2, func(b *Builder) []Arg {
			return []Arg{Lit(3), b.String("f"), b.Words(unix.O_CREAT|unix.O_WRONLY, 0o600, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_XDEV), Lit(24)}
		}, `openat2(3, "f", {O_WRONLY|O_CREAT, 0600, RESOLVE_BENEATH|RESOLVE_NO_XDEV})`},
		{unix.SYS_OPEN_TREE, func(b *Builder) []Arg {
			return []Arg{Lit(unix.AT_FDCWD), b.String("/"), Lit(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC | unix.AT_RECURSIVE)}
		}, `open_tree(AT_FDCWD, "/", OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC|AT_RECURSIVE)`},
		{unix.SYS_MOUNT_SETATTR, func(b *Builder) []Arg {
			return []Arg{Lit(3), b.String(""), Lit(unix.AT_EMPTY_PATH), b.Words(unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOATIME, unix.MOUNT_ATTR__ATIME, unix.MS_SLAVE, 0)}
		}, `mount_setattr(3, "", AT_EMPTY_PATH, {set RDONLY|NOATIME, clear _ATIME, propagation MS_SLAVE})`},
		{unix.SYS_FSCONFIG, func(b *Builder) []Arg {
			return []Arg{Lit(3), Lit(unix.FSCONFIG_SET_STRING), b.String("size"), b.String("64k"), Lit(0)}
		}, `fsconfig(3, SET_STRING, "size", "64k", 0)`},
		{unix.SYS_FSCONFIG, lits(3, unix.FSCONFIG_CMD_CREATE, 0, 0, 0), `fsconfig(3, CREATE, NULL, NULL, 0)`},
		{unix.SYS_WRITE, func(b *Builder) []Arg { return []Arg{Lit(3), b.String("text"), Lit(4)} }, `write(3, "text", 4)`},
		{unix.SYS_WRITE, func(b *Builder) []Arg { return []Arg{Lit(3), b.String("text"), Lit(-1)} }, `write(3, "text\x00\x00\x00\x00", -1)`},
		{unix.SYS_WRITE, func(b *Builder) []Arg { s := b.Slot("n"); return []Arg{Lit(3), b.Bytes([]byte{1}), s.Arg()} }, `write(3, &$8, $n)`},
		{unix.SYS_PRLIMIT64, func(b *Builder) []Arg {
			return []Arg{Lit(0), Lit(unix.RLIMIT_NOFILE), b.Words(1024, ^uint64(0)), Lit(0)}
		}, `prlimit64(0, RLIMIT_NOFILE, {1024, 18446744073709551615})`},
		{unix.SYS_SETGROUPS, func(b *Builder) []Arg { return []Arg{Lit(2), b.Words(5 | 7<<32)} }, `setgroups(2, [5, 7])`},
		{unix.SYS_SETGROUPS, lits(0, 0), `setgroups(0, NULL)`},
		{unix.SYS_SETGROUPS, func(b *Builder) []Arg { return []Arg{Lit(uint64(1 << 62)), b.Words(5)} }, `setgroups(4611686018427387904, [])`},
		{unix.SYS_CAPSET, func(b *Builder) []Arg {
			return []Arg{b.Words(unix.LINUX_CAPABILITY_VERSION_3), b.Words(1|2<<32, 3|4<<32, 5|6<<32)}
		}, `capset({...}, {effective 0x400000001, permitted 0x500000002, inheritable 0x600000003})`},
		{unix.SYS_CAPSET, func(b *Builder) []Arg { return []Arg{b.Words(0), b.Words(1)} }, `capset({...}, {effective 0x1, permitted 0x0, inheritable 0x0})`},
		{unix.SYS_SETNS, func(b *Builder) []Arg { return []Arg{b.Slot("ns").Arg(), Lit(unix.CLONE_NEWNET)} }, `setns($ns, CLONE_NEWNET)`},
		{unix.SYS_KEYCTL, func(b *Builder) []Arg { return []Arg{Lit(unix.KEYCTL_JOIN_SESSION_KEYRING), b.String("k")} }, `keyctl(JOIN_SESSION_KEYRING, "k")`},
		{1 << 20, lits(1, 2, 3, 4, 5, 6), `syscall_1048576(0x1, 0x2, 0x3, 0x4, 0x5, 0x6)`},
	} {
		p := build(t, func(b *Builder) {
			var args []Arg
			if tc.args != nil {
				args = tc.args(b)
			}
			b.Call("label", tc.nr, args...)
		})
		if diff := cmp.Diff("  1  "+tc.want+"  # label\n", p.String()); diff != "" {
			t.Errorf("print (-want +got):\n%s", diff)
		}
	}
}

func lits(values ...int) func(*Builder) []Arg {
	return func(*Builder) []Arg {
		var args []Arg
		for _, v := range values {
			args = append(args, Lit(v))
		}
		return args
	}
}

func nil0(*Builder) []Arg { return nil }

func TestEveryCallHasAName(t *testing.T) {
	seen := map[string]bool{}
	for nr, c := range calls {
		if c.name == "" || seen[c.name] || len(c.args) > 6 {
			t.Errorf("system call %d: name %q, %d arguments", nr, c.name, len(c.args))
		}
		seen[c.name] = true
	}
}

func TestDescribe(t *testing.T) {
	p := build(t, func(b *Builder) {
		b.Call(`mount proc on "/proc"`, unix.SYS_MOVE_MOUNT)
		b.Call("wait for start", unix.SYS_READ)
		b.Fail("", unix.EIO)
	})
	for _, tc := range []struct {
		op    int
		errno syscall.Errno
		want  string
	}{
		{0, unix.EPERM, `mount proc on "/proc": operation not permitted (step 1 of 3)`},
		{1, unix.ECANCELED, "wait for start: given up because the creator has gone (step 2 of 3)"},
		{2, syscall.Errno(4095), ": errno 4095 (step 3 of 3)"},
		{-1, unix.EIO, "unknown step: input/output error"},
		{3, unix.EIO, "unknown step: input/output error"},
		{1 << 30, unix.ECANCELED, "unknown step: given up because the creator has gone"},
	} {
		if got := p.Describe(tc.op, tc.errno); got != tc.want {
			t.Errorf("Describe(%d, %d) = %q, want %q", tc.op, tc.errno, got, tc.want)
		}
	}
}

func TestErrnoName(t *testing.T) {
	for errno, want := range map[syscall.Errno]string{unix.ENOENT: "ENOENT", 4095: "4095", 0: "0"} {
		if got := errnoName(errno); got != want {
			t.Errorf("errnoName(%d) = %q, want %q", errno, got, want)
		}
	}
}

// TestFlagTables: bits of one table exclude each other, or an entry with more
// bits comes first; otherwise a print would hide one.
func TestFlagTables(t *testing.T) {
	for name, table := range map[string]flagNames{
		"clone": cloneFlags, "open": openFlags, "resolve": resolveFlags, "attr": attrFlags, "propagation": propagationFlags, "at": atFlags,
		"tree": treeFlags, "move": moveFlags, "fsopen": fsopenFlags, "fsmount": fsmountFlags, "close_range": closeRangeFlags, "umount": umountFlags, "socket": socketTypes,
	} {
		for i, f := range table {
			if f.bits == 0 || f.name == "" {
				t.Errorf("%s: entry %d is empty", name, i)
			}
			if got := table.format(f.bits); got != f.name {
				t.Errorf("%s: %#x prints as %q, want %q", name, f.bits, got, f.name)
			}
		}
	}
}
