package launch

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/runtime/plan"
)

//go:linkname runtimeBeforeFork syscall.runtime_BeforeFork
func runtimeBeforeFork()

//go:linkname runtimeAfterFork syscall.runtime_AfterFork
func runtimeAfterFork()

//go:linkname runtimeAfterForkInChild syscall.runtime_AfterForkInChild
func runtimeAfterForkInChild()

// child is everything the forked child needs. The parent fills it before the
// fork and keeps it alive over it; the child sees its own copy.
type child struct {
	flags    uintptr // clone flags
	pidfd    int32   // receives the pidfd, in the parent
	ops      unsafe.Pointer
	count    uintptr
	data     unsafe.Pointer
	report   uintptr
	gaps     [][2]uint32 // ranges of fds to close: all but the handles, report and stdio
	handles  []handle
	limit    unix.Rlimit // RLIMIT_NOFILE to give back to the payload
	record   [2]uint64
	left     [2]int32 // a pipe that ends when the forking process has left
	defaults sigaction
}

type handle struct {
	fd   uintptr
	slot uintptr // offset into data
}

// sigaction is the kernel's struct sigaction, all zero: SIG_DFL.
type sigaction struct{ handler, flags, restorer, mask uint64 }

// lastSignal is SIGRTMAX. See signal(7).
const lastSignal = 64

// How often an op with RetryAgain is repeated, and the exit status of a child
// whose plan failed.
const (
	retries    = 128
	exitFailed = 127
)

// fork makes the child. It returns in the parent only.
//
// The child's obligations, from here to execve(2) or exit_group(2):
//   - it calls nothing that may grow the stack, allocate, lock or schedule:
//     every function is nosplit and takes finished data;
//   - it makes system calls by RawSyscall6 only, which tells the scheduler nothing;
//   - it never returns into Go code of the parent.
//
//go:noinline
//go:norace
//go:nosplit
func fork(c *child) (pid uintptr, errno syscall.Errno) {
	runtimeBeforeFork()
	pid, _, errno = syscall.RawSyscall6(unix.SYS_CLONE, c.flags, 0, uintptr(unsafe.Pointer(&c.pidfd)), 0, 0, 0)
	if errno != 0 || pid != 0 {
		runtimeAfterFork()
		return pid, errno
	}
	runtimeAfterForkInChild()
	c.prepare()
	c.run()
	// A plan that ends without execve(2): silence would mean that it succeeded.
	c.fail(c.count-1, syscall.ENOEXEC)
	return 0, 0
}

// prepare shuts the child off from the parent: not dumpable (CVE-2016-9962),
// no fd but the plan's handles, which move above the numbers that the plan
// gives to the payload, and no signal ignored because our own parent did.
//
//go:norace
//go:nosplit
func (c *child) prepare() {
	syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0, 0, 0, 0, 0)
	for i := range c.gaps {
		syscall.RawSyscall6(unix.SYS_CLOSE_RANGE, uintptr(c.gaps[i][0]), uintptr(c.gaps[i][1]), 0, 0, 0, 0)
	}
	floor := uintptr(len(c.handles) + 4)
	for i := range c.handles {
		h := &c.handles[i]
		fd, _, errno := syscall.RawSyscall6(unix.SYS_FCNTL, h.fd, unix.F_DUPFD_CLOEXEC, floor, 0, 0, 0)
		if errno != 0 {
			c.fail(0, errno)
		}
		*(*uint64)(unsafe.Add(c.data, h.slot)) = uint64(fd)
	}
	fd, _, errno := syscall.RawSyscall6(unix.SYS_FCNTL, c.report, unix.F_DUPFD_CLOEXEC, floor, 0, 0, 0)
	if errno != 0 {
		c.fail(0, errno)
	}
	syscall.RawSyscall6(unix.SYS_CLOSE, c.report, 0, 0, 0, 0, 0)
	c.report = fd
	syscall.RawSyscall6(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, uintptr(unsafe.Pointer(&c.limit)), 0, 0, 0)
	for sig := uintptr(1); sig <= lastSignal; sig++ { // those with handlers have theirs taken away already
		syscall.RawSyscall6(unix.SYS_RT_SIGACTION, sig, uintptr(unsafe.Pointer(&c.defaults)), 0, 8, 0, 0)
	}
}

// run is the loop. plan.Decode has checked every offset it uses.
//
//go:norace
//go:nosplit
func (c *child) run() {
	for i := uintptr(0); i < c.count; i++ {
		op := (*plan.Op)(unsafe.Add(c.ops, i*unsafe.Sizeof(plan.Op{})))
		switch op.Kind {
		case plan.Syscall:
			i += c.call(i, op)
		case plan.Branch:
			if *(*int64)(unsafe.Add(c.data, uintptr(op.Args[0]))) < 0 {
				i += uintptr(op.SkipFailed)
			}
		case plan.Fork:
			c.fork(i)
		case plan.Point:
			c.tell(kindReached, 0, op.Args[0])
		default:
			c.fail(i, syscall.Errno(op.Args[0]))
		}
	}
}

// call makes one system call and returns how many ops to skip.
//
//go:norace
//go:nosplit
func (c *child) call(i uintptr, op *plan.Op) uintptr {
	var a [6]uintptr
	for j := 0; j < 6; j++ {
		v := uintptr(op.Args[j])
		switch op.ArgKinds[j] {
		case plan.FromSlot:
			v = uintptr(*(*uint64)(unsafe.Add(c.data, v)))
		case plan.Address:
			v = uintptr(unsafe.Add(c.data, v))
		}
		a[j] = v
	}
	var r uintptr
	var errno syscall.Errno
	for try := 0; ; try++ {
		r, _, errno = syscall.RawSyscall6(uintptr(op.Nr), a[0], a[1], a[2], a[3], a[4], a[5])
		again := errno == syscall.EAGAIN && op.Flags&plan.RetryAgain != 0 && try < retries
		if errno != syscall.EINTR && !again {
			break
		}
	}
	if errno == 0 && r == 0 && op.Flags&plan.NonZero != 0 {
		c.fail(i, syscall.ECANCELED)
	}
	skip := uintptr(op.SkipDone)
	if errno != 0 {
		if !tolerates(op, errno) {
			c.fail(i, errno)
		}
		r, skip = -uintptr(errno), uintptr(op.SkipFailed)
	}
	if op.Slot != plan.NoSlot {
		*(*uint64)(unsafe.Add(c.data, uintptr(op.Slot))) = uint64(r)
	}
	return skip
}

//go:norace
//go:nosplit
func tolerates(op *plan.Op, errno syscall.Errno) bool {
	for j := 0; j < plan.MaxTolerated; j++ {
		if op.Tolerate[j] == uint16(errno) {
			return true
		}
	}
	return false
}

// fork goes on in a sibling, so that namespaces entered "for children" apply.
// CLONE_PARENT keeps the sibling a child of whoever forked us. The sibling's
// PID is told by the one that leaves, since it knows the host's view of it; the
// sibling waits for the end of a pipe that the other holds, so that this is the
// first thing that is told.
//
//go:norace
//go:nosplit
func (c *child) fork(i uintptr) {
	ends := uintptr(unsafe.Pointer(&c.left))
	if _, _, errno := syscall.RawSyscall6(unix.SYS_PIPE2, ends, unix.O_CLOEXEC, 0, 0, 0, 0); errno != 0 {
		c.fail(i, errno)
	}
	pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, unix.CLONE_PARENT|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 {
		c.fail(i, errno)
	}
	if pid != 0 {
		c.tell(kindForked, 0, uint64(pid))
		exit(0)
	}
	syscall.RawSyscall6(unix.SYS_CLOSE, uintptr(c.left[1]), 0, 0, 0, 0, 0)
	for errno = syscall.EINTR; errno == syscall.EINTR; {
		_, _, errno = syscall.RawSyscall6(unix.SYS_READ, uintptr(c.left[0]), uintptr(unsafe.Pointer(&c.record)), 1, 0, 0, 0)
	}
	syscall.RawSyscall6(unix.SYS_CLOSE, uintptr(c.left[0]), 0, 0, 0, 0, 0)
}

// tell writes one record. A report pipe that nobody reads changes nothing.
//
//go:norace
//go:nosplit
func (c *child) tell(kind uint32, op uint32, value uint64) {
	c.record[0] = uint64(kind) | uint64(op)<<32
	c.record[1] = value
	syscall.RawSyscall6(unix.SYS_WRITE, c.report, uintptr(unsafe.Pointer(&c.record)), recordSize, 0, 0, 0)
}

//go:norace
//go:nosplit
func (c *child) fail(i uintptr, errno syscall.Errno) {
	c.tell(kindFailed, uint32(i), uint64(errno))
	exit(exitFailed)
}

//go:norace
//go:nosplit
func exit(status uintptr) {
	for {
		syscall.RawSyscall6(unix.SYS_EXIT_GROUP, status, 0, 0, 0, 0, 0)
	}
}
