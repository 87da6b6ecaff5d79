package launch

import (
	"runtime"
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/runtime/plan"
)

// newChild prepares what the child reads.
func newChild(p *plan.Program, handles []int, report int) *child {
	data := unsafe.SliceData(p.Data)
	for _, r := range p.Relocs {
		*(*uint64)(unsafe.Add(unsafe.Pointer(data), r.At)) = uint64(uintptr(unsafe.Add(unsafe.Pointer(data), r.Target)))
	}
	c := &child{
		flags:  uintptr(p.CloneFlags) | unix.CLONE_PIDFD | uintptr(unix.SIGCHLD),
		pidfd:  -1,
		ops:    unsafe.Pointer(unsafe.SliceData(p.Ops)),
		count:  uintptr(len(p.Ops)),
		data:   unsafe.Pointer(data),
		report: uintptr(report),
		gaps:   gaps(append(slices.Clone(handles), report)),
		limit:  nofile(),
	}
	for i, fd := range handles {
		c.handles = append(c.handles, handle{fd: uintptr(fd), slot: uintptr(p.HandleSlots[i])})
	}
	return c
}

// start forks, and keeps what the child reads alive until it has its copy.
func (c *child) start(p *plan.Program) (pid uintptr, errno syscall.Errno) {
	pid, errno = fork(c)
	runtime.KeepAlive(p)
	runtime.KeepAlive(c)
	return pid, errno
}
