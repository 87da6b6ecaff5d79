package main

import (
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/activation"
)

// socketName is FileDescriptorName= in berth-keeper.socket.
const socketName = "keeper"

// listen gives the listening socket: made at path, or else the one systemd has passed.
func listen(path string, env environment) (int, error) {
	if path != "" {
		return makeSocket(path)
	}
	passed, err := activation.Passed(activation.ReadEnvironment(env.getenv), env.pid)
	if errors.Is(err, os.ErrNotExist) {
		return -1, errors.New("no listening socket was passed: start berth-keeper.socket, or use --socket")
	}
	if err != nil {
		return -1, err
	}
	if len(passed) == 1 { // whatever its name
		return passed[0].Number, passed[0].Expect(activation.UnixSeqpacketListener)
	}
	fd, err := passed.One(socketName, activation.UnixSeqpacketListener)
	return fd.Number, err
}

// makeSocket replaces a socket that is left from before.
func makeSocket(path string) (int, error) {
	fail := func(call string, err error) (int, error) {
		return -1, &os.PathError{Op: "listen on", Path: strconv.Quote(path) + ": " + call, Err: err}
	}
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == os.ModeSocket {
		if err := os.Remove(path); err != nil {
			return fail("remove", err)
		}
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fail("socket", err)
	}
	err = errors.Join(unix.Fchmod(fd, 0o600), unix.Bind(fd, &unix.SockaddrUnix{Name: path}))
	if err == nil {
		err = unix.Listen(fd, 64)
	}
	if err != nil {
		_ = unix.Close(fd)
		return fail("bind", err)
	}
	return fd, nil
}
