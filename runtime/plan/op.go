package plan

import "syscall"

// Kind tells what an [Op] does.
type Kind uint8

// The kinds of ops. Most are Syscall; the others are the few things that a
// straight list of system calls cannot say.
const (
	// Syscall makes system call Nr with Args.
	Syscall Kind = iota
	// Branch skips SkipFailed ops if the slot in Args[0] holds a negative
	// value (the op that fills it failed with a tolerated errno).
	Branch
	// Fork clones a sibling (CLONE_PARENT) that goes on with the next op; the
	// forking process reports the sibling's PID and exits. Joining a PID
	// namespace or entering a new time namespace only acts on children.
	Fork
	// Point reports that point number Args[0] has been reached.
	Point
	// Fail ends the program with errno Args[0].
	Fail
	kindEnd
)

// ArgKind tells how the value of an argument is made.
type ArgKind uint8

// The kinds of arguments.
const (
	// Literal arguments are passed as they are.
	Literal ArgKind = iota
	// FromSlot arguments are the word at an offset of the data segment.
	FromSlot
	// Address arguments are the address of an offset of the data segment.
	Address
	argKindEnd
)

// Flags change how the result of a system call is taken.
type Flags uint8

// EINTR is always retried; these are for the rest.
const (
	// RetryAgain repeats the call, a bounded number of times, on EAGAIN:
	// openat2(2) gives it when a rename races with a scoped lookup.
	RetryAgain Flags = 1 << iota
	// NonZero takes the result 0 for a failure (ECANCELED): the end of file on
	// a barrier means that whoever held its other end has gone.
	NonZero
	flagsEnd
)

// NoSlot is the slot of an op whose result nobody needs.
const NoSlot = ^uint32(0)

// MaxTolerated is how many errnos one op may tolerate.
const MaxTolerated = 4

// Op is one step of a program. All its offsets are into the data segment.
type Op struct {
	Kind  Kind
	Flags Flags
	// SkipDone and SkipFailed are how many of the following ops are passed
	// over after a success and after a tolerated failure.
	SkipDone, SkipFailed uint16
	Nr                   uint32
	Slot                 uint32 // offset of the word for the result (or -errno), or NoSlot
	Tolerate             [MaxTolerated]uint16
	ArgKinds             [6]ArgKind
	Args                 [6]uint64
	Label                string // "mount proc on "/proc"": the start of the error sentence
}

// Tolerates reports whether errno is not a failure of op.
func (op *Op) Tolerates(errno syscall.Errno) bool {
	for _, e := range op.Tolerate {
		if e != 0 && syscall.Errno(e) == errno {
			return true
		}
	}
	return false
}

// Reloc makes the word at offset At the address of offset Target, before the
// program runs: argv and envp are arrays of pointers.
type Reloc struct{ At, Target uint32 }

// PointCreated is the point at which a container is complete and waits for
// its start: nothing but the user's program is missing.
const PointCreated = 1

// Program is a plan ready to run.
type Program struct {
	// CloneFlags are the CLONE_NEW* flags of the clone(2) that makes the child.
	CloneFlags uint64
	Ops        []Op
	Relocs     []Reloc
	// Data is the data segment. Its length is a multiple of 8.
	Data []byte
	// Handles are the names of the file descriptors that the program is given,
	// HandleSlots the slots that hold their numbers.
	Handles     []string
	HandleSlots []uint32
	// SlotNames names slots for the print.
	SlotNames map[uint32]string
}

// Forks reports whether the program has a Fork op, so that the process which
// runs the user's program is not the one that was cloned first.
func (p *Program) Forks() bool {
	for i := range p.Ops {
		if p.Ops[i].Kind == Fork {
			return true
		}
	}
	return false
}
