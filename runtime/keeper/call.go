package keeper

import (
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// call is a request that waits for its reply.
type call struct {
	request   request
	reply     chan reply // room for one, so that the reader never waits
	abandoned bool       // guarded by Client.mu: nobody takes the reply
}

type reply struct {
	body []byte
	fds  []int // owned by whoever holds the reply
	err  error
}

// result does a request and lets take decode the result; take may be nil if there is nothing to take. Descriptors that
// take has not set to -1 are closed.
func (c *Client) result(ctx context.Context, r request, files []*os.File, take func(*decoder, []int) bool) error {
	answer, err := c.do(ctx, r, files)
	if err != nil {
		return err
	}
	defer func() { closeAll(answer.fds) }()
	d, err := decodeReply(r.op, answer.body)
	if err == nil && (take != nil && !take(d, answer.fds) || d.end() != nil) {
		err = errMalformed
	}
	if errors.Is(err, errMalformed) {
		_ = c.file.Close() // the stream of replies cannot be trusted any more
		return &lostError{wrap("reply to "+r.op.String(), err)}
	}
	return err
}

// do sends a request and waits for its reply.
func (c *Client) do(ctx context.Context, r request, files []*os.File) (reply, error) {
	if err := ctx.Err(); err != nil {
		return reply{}, err
	}
	call := &call{request: r, reply: make(chan reply, 1)}
	if err := c.register(call); err != nil {
		return reply{}, err
	}
	packet := call.request.encode(len(files))
	err := withFDs(files, nil, func(fds []int) error { return c.send(ctx, packet, fds) })
	if err != nil {
		c.unregister(call)
		return reply{}, err
	}
	select {
	case answer := <-call.reply:
		return answer, answer.err
	case <-ctx.Done():
	}
	if c.abandon(call) {
		return reply{}, ctx.Err()
	}
	answer := <-call.reply // it was just in time
	return answer, answer.err
}

// register gives the call its sequence number.
func (c *Client) register(call *call) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls == nil {
		return c.lost
	}
	c.seq++
	for c.calls[c.seq] != nil {
		c.seq++
	}
	call.request.seq = c.seq
	c.calls[c.seq] = call
	return nil
}

// unregister drops a call whose request was not sent.
func (c *Client) unregister(call *call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.calls, call.request.seq)
}

// abandon leaves the call to the reader; false if the reply is already there.
func (c *Client) abandon(call *call) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	call.abandoned = c.calls[call.request.seq] == call
	return call.abandoned
}

// send writes one packet. A packet goes whole or not at all, so after an error the keeper has not seen it.
func (c *Client) send(ctx context.Context, packet []byte, fds []int) error {
	select {
	case c.sending <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-c.sending }()
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = c.file.SetWriteDeadline(time.Unix(1, 0))
		close(interrupted)
	})
	var err error
	waitErr := c.conn.Write(func(socket uintptr) bool {
		err = send(int(socket), packet, fds)
		return err != unix.EAGAIN
	})
	if !stop() {
		<-interrupted
		_ = c.file.SetWriteDeadline(time.Time{})
	}
	switch {
	case errors.Is(waitErr, os.ErrDeadlineExceeded):
		return ctx.Err()
	case waitErr != nil:
		return &lostError{waitErr}
	case err == unix.EPIPE || err == unix.ECONNRESET || err == unix.ENOTCONN:
		return &lostError{err}
	}
	return wrap("send request to keeper", err)
}

// read is the one reader. It ends with the connection.
func (c *Client) read() {
	r := newReceiver(maxPacket)
	var err error
	for err == nil {
		var packet []byte
		var fds []int
		if packet, fds, err = c.receive(r); err == nil {
			err = c.dispatch(packet, fds)
		}
	}
	c.fail(err)
}

func (c *Client) receive(r *receiver) (packet []byte, fds []int, err error) {
	waitErr := c.conn.Read(func(socket uintptr) bool {
		packet, fds, err = r.receive(int(socket))
		return err != unix.EAGAIN
	})
	if waitErr != nil {
		return nil, nil, waitErr
	}
	if err == io.EOF {
		err = errors.New("keeper has closed it")
	}
	return packet, fds, err
}

// dispatch hands a packet on; it owns fds.
func (c *Client) dispatch(packet []byte, fds []int) error {
	d := decoder{b: packet}
	kind, seq := d.header(len(fds))
	if d.bad || kind != kindRecord && kind&kindReply == 0 {
		closeAll(fds)
		return errMalformed
	}
	if kind == kindRecord {
		closeAll(fds)
		record := d.record()
		if err := d.end(); err != nil || c.cfg.OnRecord == nil {
			return err
		}
		c.cfg.OnRecord(record)
		return nil
	}
	c.mu.Lock()
	call := c.calls[seq]
	if call == nil || opcode(kind&^kindReply) != call.request.op {
		c.mu.Unlock()
		closeAll(fds)
		return errMalformed
	}
	delete(c.calls, seq)
	abandoned := call.abandoned
	if !abandoned {
		call.reply <- reply{body: append([]byte(nil), d.b...), fds: fds}
	}
	c.mu.Unlock()
	if abandoned {
		c.discard(call, d.b, fds)
	}
	return nil
}

// discard undoes what an abandoned call has done: nobody knows of the process, so nobody would end it.
func (c *Client) discard(call *call, body []byte, fds []int) {
	closeAll(fds)
	if call.request.op != opLaunch {
		return
	}
	if _, err := decodeReply(opLaunch, body); err != nil {
		return
	}
	// Not from the reader: the keeper may wait for us to read before it reads.
	c.strays.Go(func() {
		r := request{op: opForget, key: call.request.key, how: forgetAndKill}
		_ = c.result(context.Background(), r, nil, nil) // ends with the connection at the latest
	})
}

// fail ends all calls.
func (c *Client) fail(cause error) {
	lost := &lostError{cause}
	c.mu.Lock()
	calls, closed := c.calls, c.closed
	c.calls, c.lost = nil, lost
	c.mu.Unlock()
	for _, call := range calls {
		call.reply <- reply{err: lost}
	}
	_ = c.file.Close()
	if !closed && c.cfg.OnLost != nil {
		c.cfg.OnLost(lost)
	}
	close(c.done)
}

// withFDs calls f with the descriptors of all files, which cannot be closed meanwhile. File.Fd would make them blocking.
func withFDs(files []*os.File, fds []int, f func(fds []int) error) error {
	if len(files) == 0 {
		return f(fds)
	}
	conn, err := files[0].SyscallConn()
	if err != nil {
		return wrap("pass file "+strconv.Itoa(len(fds))+" to keeper", err)
	}
	controlErr := conn.Control(func(fd uintptr) {
		err = withFDs(files[1:], append(fds, int(fd)), f)
	})
	if controlErr != nil {
		return wrap("pass file "+strconv.Itoa(len(fds))+" to keeper", controlErr)
	}
	return err
}

// connectFD waits while the listener's backlog is full, which a non-blocking connect(2) tells by EAGAIN.
func connectFD(ctx context.Context, fd int, path string) error {
	const pause = 5 * time.Millisecond
	for {
		err := retry(func() error { return unix.Connect(fd, &unix.SockaddrUnix{Name: path}) })
		if err != unix.EAGAIN {
			return wrap("connect to "+strconv.Quote(path), err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}
