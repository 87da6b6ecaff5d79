package keeper

import (
	"context"
	"errors"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// ClientConfig configures a Client.
type ClientConfig struct {
	// Path is the keeper's socket.
	Path string
	// OnRecord is called with every change of every process after its launch, in order, from the client's one reader goroutine; nil
	// asks for no records. It must not block long and must not call methods of the Client that wait.
	OnRecord func(Record)
	// OnLost is called once when the connection is lost, from the reader goroutine after the last OnRecord, but not
	// after Close. May be nil.
	OnLost func(error)
}

// Client is a connection to the keeper. Its methods may be called from any goroutine. The errors they return are
// *RemoteError for refusals, ErrLost, the context's error, or those of a system call.
type Client struct {
	cfg     ClientConfig
	file    *os.File // for its poller and deadlines; all I/O goes through conn
	conn    syscall.RawConn
	sending chan struct{} // room for the one sender
	done    chan struct{} // closed when the reader has ended
	strays  sync.WaitGroup

	mu     sync.Mutex
	calls  map[uint32]*call // guarded by mu; nil when the connection is lost
	seq    uint32           // guarded by mu
	lost   error            // guarded by mu
	closed bool             // guarded by mu
}

// Dial connects to the keeper and agrees on the version.
func Dial(ctx context.Context, cfg ClientConfig) (*Client, error) {
	file, err := connect(ctx, cfg.Path)
	if err != nil {
		return nil, wrap("dial keeper", err)
	}
	conn, err := file.SyscallConn()
	if err != nil {
		_ = file.Close()
		return nil, wrap("dial keeper", err)
	}
	c := &Client{
		cfg: cfg, file: file, conn: conn,
		sending: make(chan struct{}, 1), done: make(chan struct{}), calls: map[uint32]*call{},
	}
	go c.read()
	if err := c.hello(ctx); err != nil {
		_ = c.Close()
		return nil, wrap("dial keeper", err)
	}
	return c, nil
}

func (c *Client) hello(ctx context.Context) error {
	r := request{op: opHello, version: Version}
	if c.cfg.OnRecord != nil {
		r.flags = helloRecords
	}
	return c.result(ctx, r, nil, func(d *decoder, _ []int) bool { return d.u32() == Version })
}

// Close ends the connection and waits for the reader. Processes live on. Calls under way fail with ErrLost.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	err := c.file.Close()
	<-c.done
	c.strays.Wait()
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return wrap("close connection to keeper", err)
}

// LaunchRequest is what Launch needs. The files stay the caller's.
type LaunchRequest struct {
	Key     string     // 1 to 255 bytes, not in use
	Plan    *os.File   // a sealed memfd
	Handles []*os.File // in the order of the plan's handles, at most 252
}

// Launched is a process that was started.
type Launched struct {
	PID   int
	PIDFD *os.File // the caller's
}

// Launch starts a plan. It returns when the process exists; how its plan goes on is told by records. If ctx ends
// before the answer is here, a process that is started nevertheless is killed and forgotten; its key is free when it
// has been reaped. After ErrLost the process may exist.
func (c *Client) Launch(ctx context.Context, r LaunchRequest) (Launched, error) {
	if len(r.Key) == 0 || len(r.Key) > maxKey {
		return Launched{}, wrap("launch: key must have 1 to 255 bytes", syscall.EINVAL)
	}
	files := append([]*os.File{r.Plan}, r.Handles...)
	if len(files) > maxRights {
		return Launched{}, wrap("launch: more than 252 handles", syscall.E2BIG)
	}
	var l Launched
	err := c.result(ctx, request{op: opLaunch, key: r.Key}, files, func(d *decoder, fds []int) bool {
		l.PID = int(d.u32())
		l.PIDFD = takePIDFD(d, fds)
		return l.PIDFD != nil
	})
	return l, err
}

// List returns the records of all processes, the oldest first.
func (c *Client) List(ctx context.Context) ([]Record, error) {
	var all []Record
	r := request{op: opList}
	for {
		var page list
		err := c.result(ctx, r, nil, func(d *decoder, _ []int) bool {
			page = d.list()
			return page.next == 0 || page.next > r.after
		})
		if err != nil {
			return nil, err
		}
		all = append(all, page.records...)
		if page.next == 0 {
			return all, nil
		}
		r.after = page.next
	}
}

// Forget drops the record of a process that has exited and frees its key. It refuses (EBUSY) while the process lives.
func (c *Client) Forget(ctx context.Context, key string) error {
	return c.result(ctx, request{op: opForget, key: key, how: forgetExited}, nil, nil)
}

// Kill sends a signal to the process. A process that has exited is ErrNoSuchProcess.
func (c *Client) Kill(ctx context.Context, key string, sig syscall.Signal) error {
	return c.result(ctx, request{op: opKill, key: key, signal: uint32(sig)}, nil, nil)
}

// PIDFD returns a new pidfd of the process. A process that has exited is ErrNoSuchProcess.
func (c *Client) PIDFD(ctx context.Context, key string) (*os.File, error) {
	var f *os.File
	err := c.result(ctx, request{op: opPIDFD, key: key}, nil, func(d *decoder, fds []int) bool {
		f = takePIDFD(d, fds)
		return f != nil
	})
	return f, err
}

// takePIDFD takes the only descriptor of a reply that is at its end. It then belongs to the file.
func takePIDFD(d *decoder, fds []int) *os.File {
	if len(fds) != 1 || d.end() != nil {
		return nil
	}
	f := os.NewFile(uintptr(fds[0]), "pidfd")
	fds[0] = -1
	return f
}

// connect makes a non-blocking socket, so that the runtime's poller serves it and Close wakes the reader.
func connect(ctx context.Context, path string) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, wrap("socket", err)
	}
	if err := connectFD(ctx, fd, path); err != nil {
		closeFD(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}
