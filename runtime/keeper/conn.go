package keeper

import (
	"io"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// conn is one client's connection at the server. It never blocks: at most one reply waits, and while it does no
// request is read; records wait as a set of processes, whose newest state is sent when the client reads again.
type conn struct {
	fd       int
	greeted  bool
	records  bool       // wants records
	ending   bool       // closes when the reply is sent
	reply    *outgoing  // waits for room
	dirty    []*process // to be sent, in the order of their first change
	awaiting uint32     // epoll events asked for
}

// outgoing is a packet that waits. It owns its descriptors.
type outgoing struct {
	packet []byte
	fds    []int
}

// ready reads one request. It is one, not all, so that no client starves the others; epoll tells again.
func (c *conn) ready(s *server) {
	if c.reply != nil {
		return // flush follows
	}
	packet, fds, err := s.receiver.receive(c.fd)
	if err == unix.EAGAIN {
		return
	}
	var r request
	if err == nil {
		r, err = decodeRequest(packet, len(fds))
	}
	if err == nil && c.greeted == (r.op == opHello) {
		err = errMalformed
	}
	if err != nil {
		closeAll(fds)
		if err != io.EOF && err != unix.ECONNRESET {
			s.cfg.Log("close connection: " + err.Error())
		}
		c.close(s)
		return
	}
	c.serve(s, &r, fds)
	closeAll(fds)
}

// serve does a request and answers. fds stay the caller's.
func (c *conn) serve(s *server, r *request, fds []int) {
	var refused *refusal
	var e encoder
	var give []int
	switch r.op {
	case opHello:
		e, refused = c.hello(r)
	case opLaunch:
		e, give, refused = s.launch(r, fds)
	case opList:
		e = s.list(r)
	case opForget:
		e, refused = s.forget(r)
	case opKill:
		e, refused = s.kill(r)
	case opPIDFD:
		e, give, refused = s.pidfd(r)
	}
	packet := e.b
	if refused != nil {
		packet, give = encodeRefusal(r.op, r.seq, refused), nil
	}
	c.answer(s, packet, give)
}

func (c *conn) hello(r *request) (encoder, *refusal) {
	if r.version != Version {
		c.ending = true
		return encoder{}, refuse(codeVersion, 0, "version "+strconv.Itoa(int(r.version))+" is not spoken here, only "+strconv.Itoa(Version))
	}
	c.greeted = true
	c.records = r.flags&helloRecords != 0
	e := startReply(opHello, r.seq, 0, codeDone)
	e.u32(Version)
	return e, nil
}

// answer sends a reply, or keeps it. fds stay the caller's.
func (c *conn) answer(s *server, packet []byte, fds []int) {
	err := send(c.fd, packet, fds)
	if err != unix.EAGAIN {
		c.sent(s, err)
		return
	}
	c.reply = &outgoing{packet: packet}
	for _, fd := range fds {
		// The process may end and its pidfd be closed while the reply waits.
		own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			c.close(s)
			return
		}
		c.reply.fds = append(c.reply.fds, own)
	}
}

// sent ends a connection that is broken or was to end.
func (c *conn) sent(s *server, err error) {
	if err != nil || c.ending {
		c.close(s)
	}
}

// mark notes that p has changed.
func (c *conn) mark(p *process) {
	if c.records && !slices.Contains(c.dirty, p) {
		c.dirty = append(c.dirty, p)
	}
}

// unmark is for a process whose record is dropped.
func (c *conn) unmark(p *process) {
	if i := slices.Index(c.dirty, p); i >= 0 {
		c.dirty = slices.Delete(c.dirty, i, i+1)
	}
}

// flush sends what waits, as far as there is room, and asks epoll for what is needed next.
func (c *conn) flush(s *server) {
	var err error
	if c.reply != nil {
		if err = send(c.fd, c.reply.packet, c.reply.fds); err == nil {
			closeAll(c.reply.fds)
			c.reply = nil
		}
	}
	n := 0
	for ; err == nil && n < len(c.dirty); n++ {
		if err = send(c.fd, encodeRecord(&c.dirty[n].record), nil); err != nil {
			break
		}
	}
	c.dirty = slices.Delete(c.dirty, 0, n)
	if err != nil && err != unix.EAGAIN || c.ending && c.reply == nil {
		c.close(s)
		return
	}
	c.await(s)
}

func (c *conn) await(s *server) {
	want := uint32(unix.EPOLLIN)
	if c.reply != nil {
		want = unix.EPOLLOUT
	} else if len(c.dirty) > 0 {
		want |= unix.EPOLLOUT
	}
	if want == c.awaiting {
		return
	}
	event := unix.EpollEvent{Events: want, Fd: int32(c.fd)}
	if err := unix.EpollCtl(s.epoll, unix.EPOLL_CTL_MOD, c.fd, &event); err != nil {
		c.close(s)
		return
	}
	c.awaiting = want
}

// close ends the connection; what the client has started lives on. shutdown(2) reaches the client even while a child
// that was just forked has a duplicate.
func (c *conn) close(s *server) {
	if c.fd < 0 {
		return
	}
	_ = unix.Shutdown(c.fd, unix.SHUT_RDWR)
	s.drop(c.fd)
	if c.reply != nil {
		closeAll(c.reply.fds)
	}
	delete(s.conns, c)
	c.fd = -1
}
