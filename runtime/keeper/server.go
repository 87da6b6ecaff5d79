package keeper

import (
	"context"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Launcher starts plans.
type Launcher interface {
	// Start starts the plan in the memfd. The handles stay the caller's; Started is the caller's.
	Start(plan int, handles []int) (Started, error)
}

// Started is a process that has been started.
type Started struct {
	PID      int
	PIDFD    int                                             // close-on-exec
	Report   int                                             // read end of the report pipe, non-blocking, close-on-exec
	Describe func(op int, errno syscall.Errno) (text string) // text for a failed op; may be nil
}

// EventKind is the kind of an Event.
type EventKind uint8

// Kinds of events from a report pipe.
const (
	Reached  EventKind = 1 + iota // a named point
	Failed                        // an op
	Executed                      // end of the pipe without failure
)

// Event is what a process reports of its plan.
type Event struct {
	Kind  EventKind
	Point uint32        // Reached
	Op    int           // Failed
	Errno syscall.Errno // Failed
}

// ServerConfig configures Serve.
type ServerConfig struct {
	Listener  int // listening SOCK_SEQPACKET socket; stays the caller's
	Launcher  Launcher
	ReadEvent func(report int) (Event, error) // EAGAIN: nothing now
	// MaxProcesses (records, exited ones too) and MaxConnections are limits; 0 means 4096 and 32. The process's
	// RLIMIT_NOFILE lowers MaxProcesses where it has to.
	MaxProcesses, MaxConnections int
	Ready                        func()       // called once when connections are served; may be nil
	Log                          func(string) // gets what no client can be told; nil discards
}

// source is what an epoll event belongs to.
type source interface{ ready(s *server) }

// server is the state of Serve; one goroutine has it.
type server struct {
	cfg      ServerConfig
	epoll    int
	sources  map[int32]source
	conns    map[*conn]struct{}
	receiver *receiver

	processes map[string]*process
	order     []*process // by serial
	serial    uint64
}

// Serve serves until ctx ends, which is no error. It leaves the processes alone: their parent is then whoever takes
// the orphans of this one, and their exit statuses are lost.
func Serve(ctx context.Context, cfg ServerConfig) error {
	s, err := newServer(cfg)
	if err != nil {
		return wrap("serve keeper", err)
	}
	defer s.close()
	stop, err := s.stopWith(ctx)
	if err != nil {
		return wrap("serve keeper", err)
	}
	defer stop()
	if cfg.Ready != nil {
		cfg.Ready()
	}
	return wrap("serve keeper", s.loop(ctx))
}

func newServer(cfg ServerConfig) (*server, error) {
	if cfg.MaxProcesses == 0 {
		cfg.MaxProcesses = 4096
	}
	if cfg.MaxConnections == 0 {
		cfg.MaxConnections = 32
	}
	if cfg.Log == nil {
		cfg.Log = func(string) {}
	}
	cfg.MaxProcesses = min(cfg.MaxProcesses, processesByFiles(cfg.MaxConnections))
	s := &server{
		cfg: cfg, sources: map[int32]source{}, conns: map[*conn]struct{}{}, processes: map[string]*process{},
		receiver: newReceiver(maxRequest),
	}
	var err error
	if s.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, wrap("epoll_create1", err)
	}
	err = wrap("set listener non-blocking", unix.SetNonblock(cfg.Listener, true))
	if err == nil {
		err = s.watch(cfg.Listener, unix.EPOLLIN, listener{})
	}
	if err != nil {
		closeFD(s.epoll)
		return nil, err
	}
	return s, nil
}

// processesByFiles is how many processes the limit of open files allows, so that accept(2) and recvmsg(2) never lack a
// descriptor: two per process, two per connection, those of one request, and some that are always there.
func processesByFiles(connections int) int {
	const always = 32
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 1
	}
	files := int(min(limit.Cur, 1<<30))
	return max(1, (files-always-maxRights-2*connections)/2)
}

// stopWith makes the end of ctx wake the loop. The returned function takes that back.
func (s *server) stopWith(ctx context.Context) (func(), error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, wrap("eventfd", err)
	}
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_, _ = unix.Write(fd, []byte{1, 0, 0, 0, 0, 0, 0, 0})
		close(woken)
	})
	release := func() {
		if !stop() {
			<-woken
		}
		closeFD(fd)
	}
	if err := s.watch(fd, unix.EPOLLIN, wakeup{}); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// wakeup is the source that only ends epoll_wait(2).
type wakeup struct{}

func (wakeup) ready(*server) {}

func (s *server) loop(ctx context.Context) error {
	events := make([]unix.EpollEvent, 64) // one round
	for ctx.Err() == nil {
		n, err := unix.EpollWait(s.epoll, events, -1)
		if err != nil && err != unix.EINTR {
			return wrap("epoll_wait", err)
		}
		for _, event := range events[:max(n, 0)] {
			// An event may be of a descriptor that was closed, or even used again, earlier in this round. All sources
			// take a wake-up without cause.
			if source := s.sources[event.Fd]; source != nil {
				source.ready(s)
			}
		}
		for c := range s.conns {
			c.flush(s)
		}
	}
	return nil
}

func (s *server) watch(fd int, events uint32, source source) error {
	event := unix.EpollEvent{Events: events, Fd: int32(fd)}
	if err := unix.EpollCtl(s.epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		return wrap("epoll_ctl", err)
	}
	s.sources[int32(fd)] = source
	return nil
}

// drop closes a watched descriptor. It leaves the epoll set first: a duplicate in a child that has not closed it yet
// would keep it there.
func (s *server) drop(fd int) {
	if fd < 0 {
		return
	}
	_ = unix.EpollCtl(s.epoll, unix.EPOLL_CTL_DEL, fd, nil)
	delete(s.sources, int32(fd))
	closeFD(fd)
}

func (s *server) close() {
	for c := range s.conns {
		c.close(s)
	}
	for _, p := range s.order {
		s.drop(p.pidfd)
		s.drop(p.report)
	}
	closeFD(s.epoll)
}

// publish tells every subscriber at the end of the round.
func (s *server) publish(p *process) {
	for c := range s.conns {
		c.mark(p)
	}
}

// listener accepts connections.
type listener struct{}

func (listener) ready(s *server) {
	fd, _, err := unix.Accept4(s.cfg.Listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	if err != nil {
		if err != unix.EAGAIN && err != unix.EINTR && err != unix.ECONNABORTED {
			s.cfg.Log("accept connection: " + err.Error())
		}
		return
	}
	if err := s.admit(fd); err != nil {
		s.cfg.Log("refuse connection: " + err.Error())
		closeFD(fd)
	}
}

// admit checks the peer with SO_PEERCRED, which tells who called connect(2). See unix(7).
func (s *server) admit(fd int) error {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return wrap("get peer credentials", err)
	}
	if cred.Uid != 0 {
		return wrap("process "+strconv.Itoa(int(cred.Pid))+" of uid "+strconv.Itoa(int(cred.Uid)), unix.EPERM)
	}
	if len(s.conns) >= s.cfg.MaxConnections {
		return wrap(strconv.Itoa(len(s.conns))+" connections are open", unix.EUSERS)
	}
	c := &conn{fd: fd, awaiting: unix.EPOLLIN}
	if err := s.watch(fd, unix.EPOLLIN, c); err != nil {
		return err
	}
	s.conns[c] = struct{}{}
	return nil
}
