package dbusapi

import (
	"fmt"
	"os"

	"github.com/berth-project/berth/dbusapi/wire"
	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// checkStdio refuses a descriptor the payload could not read from (access O_RDONLY) or write to (O_WRONLY).
func checkStdio(file *os.File, index dbus.UnixFDIndex, access int) error {
	kind, flags, err := describe(file)
	if err != nil {
		return err
	}
	switch kind {
	case "regular file", "pipe", "socket", "character device":
	default:
		return refusal(wire.ErrorInvalidArgs, "descriptor %d of the message is %s, must be a file, pipe, socket or terminal", index, article(kind))
	}
	if have := flags & unix.O_ACCMODE; have != unix.O_RDWR && have != access {
		return refusal(wire.ErrorInvalidArgs, "descriptor %d of the message, %s, is open for the other direction", index, article(kind))
	}
	return nil
}

// checkPassed refuses a descriptor that would be a handle on the host's file systems. See open(2), O_PATH.
func checkPassed(file *os.File, index dbus.UnixFDIndex) error {
	kind, _, err := describe(file)
	if err != nil {
		return err
	}
	if kind == "directory" || kind == "O_PATH descriptor" {
		return refusal(wire.ErrorInvalidArgs, "descriptor %d of the message is %s", index, article(kind))
	}
	return nil
}

// describe says what a descriptor is, and its file status flags.
func describe(file *os.File) (kind string, flags int, err error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return "", 0, fmt.Errorf("inspect descriptor: %w", err)
	}
	var st unix.Stat_t
	var flagErr, statErr error
	err = raw.Control(func(fd uintptr) {
		flags, flagErr = unix.FcntlInt(fd, unix.F_GETFL, 0)
		statErr = unix.Fstat(int(fd), &st)
	})
	for _, e := range []error{err, flagErr, statErr} {
		if e != nil {
			return "", 0, fmt.Errorf("inspect descriptor: %w", e)
		}
	}
	if flags&unix.O_PATH != 0 {
		return "O_PATH descriptor", flags, nil
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return "regular file", flags, nil
	case unix.S_IFIFO:
		return "pipe", flags, nil
	case unix.S_IFSOCK:
		return "socket", flags, nil
	case unix.S_IFCHR:
		return "character device", flags, nil
	case unix.S_IFBLK:
		return "block device", flags, nil
	case unix.S_IFDIR:
		return "directory", flags, nil
	}
	return "anonymous inode", flags, nil // an epoll set, a pidfd ...
}

func article(kind string) string {
	if kind == "O_PATH descriptor" || kind == "anonymous inode" {
		return "an " + kind
	}
	return "a " + kind
}
