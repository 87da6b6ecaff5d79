package keeper

import (
	"errors"
	"strconv"
	"syscall"
)

// Errors of a Client, to be tested with errors.Is.
var (
	// ErrExists tells that the key is in use; Forget frees it.
	ErrExists = errors.New("key is in use")
	// ErrNoSuchProcess tells that the keeper has no record of the key, or that the process has exited.
	ErrNoSuchProcess = errors.New("no such process")
	// ErrVersion tells that the keeper speaks another version of the protocol.
	ErrVersion = errors.New("protocol version is not spoken by the keeper")
	// ErrLost tells that the connection is gone. Whether the request was carried out is unknown: ask List.
	ErrLost = errors.New("connection to the keeper is lost")
)

var errMalformed = errors.New("malformed packet")

// RemoteError is the keeper's refusal of a request. It wraps the sentinel, if one fits, and Errno, if it is not 0.
type RemoteError struct {
	Op    string        // "launch", "kill" ...
	Errno syscall.Errno // 0 when no system call was at fault
	Text  string        // the keeper's words, never empty
	code  code
}

// Error is "keeper launch: text".
func (e *RemoteError) Error() string { return "keeper " + e.Op + ": " + e.Text }

// Unwrap returns the sentinel and the errno.
func (e *RemoteError) Unwrap() []error {
	var causes []error
	if sentinel := e.code.sentinel(); sentinel != nil {
		causes = append(causes, sentinel)
	}
	if e.Errno != 0 {
		causes = append(causes, e.Errno)
	}
	return causes
}

// opError adds what was done to a cause, as fmt.Errorf would if this package could afford fmt.
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

// lostError is ErrLost with its cause.
type lostError struct{ err error }

func (e *lostError) Error() string   { return ErrLost.Error() + ": " + e.err.Error() }
func (e *lostError) Unwrap() []error { return []error{ErrLost, e.err} }

// code is the first byte of a reply.
type code uint8

const (
	codeDone code = iota
	codeFailed
	codeExists
	codeNoSuchProcess
	codeVersion
	codeEnd
)

func (c code) sentinel() error {
	switch c {
	case codeExists:
		return ErrExists
	case codeNoSuchProcess:
		return ErrNoSuchProcess
	case codeVersion:
		return ErrVersion
	}
	return nil
}

// refusal is what the server answers instead of a result.
type refusal struct {
	code  code
	errno syscall.Errno
	text  string
}

func refuse(c code, errno syscall.Errno, text string) *refusal { return &refusal{c, errno, text} }

// refuseKey refuses a request with the sentinel's own text and the key.
func refuseKey(c code, key string) *refusal {
	return refuse(c, 0, strconv.Quote(key)+": "+c.sentinel().Error())
}

func refuseError(op string, err error) *refusal {
	return refuse(codeFailed, errnoOf(err), op+": "+err.Error())
}

func errnoOf(err error) (errno syscall.Errno) {
	errors.As(err, &errno)
	return errno
}
