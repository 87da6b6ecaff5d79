package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Client sends to one journald. It survives journald's restarts: every message is addressed anew.
type Client struct {
	dir    string
	socket *os.File
	deaf   atomic.Bool // the last send has timed out
}

// Open makes a client; dir is where journald has its sockets, "" means DefaultDir. journald need not run.
func Open(dir string) (*Client, error) {
	if dir == "" {
		dir = DefaultDir
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open journal socket: %w", err)
	}
	limit := unix.NsecToTimeval(sendTimeout.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit); err != nil {
		unix.Close(fd) //nolint:errcheck // nothing was written
		return nil, fmt.Errorf("open journal socket: set timeout: %w", err)
	}
	growBuffer(fd)
	return &Client{dir: dir, socket: os.NewFile(uintptr(fd), "journal socket")}, nil
}

// Close closes the client's socket; streams stay.
func (c *Client) Close() error { return c.socket.Close() }

// Field is one more field of an entry.
type Field struct{ Name, Value string }

// Entry is one native record.
type Entry struct {
	Message   string
	MessageID string // 32 hexadecimal digits; names the entry of the catalog
	Priority  Priority
	Fields    []Field
}

// Send writes the entry. It waits a quarter of a second at most, and not at all after it has done so in vain: a journald
// that is stopped would otherwise slow everything down to four events a second. Errors: ErrUnavailable.
func (c *Client) Send(e Entry) error {
	data, err := e.encode()
	if err != nil {
		return fmt.Errorf("write journal record: %w", err)
	}
	to := &unix.SockaddrUnix{Name: c.dir + "/socket"}
	fd := int(c.socket.Fd())
	flags := unix.MSG_NOSIGNAL
	if c.deaf.Load() {
		flags |= unix.MSG_DONTWAIT
	}
	err = retry(func() error { return unix.Sendmsg(fd, data, nil, to, flags) })
	if errors.Is(err, unix.EMSGSIZE) || errors.Is(err, unix.ENOBUFS) {
		err = sendSealed(fd, data, to, flags)
	}
	c.deaf.Store(errors.Is(err, unix.EAGAIN))
	if err != nil {
		return fmt.Errorf("write journal record: %w: %w", ErrUnavailable, err)
	}
	return nil
}

// sendSealed sends what is too large for a datagram as a sealed memfd and nothing else, which journald maps (src/journal/journald-native.c,
// server_process_native_file).
func sendSealed(fd int, data []byte, to unix.Sockaddr, flags int) error {
	mem, err := unix.MemfdCreate("journal-entry", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return fmt.Errorf("memfd: %w", err)
	}
	file := os.NewFile(uintptr(mem), "journal entry")
	defer file.Close() //nolint:errcheck // memory
	if _, err := file.Write(data); err != nil {
		return err
	}
	seals := unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(uintptr(mem), unix.F_ADD_SEALS, seals); err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	return retry(func() error { return unix.Sendmsg(fd, nil, unix.UnixRights(mem), to, flags) })
}

func (e Entry) encode() ([]byte, error) {
	fields := append([]Field{
		{"MESSAGE", e.Message},
		{"MESSAGE_ID", e.MessageID},
		{"PRIORITY", strconv.Itoa(int(e.Priority))},
		{"SYSLOG_IDENTIFIER", filepath.Base(os.Args[0])}, // for "journalctl -t", as sd_journal_send(3) sets it
	}, e.Fields...)
	var out []byte
	for _, f := range fields {
		if f.Value == "" {
			continue
		}
		if !validName(f.Name) {
			return nil, fmt.Errorf("field name %q is not valid", f.Name)
		}
		out = appendField(out, f)
	}
	return out, nil
}

// appendField uses the length-prefixed form where the value has a newline, so that a value is never a field.
func appendField(out []byte, f Field) []byte {
	out = append(out, f.Name...)
	if strings.Contains(f.Value, "\n") {
		out = append(out, '\n')
		out = binary.LittleEndian.AppendUint64(out, uint64(len(f.Value)))
	} else {
		out = append(out, '=')
	}
	return append(append(out, f.Value...), '\n')
}

// validName is journald's rule (src/libsystemd/sd-journal/journal-file.c, journal_field_valid) for clients: no
// leading underscore, which marks the fields that only journald may set.
func validName(name string) bool {
	if name == "" || len(name) > 64 || name[0] < 'A' || name[0] > 'Z' {
		return false
	}
	for i := range len(name) {
		if c := name[i]; (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}
