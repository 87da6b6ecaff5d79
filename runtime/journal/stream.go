package journal

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// DefaultDir is where journald has its sockets.
const DefaultDir = "/run/systemd/journal"

// sendTimeout bounds how long a journald that does not read can hold us up.
const sendTimeout = 250 * time.Millisecond

// sendBuffer is what systemd gives its own services (src/core/execute.c, connect_logger_as: SNDBUF_SIZE).
const sendBuffer = 8 << 20

// ErrUnavailable is for a journald that is not there or does not answer.
var ErrUnavailable = errors.New("journald is unavailable")

// Priority is a syslog priority, 0 to 7.
type Priority int

// The priorities used here.
const (
	Warning Priority = 4
	Notice  Priority = 5
	Info    Priority = 6
)

// StreamConfig describes a stream. Neither text may contain a newline.
type StreamConfig struct {
	Identifier string // SYSLOG_IDENTIFIER of its lines
	Unit       string // for the lines of processes that journald cannot find a unit for any more
	Priority   Priority
}

// Stream connects a stream for a program to write lines to. The file is blocking, close-on-exec, and the caller's;
// it serves stdout and stderr at once, which keeps the order of their lines. A "<3>" at the start of a line is not
// taken for a priority: what a container writes is text. Errors: ErrUnavailable.
func (c *Client) Stream(cfg StreamConfig) (*os.File, error) {
	if strings.ContainsAny(cfg.Identifier+cfg.Unit, "\n\x00") {
		return nil, fmt.Errorf("open journal stream of %q: identifier or unit contains a newline", cfg.Identifier)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open journal stream: %w", err)
	}
	file := os.NewFile(uintptr(fd), "journal stream of "+cfg.Identifier)
	if err := openStream(fd, c.dir+"/stdout", cfg.header()); err != nil {
		file.Close() //nolint:errcheck // nothing was written
		return nil, fmt.Errorf("open journal stream of %q: %w: %w", cfg.Identifier, ErrUnavailable, err)
	}
	return file, nil
}

// header is read by journald's stdout_stream_line (src/journal/journald-stream.c): identifier, unit, priority,
// whether lines have a level prefix, and whether to forward to syslog, kmsg and console.
func (cfg StreamConfig) header() string {
	return cfg.Identifier + "\n" + cfg.Unit + "\n" + strconv.Itoa(int(cfg.Priority)) + "\n0\n0\n0\n0\n"
}

func openStream(fd int, path, header string) error {
	limit := unix.NsecToTimeval(sendTimeout.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit); err != nil {
		return fmt.Errorf("set timeout: %w", err)
	}
	if err := retry(func() error { return unix.Connect(fd, &unix.SockaddrUnix{Name: path}) }); err != nil {
		return fmt.Errorf("connect %q: %w", path, err)
	}
	if err := unix.Shutdown(fd, unix.SHUT_RD); err != nil {
		return fmt.Errorf("shut down reading: %w", err)
	}
	growBuffer(fd)
	// A stream's first message of this size is taken whole or not at all.
	if err := retry(func() error { return unix.Sendto(fd, []byte(header), unix.MSG_NOSIGNAL, nil) }); err != nil {
		return fmt.Errorf("write header: %w", err)
	}
	// The timeout was ours; the program's writes block as those to any log do.
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{}); err != nil {
		return fmt.Errorf("clear timeout: %w", err)
	}
	return nil
}

// growBuffer asks for as much as we may have; less works too, so the second error is ignored.
func growBuffer(fd int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, sendBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer)
	}
}

func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
