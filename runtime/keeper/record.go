package keeper

import "syscall"

// Record is all that the keeper knows of one process. Events and List both carry whole Records.
type Record struct {
	// Key is the name the brain gave in Launch, at most 255 bytes.
	Key string
	// PID of the process in the keeper's PID namespace; after Exited it may belong to another process.
	PID int
	// Point is the last named point of the plan that was reached; 0 for none.
	Point uint32
	// Failed tells that op FailedOp of the plan failed with Errno; Text says it for people.
	Failed   bool
	FailedOp int
	Errno    syscall.Errno
	Text     string
	// Executed tells that the user's program was executed. It stays false for a process killed before.
	Executed bool
	// Exited tells that the process was reaped. Code is its exit code; for a process ended by a signal Code is -1,
	// Signal is its number. Code -1 and Signal 0: somebody else took the status.
	Exited     bool
	Code       int
	Signal     int
	CoreDumped bool
	// CPUTimeUSec (µs) and MaxRSSBytes are those of the process and the children it waited for; see getrusage(2).
	CPUTimeUSec uint64
	MaxRSSBytes uint64
	// StartedUSec and FinishedUSec are CLOCK_REALTIME in µs of the exec and of the exit; 0 before.
	StartedUSec  uint64
	FinishedUSec uint64
}

const (
	flagFailed = 1 << iota
	flagExecuted
	flagExited
	flagCoreDumped
	flagsEnd
)

func (r *Record) flags() (f uint8) {
	if r.Failed {
		f |= flagFailed
	}
	if r.Executed {
		f |= flagExecuted
	}
	if r.Exited {
		f |= flagExited
	}
	if r.CoreDumped {
		f |= flagCoreDumped
	}
	return f
}

// maxText bounds the text of a record or refusal, so that a page of records has a bound.
const maxText = 4096

func (e *encoder) record(r *Record) {
	e.str8(r.Key)
	e.u32(uint32(r.PID))
	e.u32(r.Point)
	e.u8(r.flags())
	e.u32(uint32(r.FailedOp))
	e.u32(uint32(r.Errno))
	e.str16(r.Text)
	e.u32(uint32(int32(r.Code)))
	e.u32(uint32(r.Signal))
	e.u64(r.CPUTimeUSec)
	e.u64(r.MaxRSSBytes)
	e.u64(r.StartedUSec)
	e.u64(r.FinishedUSec)
}

func (d *decoder) record() Record {
	r := Record{Key: d.str8(), PID: int(d.u32()), Point: d.u32()}
	f := d.u8()
	if f >= flagsEnd {
		d.bad = true
	}
	r.Failed, r.Executed, r.Exited, r.CoreDumped = f&flagFailed != 0, f&flagExecuted != 0, f&flagExited != 0, f&flagCoreDumped != 0
	r.FailedOp = int(d.u32())
	r.Errno = syscall.Errno(d.u32())
	r.Text = d.str16()
	r.Code = int(int32(d.u32()))
	r.Signal = int(d.u32())
	r.CPUTimeUSec, r.MaxRSSBytes = d.u64(), d.u64()
	r.StartedUSec, r.FinishedUSec = d.u64(), d.u64()
	return r
}
