package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrNobodyWaits is for a start FIFO that no process has open: the container is gone.
var ErrNobodyWaits = errors.New("no process waits on the start FIFO")

// MakeFIFO makes the start FIFO of a reserved id and opens it for the child. O_RDWR, because then the child neither
// waits for a writer nor sees the end of the file when one leaves (fifo(7)): only a byte lets it go on, from
// whatever process, also from one that did not exist when the child began to wait.
func (s *Store) MakeFIFO(id string) (*os.File, error) {
	path := filepath.Join(s.dir(id), fifoName)
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return nil, fmt.Errorf("make start FIFO %q: %w", path, err)
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("open start FIFO %q: %w", path, err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

// WriteStart lets the child that waits on the start FIFO go on. Errors: ErrNobodyWaits.
func (s *Store) WriteStart(id string) error {
	path := filepath.Join(s.dir(id), fifoName)
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	switch {
	case errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENOENT):
		return fmt.Errorf("open start FIFO %q: %w", path, ErrNobodyWaits)
	case err != nil:
		return fmt.Errorf("open start FIFO %q: %w", path, err)
	}
	defer unix.Close(fd) //nolint:errcheck // the write has told
	return writeByte(fd, path)
}

// writeByte tells a reader that left since the open, killed or executed, as none at all.
func writeByte(fd int, path string) error {
	_, err := unix.Write(fd, []byte{1})
	switch {
	case errors.Is(err, unix.EPIPE):
		return fmt.Errorf("write start FIFO %q: %w", path, ErrNobodyWaits)
	case err != nil:
		return fmt.Errorf("write start FIFO %q: %w", path, err)
	}
	return nil
}
