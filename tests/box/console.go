package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// consoleTail is how much of the console an error message shows.
const consoleTail = 4096

// console is the terminal on /dev/console of the box. systemd logs there until it has a journal, and only to a
// terminal (open_terminal in src/basic/terminal-util.c), so a pipe would lose why a boot went wrong.
type console struct {
	master, slave *os.File
	drained       chan struct{} // closed when nobody has the terminal any more
	show          io.Writer

	mu   sync.Mutex
	last []byte // guarded by mu: the last consoleTail bytes
}

func openConsole(show io.Writer) (*console, error) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, fmt.Errorf("open console: %w", err)
	}
	slave, err := openPeer(master)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open console: %w", err), master.Close())
	}
	c := &console{master: master, slave: slave, show: show, drained: make(chan struct{})}
	go c.drain()
	return c, nil
}

// openPeer opens the terminal of a master. See pts(4), ioctl_tty(2).
func openPeer(master *os.File) (*os.File, error) {
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, fmt.Errorf("unlock terminal: %w", err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return nil, fmt.Errorf("name terminal: %w", err)
	}
	return os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
}

// drain reads until the last descriptor of the terminal is closed, when reading fails with EIO.
func (c *console) drain() {
	defer close(c.drained)
	buffer := make([]byte, 4096)
	for {
		n, err := c.master.Read(buffer)
		if err != nil {
			return
		}
		c.show.Write(buffer[:n]) //nolint:errcheck // a lost line of the console is no reason to end
		c.mu.Lock()
		c.last = append(c.last, buffer[:n]...)
		c.last = c.last[max(0, len(c.last)-consoleTail):]
		c.mu.Unlock()
	}
}

// tail gives the end of the console as an appendix to an error text.
func (c *console) tail() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.last) == 0 {
		return ""
	}
	return "\nthe end of its console:\n" + string(c.last)
}

// close waits for the last output. The box must have ended.
func (c *console) close() error {
	err := c.slave.Close()
	<-c.drained
	return errors.Join(err, c.master.Close())
}
