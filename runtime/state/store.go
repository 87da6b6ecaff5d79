package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Errors of a Store, to be tested with errors.Is.
var (
	ErrExists = errors.New("record exists")
	ErrLocked = errors.New("state directory is in use by another process")
)

const (
	recordName = "state.json"
	tempName   = "state.json.new"
	fifoName   = "start"
	lockName   = ".lock"
)

// Store is the directory of all records. Calls for different ids may run at the same time; those for one id are
// the caller's to order.
type Store struct {
	path string
	lock *os.File
}

// Open makes the directory if need be and takes its lock, which the kernel frees with the process (flock(2)).
// Errors: ErrLocked.
func Open(path string) (*Store, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("make state directory: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(path, lockName), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock of state directory: %w", err)
	}
	err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return &Store{path: path, lock: lock}, nil
	}
	lock.Close() //nolint:errcheck // nothing was written
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, fmt.Errorf("lock %q: %w", path, ErrLocked)
	}
	return nil, fmt.Errorf("lock %q: %w", path, err)
}

// Close frees the lock.
func (s *Store) Close() error { return s.lock.Close() }

// Reserve makes the directory of a new container and its first record. Errors: ErrExists.
func (s *Store) Reserve(r Record) error {
	err := os.Mkdir(s.dir(r.ID), 0o700)
	switch {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("reserve %q: %w", r.ID, ErrExists)
	case err != nil:
		return fmt.Errorf("reserve %q: %w", r.ID, err)
	}
	if err := s.Save(r); err != nil {
		return errors.Join(err, s.Remove(r.ID))
	}
	return nil
}

// Save replaces the record of a reserved id: a reader sees the old one or the new one, whatever happens.
func (s *Store) Save(r Record) error {
	r.Version = Version
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write record of %q: %w", r.ID, err)
	}
	temp := filepath.Join(s.dir(r.ID), tempName)
	if err := writeSynced(temp, append(data, '\n')); err != nil {
		return fmt.Errorf("write record of %q: %w", r.ID, err)
	}
	if err := os.Rename(temp, filepath.Join(s.dir(r.ID), recordName)); err != nil {
		return fmt.Errorf("write record of %q: %w", r.ID, err)
	}
	return nil
}

// writeSynced leaves the directory unsynced on purpose: the rename may be lost with the machine, and with the
// machine the containers are, too.
func writeSynced(path string, data []byte) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Sync()
}

// Load reads one record. Errors: fs.ErrNotExist, ErrDamaged.
func (s *Store) Load(id string) (Record, error) {
	data, err := os.ReadFile(filepath.Join(s.dir(id), recordName))
	if err != nil {
		return Record{}, fmt.Errorf("read record of %q: %w", id, err)
	}
	return decode(id, data)
}

// IDs lists every reserved id, sorted, those without a record included.
func (s *Store) IDs() ([]string, error) {
	entries, err := os.ReadDir(s.path)
	if err != nil {
		return nil, fmt.Errorf("list state directory: %w", err)
	}
	var ids []string
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			ids = append(ids, e.Name())
		}
	}
	return ids, nil
}

// Remove frees the id. The record goes last, so that an interrupted Remove is seen as what it was.
func (s *Store) Remove(id string) error {
	for _, name := range []string{fifoName, tempName, recordName, ""} {
		if err := os.Remove(filepath.Join(s.dir(id), name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove record of %q: %w", id, err)
		}
	}
	return nil
}

// Path is the directory of the id.
func (s *Store) Path(id string) string { return s.dir(id) }

func (s *Store) dir(id string) string { return filepath.Join(s.path, id) }
