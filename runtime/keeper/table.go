package keeper

import (
	"slices"

	"golang.org/x/sys/unix"
)

// adopt keeps a process and watches it. The pidfd is edge-triggered: for a zombie that a tracer holds it stays readable
// and would spin the loop; the kernel wakes it again when the tracer lets go (do_notify_parent in kernel/signal.c).
func (s *server) adopt(p *process) error {
	if err := s.watch(p.pidfd, unix.EPOLLIN|unix.EPOLLET, p); err != nil {
		return err
	}
	if err := s.watch(p.report, unix.EPOLLIN, p); err != nil {
		return err
	}
	s.serial++
	p.serial = s.serial
	s.processes[p.record.Key] = p
	s.order = append(s.order, p)
	return nil
}

// destroy undoes a start that cannot be watched.
func (p *process) destroy(s *server) {
	_ = unix.PidfdSendSignal(p.pidfd, unix.SIGKILL, nil, 0)
	_ = retry(func() error { _, err := unix.Wait4(p.record.PID, nil, unix.WALL, nil); return err })
	s.drop(p.pidfd)
	s.drop(p.report)
}

// remove drops a record and frees its key.
func (s *server) remove(p *process) {
	delete(s.processes, p.record.Key)
	if i, ok := s.find(p.serial); ok {
		s.order = slices.Delete(s.order, i, i+1)
	}
	for c := range s.conns {
		c.unmark(p)
	}
}

// find gives the position in order of a serial, or of the first after it.
func (s *server) find(serial uint64) (int, bool) {
	return slices.BinarySearchFunc(s.order, serial, func(p *process, want uint64) int {
		switch {
		case p.serial < want:
			return -1
		case p.serial > want:
			return 1
		}
		return 0
	})
}
