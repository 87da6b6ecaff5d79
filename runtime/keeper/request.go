package keeper

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// launch starts a plan.
func (s *server) launch(r *request, fds []int) (e encoder, give []int, refused *refusal) {
	switch {
	case r.key == "":
		return e, nil, refuse(codeFailed, unix.EINVAL, "key is empty")
	case s.processes[r.key] != nil:
		return e, nil, refuseKey(codeExists, r.key)
	case len(s.order) >= s.cfg.MaxProcesses:
		return e, nil, refuse(codeFailed, unix.EAGAIN, strconv.Itoa(len(s.order))+" processes are kept, which is the limit")
	}
	started, err := s.cfg.Launcher.Start(fds[0], fds[1:])
	if err != nil {
		return e, nil, refuse(codeFailed, errnoOf(err), err.Error()) // the creator knows the key, and the step speaks for itself
	}
	p := &process{
		record: Record{Key: r.key, PID: started.PID}, pidfd: started.PIDFD, report: started.Report, describe: started.Describe,
	}
	if err := s.adopt(p); err != nil {
		p.destroy(s)
		return e, nil, refuseError(strconv.Quote(r.key), err)
	}
	e = startReply(opLaunch, r.seq, 1, codeDone)
	e.u32(uint32(started.PID))
	return e, []int{started.PIDFD}, nil
}

// list makes one page.
func (s *server) list(r *request) encoder {
	first, found := s.find(r.after)
	if found {
		first++
	}
	var records encoder
	last := first
	for last < len(s.order) && len(records.b) < pageSize {
		records.record(&s.order[last].record)
		last++
	}
	e := startReply(opList, r.seq, 0, codeDone)
	next := uint64(0)
	if last < len(s.order) {
		next = s.order[last-1].serial
	}
	e.u64(next)
	e.u16(uint16(last - first))
	e.b = append(e.b, records.b...)
	return e
}

func (s *server) forget(r *request) (encoder, *refusal) {
	p := s.processes[r.key]
	switch {
	case p == nil:
		return encoder{}, refuseKey(codeNoSuchProcess, r.key)
	case p.record.Exited:
		s.remove(p)
	case r.how == forgetAndKill:
		p.discard = true
		_ = unix.PidfdSendSignal(p.pidfd, unix.SIGKILL, nil, 0) // ESRCH: it ends by itself just now
	default:
		return encoder{}, refuse(codeFailed, unix.EBUSY, strconv.Quote(r.key)+": process has not exited")
	}
	return startReply(opForget, r.seq, 0, codeDone), nil
}

// alive returns the process if it can still be signalled.
func (s *server) alive(key string) (*process, *refusal) {
	p := s.processes[key]
	if p == nil || p.pidfd < 0 {
		return nil, refuseKey(codeNoSuchProcess, key)
	}
	return p, nil
}

func (s *server) kill(r *request) (encoder, *refusal) {
	p, refused := s.alive(r.key)
	if refused != nil {
		return encoder{}, refused
	}
	err := unix.PidfdSendSignal(p.pidfd, unix.Signal(r.signal), nil, 0)
	if err == unix.ESRCH {
		return encoder{}, refuseKey(codeNoSuchProcess, r.key)
	}
	if err != nil {
		return encoder{}, refuseError(strconv.Quote(r.key), err)
	}
	return startReply(opKill, r.seq, 0, codeDone), nil
}

func (s *server) pidfd(r *request) (encoder, []int, *refusal) {
	p, refused := s.alive(r.key)
	if refused != nil {
		return encoder{}, nil, refused
	}
	return startReply(opPIDFD, r.seq, 1, codeDone), []int{p.pidfd}, nil
}
