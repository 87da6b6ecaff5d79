package plan

import (
	"encoding/binary"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// format tells how an argument prints: data for an address, literal for a
// number.
type format struct {
	literal func(uint64) string
	data    func(p *Program, off uint64, op *Op) string
}

type call struct {
	name string
	args []format
}

var (
	num   = format{}
	hex   = format{literal: func(v uint64) string { return "0x" + strconv.FormatUint(v, 16) }}
	octal = format{literal: func(v uint64) string { return "0" + strconv.FormatUint(v, 8) }}
	fd    = format{literal: func(v uint64) string {
		if int64(v) == unix.AT_FDCWD {
			return "AT_FDCWD"
		}
		return strconv.FormatInt(int64(v), 10)
	}}
	str  = format{data: func(p *Program, off uint64, _ *Op) string { return strconv.Quote(p.text(off)) }}
	list = format{data: func(p *Program, off uint64, _ *Op) string {
		var items []string
		for _, r := range p.Relocs {
			if uint64(r.At) == off {
				items = append(items, strconv.Quote(p.text(uint64(r.Target))))
				off += 8
			}
		}
		return "[" + strings.Join(items, ", ") + "]"
	}}
	how = format{data: func(p *Program, off uint64, _ *Op) string {
		s := "{" + openFlags.format(p.u64(off))
		if mode := p.u64(off + 8); mode != 0 {
			s += ", 0" + strconv.FormatUint(mode, 8)
		}
		return s + ", " + resolveFlags.format(p.u64(off+16)) + "}"
	}}
	mountAttr = format{data: func(p *Program, off uint64, _ *Op) string {
		var parts []string
		for i, set := range []string{"set ", "clear ", "propagation "} {
			names := attrFlags
			if i == 2 {
				names = propagationFlags
			}
			if v := p.u64(off + uint64(8*i)); v != 0 {
				parts = append(parts, set+names.format(v))
			}
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}}
	words = format{data: func(p *Program, off uint64, _ *Op) string {
		return "{" + strconv.FormatUint(p.u64(off), 10) + ", " + strconv.FormatUint(p.u64(off+8), 10) + "}"
	}}
	// blob prints the buffer whose length is the next literal argument.
	blob = format{data: func(p *Program, off uint64, op *Op) string {
		for i, kind := range op.ArgKinds[:5] {
			if kind == Address && op.Args[i] == off && op.ArgKinds[i+1] == Literal {
				return strconv.Quote(string(p.bytes(off, op.Args[i+1])))
			}
		}
		return "&" + p.slot(off)
	}}
	gids = format{data: func(p *Program, off uint64, op *Op) string {
		var items []string
		for b := p.bytes(off, 4*op.Args[0]); len(b) >= 4; b = b[4:] {
			items = append(items, strconv.Itoa(int(binary.LittleEndian.Uint32(b))))
		}
		return "[" + strings.Join(items, ", ") + "]"
	}}
	opaque = format{data: func(*Program, uint64, *Op) string { return "{...}" }}
)

// flags formats a word by the table's names; what has no name stays a number.
func (t flagNames) format(v uint64) string {
	var names []string
	for _, f := range t {
		if f.bits != 0 && v&f.bits == f.bits {
			names = append(names, f.name)
			v &^= f.bits
		}
	}
	switch {
	case v != 0:
		names = append(names, "0x"+strconv.FormatUint(v, 16))
	case len(names) == 0:
		return "0"
	}
	return strings.Join(names, "|")
}

func (t flagNames) literal() format { return format{literal: t.format} }

var calls = map[uint32]call{
	unix.SYS_CAPSET:        {"capset", []format{opaque, capData}},
	unix.SYS_CHDIR:         {"chdir", []format{str}},
	unix.SYS_CLOSE:         {"close", []format{fd}},
	unix.SYS_CLOSE_RANGE:   {"close_range", []format{num, num, closeRangeFlags.literal()}},
	unix.SYS_DUP3:          {"dup3", []format{fd, num, openFlags.literal()}},
	unix.SYS_EXECVE:        {"execve", []format{str, list, list}},
	unix.SYS_FACCESSAT2:    {"faccessat2", []format{fd, str, octal, atFlags.literal()}},
	unix.SYS_FCHDIR:        {"fchdir", []format{fd}},
	unix.SYS_FCHMODAT:      {"fchmodat", []format{fd, str, octal}},
	unix.SYS_FCHOWNAT:      {"fchownat", []format{fd, str, num, num, atFlags.literal()}},
	unix.SYS_FSCONFIG:      {"fsconfig", []format{fd, fsconfigCommands.literal(), str, str, num}},
	unix.SYS_FSMOUNT:       {"fsmount", []format{fd, fsmountFlags.literal(), attrFlags.literal()}},
	unix.SYS_FSOPEN:        {"fsopen", []format{str, fsopenFlags.literal()}},
	unix.SYS_FSPICK:        {"fspick", []format{fd, str, fspickFlags.literal()}},
	unix.SYS_IOCTL:         {"ioctl", []format{fd, ioctls.literal(), opaque}},
	unix.SYS_IOPRIO_SET:    {"ioprio_set", []format{num, num, hex}},
	unix.SYS_KEYCTL:        {"keyctl", []format{keyctlCommands.literal(), str}},
	unix.SYS_MKDIRAT:       {"mkdirat", []format{fd, str, octal}},
	unix.SYS_MKNODAT:       {"mknodat", []format{fd, str, octal, device}},
	unix.SYS_MOUNT_SETATTR: {"mount_setattr", []format{fd, str, atFlags.literal(), mountAttr}},
	unix.SYS_MOVE_MOUNT:    {"move_mount", []format{fd, str, fd, str, moveFlags.literal()}},
	unix.SYS_OPENAT:        {"openat", []format{fd, str, openFlags.literal()}},
	unix.SYS_OPENAT2:       {"openat2", []format{fd, str, how}},
	unix.SYS_OPEN_TREE:     {"open_tree", []format{fd, str, treeFlags.literal()}},
	unix.SYS_PIVOT_ROOT:    {"pivot_root", []format{str, str}},
	unix.SYS_PRCTL:         {"prctl", []format{prctls.literal(), num, num}},
	unix.SYS_PRLIMIT64:     {"prlimit64", []format{num, rlimits.literal(), words}},
	unix.SYS_READ:          {"read", []format{fd, opaque, num}},
	unix.SYS_SCHED_SETATTR: {"sched_setattr", []format{num, opaque, num}},
	unix.SYS_SETDOMAINNAME: {"setdomainname", []format{str, num}},
	unix.SYS_SETGROUPS:     {"setgroups", []format{num, gids}},
	unix.SYS_SETHOSTNAME:   {"sethostname", []format{str, num}},
	unix.SYS_SETNS:         {"setns", []format{fd, cloneFlags.literal()}},
	unix.SYS_SETRESGID:     {"setresgid", []format{num, num, num}},
	unix.SYS_SETRESUID:     {"setresuid", []format{num, num, num}},
	unix.SYS_SETSID:        {"setsid", nil},
	unix.SYS_SOCKET:        {"socket", []format{socketFamilies.literal(), socketTypes.literal(), num}},
	unix.SYS_SYMLINKAT:     {"symlinkat", []format{str, fd, str}},
	unix.SYS_UMASK:         {"umask", []format{octal}},
	unix.SYS_UMOUNT2:       {"umount2", []format{str, umountFlags.literal()}},
	unix.SYS_UNSHARE:       {"unshare", []format{cloneFlags.literal()}},
	unix.SYS_WRITE:         {"write", []format{fd, blob, num}},
}

var device = format{literal: func(v uint64) string {
	return "makedev(" + strconv.Itoa(int(unix.Major(v))) + ", " + strconv.Itoa(int(unix.Minor(v))) + ")"
}}

// capData prints the two halves of struct __user_cap_data_struct.
var capData = format{data: func(p *Program, off uint64, _ *Op) string {
	half := func(i uint64) uint64 {
		lo, hi := p.u64(off), p.u64(off+8)
		halves := [6]uint64{lo & 0xffffffff, lo >> 32, hi & 0xffffffff, hi >> 32, p.u64(off+16) & 0xffffffff, p.u64(off+16) >> 32}
		return halves[i] | halves[i+3]<<32
	}
	x := func(v uint64) string { return "0x" + strconv.FormatUint(v, 16) }
	return "{effective " + x(half(0)) + ", permitted " + x(half(1)) + ", inheritable " + x(half(2)) + "}"
}}

func errnoName(e syscall.Errno) string {
	if name := unix.ErrnoName(e); name != "" {
		return name
	}
	return strconv.Itoa(int(e))
}
