package client

import (
	"os"

	"github.com/godbus/dbus/v5"
)

// descriptor is the number to send. Fd would switch the file to blocking mode for good, which a caller who
// goes on using it does not expect. The files must stay open until the call has been sent.
func descriptor(file *os.File) dbus.UnixFD {
	number := dbus.UnixFD(-1)
	raw, err := file.SyscallConn()
	if err != nil {
		return number
	}
	if err := raw.Control(func(fd uintptr) { number = dbus.UnixFD(fd) }); err != nil {
		return -1
	}
	return number
}
