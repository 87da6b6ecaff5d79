package activation

import "golang.org/x/sys/unix"

// Kind is what a descriptor is, in words for people.
type Kind string

// Kinds that services of ours ask for, or may get by mistake.
const (
	UnixStreamListener    Kind = "listening unix stream socket"
	UnixSeqpacketListener Kind = "listening unix seqpacket socket"
	UnixStream            Kind = "unix stream socket"
	UnixSeqpacket         Kind = "unix seqpacket socket"
	UnixDatagram          Kind = "unix datagram socket"
	OtherSocket           Kind = "socket of another family"
	FIFO                  Kind = "pipe or fifo"
	RegularFile           Kind = "regular file"
	Directory             Kind = "directory"
	CharacterDevice       Kind = "character device"
	Other                 Kind = "file of another kind" // pidfd, eventfd, block device ...
)

// KindOf asks the kernel. See fstat(2) and SO_ACCEPTCONN in socket(7).
func KindOf(fd int) (Kind, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return "", wrap("fstat", err)
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFSOCK:
		return socketKind(fd)
	case unix.S_IFIFO:
		return FIFO, nil
	case unix.S_IFREG:
		return RegularFile, nil
	case unix.S_IFDIR:
		return Directory, nil
	case unix.S_IFCHR:
		return CharacterDevice, nil
	}
	return Other, nil
}

func socketKind(fd int) (Kind, error) {
	var values [3]int
	for i, option := range [3]int{unix.SO_DOMAIN, unix.SO_TYPE, unix.SO_ACCEPTCONN} {
		var err error
		if values[i], err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, option); err != nil {
			return "", wrap("getsockopt", err)
		}
	}
	domain, socketType, listens := values[0], values[1], values[2] != 0
	switch {
	case domain != unix.AF_UNIX:
		return OtherSocket, nil
	case socketType == unix.SOCK_DGRAM:
		return UnixDatagram, nil
	case socketType == unix.SOCK_SEQPACKET && listens:
		return UnixSeqpacketListener, nil
	case socketType == unix.SOCK_SEQPACKET:
		return UnixSeqpacket, nil
	case listens:
		return UnixStreamListener, nil
	}
	return UnixStream, nil
}
