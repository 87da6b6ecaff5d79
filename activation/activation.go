// Package activation takes descriptors that the service manager passed and tells it how the service is.
//
// Environment and descriptors come in as parameters; only cmd reads them from the process. Not running under systemd
// is os.ErrNotExist when descriptors are asked for, and a nil Notifier that does nothing. See sd_listen_fds(3) and
// sd_notify(3).
package activation

import (
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// firstFD is SD_LISTEN_FDS_START.
const firstFD = 3

// defaultName is what systemd calls a descriptor without a name.
const defaultName = "unknown"

// Environment is what systemd says about the descriptors, as in the variables of the process.
type Environment struct {
	PID   string // LISTEN_PID
	FDs   string // LISTEN_FDS
	Names string // LISTEN_FDNAMES
}

// ReadEnvironment reads the three variables, for example with os.Getenv.
func ReadEnvironment(getenv func(string) string) Environment {
	return Environment{PID: getenv("LISTEN_PID"), FDs: getenv("LISTEN_FDS"), Names: getenv("LISTEN_FDNAMES")}
}

// FD is one passed descriptor. It belongs to whoever takes it from FDs.
type FD struct {
	Number int
	Name   string
}

// FDs are all passed descriptors in the order of their numbers. Names may repeat.
type FDs []FD

// Passed lists the descriptors passed to the process pid, and makes each close-on-exec. If nothing was passed, or it
// was passed to another process, the error is os.ErrNotExist. A number that is not open is an error.
func Passed(env Environment, pid int) (FDs, error) {
	if env.PID == "" || env.FDs == "" {
		return nil, os.ErrNotExist
	}
	owner, err := strconv.Atoi(env.PID)
	if err != nil {
		return nil, wrap("parse LISTEN_PID", err)
	}
	if owner != pid {
		return nil, os.ErrNotExist
	}
	n, err := strconv.Atoi(env.FDs)
	if err != nil {
		return nil, wrap("parse LISTEN_FDS", err)
	}
	if n < 0 || n > 1<<20 {
		return nil, wrap("parse LISTEN_FDS "+strconv.Quote(env.FDs), strconv.ErrRange)
	}
	if n == 0 {
		return nil, os.ErrNotExist
	}
	names, err := splitNames(env.Names, n)
	if err != nil {
		return nil, err
	}
	fds := make(FDs, n)
	for i, name := range names {
		fds[i] = FD{Number: firstFD + i, Name: name}
		if _, err := unix.FcntlInt(uintptr(firstFD+i), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
			return nil, wrap("take "+fds[i].String(), err)
		}
	}
	return fds, nil
}

// splitNames is strict in the count, as sd_listen_fds_with_names(3).
func splitNames(names string, n int) ([]string, error) {
	var list []string
	if names == "" {
		list = make([]string, n)
	} else {
		list = strings.Split(names, ":")
	}
	if len(list) != n {
		return nil, wrap("parse LISTEN_FDNAMES "+strconv.Quote(names),
			errors.New(strconv.Itoa(len(list))+" names for "+strconv.Itoa(n)+" descriptors"))
	}
	for i, name := range list {
		if name == "" {
			list[i] = defaultName
		}
	}
	return list, nil
}

// Named returns those of the name.
func (s FDs) Named(name string) FDs {
	var named FDs
	for _, fd := range s {
		if fd.Name == name {
			named = append(named, fd)
		}
	}
	return named
}

// One returns the descriptor of the name and checks its kind. None is os.ErrNotExist; two are an error.
func (s FDs) One(name string, kind Kind) (FD, error) {
	named := s.Named(name)
	switch len(named) {
	case 0:
		return FD{}, wrap("take passed fd "+strconv.Quote(name), os.ErrNotExist)
	case 1:
		return named[0], named[0].Expect(kind)
	}
	return FD{}, wrap("take passed fd "+strconv.Quote(name), errors.New(strconv.Itoa(len(named))+" have that name, want one"))
}

// Expect is an error that names number, name and kind, unless the descriptor is of the kind.
func (f FD) Expect(kind Kind) error {
	got, err := KindOf(f.Number)
	if err != nil {
		return wrap("inspect "+f.String(), err)
	}
	if got != kind {
		return &KindError{FD: f, Kind: got, Want: kind}
	}
	return nil
}

// String is `passed fd 3 "keeper"`.
func (f FD) String() string {
	return "passed fd " + strconv.Itoa(f.Number) + " " + strconv.Quote(f.Name)
}

// KindError is a passed descriptor of the wrong kind.
type KindError struct {
	FD         FD
	Kind, Want Kind
}

// Error names number, name, kind and the kind that is wanted.
func (e *KindError) Error() string {
	return e.FD.String() + " is a " + string(e.Kind) + ", want a " + string(e.Want)
}

// opError stands in for fmt.Errorf, which would be resident memory of the keeper.
type opError struct {
	op  string
	err error
}

func (e *opError) Error() string { return e.op + ": " + e.err.Error() }
func (e *opError) Unwrap() error { return e.err }

func wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return &opError{op, err}
}
