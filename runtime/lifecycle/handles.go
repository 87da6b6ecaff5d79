package lifecycle

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/runtime/compile"
	"github.com/berth-project/berth/runtime/journal"
)

// handles are the files that a plan takes, by name, and the end of a pipe that is ours.
type handles struct {
	byName map[string]*os.File
	owned  []*os.File
	placed *os.File
}

// add takes over file.
func (h *handles) add(name string, file *os.File) {
	h.owned = append(h.owned, file)
	h.set(name, file)
}

// set uses a file that stays whose it is.
func (h *handles) set(name string, file *os.File) {
	if h.byName == nil {
		h.byName = map[string]*os.File{}
	}
	h.byName[name] = file
}

// close closes what was added. Closing our end of the placed pipe makes a child that still waits there give up.
func (h *handles) close() {
	for _, f := range h.owned {
		f.Close() //nolint:errcheck // the child has its own
	}
	h.owned = nil
}

// open opens stdio as the request wants it, its sockets, and the placed pipe.
func (h *handles) open(logs Logs, r CreateRequest, scope string) error {
	for i, l := range r.ListenFDs {
		h.set(compile.ListenHandle(i), l.File)
	}
	if err := h.openStdio(logs, r, scope); err != nil {
		return err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("open pipe: %w", err)
	}
	h.add(compile.Placed, read)
	h.owned, h.placed = append(h.owned, write), write
	// os.Pipe's ends are non-blocking, and the child must block on its own.
	if err := unix.SetNonblock(int(read.Fd()), false); err != nil {
		return fmt.Errorf("open pipe: %w", err)
	}
	return nil
}

func (h *handles) openStdio(logs Logs, r CreateRequest, scope string) error {
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("open stdin: %w", err)
	}
	h.add(compile.Stdin, null)
	out := null
	if r.log() == LogJournald {
		// One stream for both, as systemd does: the order of the lines is kept, and journald has room for 4,096 streams
		// (STDOUT_STREAMS_MAX in src/journal/journald-stream.c), as many as we have containers. Both have priority
		// info, as systemd's own services: much of what goes to stderr is no error.
		out, err = logs.Stream(journal.StreamConfig{Identifier: r.ID, Unit: scope, Priority: journal.Info})
		if errors.Is(err, journal.ErrUnavailable) {
			return faultf(ErrUnavailable, "%w", err)
		}
		if err != nil {
			return err
		}
		h.owned = append(h.owned, out)
	}
	h.set(compile.Stdout, out)
	h.set(compile.Stderr, out)
	for _, f := range r.stdio() {
		if f.file != nil {
			h.set(f.handle, f.file)
		}
	}
	return nil
}

// inOrder is the files by the names of a plan.
func (h *handles) inOrder(names []string) ([]*os.File, error) {
	files := make([]*os.File, len(names))
	for i, name := range names {
		if files[i] = h.byName[name]; files[i] == nil {
			return nil, fmt.Errorf("open handles: the plan takes %q, which nobody opened", name)
		}
	}
	return files, nil
}

// sealedPlan puts the plan into a memfd that nobody can change any more; see memfd_create(2).
func sealedPlan(plan []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("berth-plan", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("open plan: %w", err)
	}
	file := os.NewFile(uintptr(fd), "plan")
	_, err = file.Write(plan)
	if err == nil {
		seals := unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE | unix.F_SEAL_SEAL
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
	}
	if err != nil {
		file.Close() //nolint:errcheck // memory
		return nil, fmt.Errorf("seal plan: %w", err)
	}
	return file, nil
}

// stdioFile is one of the caller's stdio files.
type stdioFile struct {
	handle    string
	file      *os.File // may be nil
	direction int
}

func (r *CreateRequest) stdio() []stdioFile {
	return []stdioFile{
		{compile.Stdin, r.Stdin, unix.O_RDONLY}, {compile.Stdout, r.Stdout, unix.O_WRONLY}, {compile.Stderr, r.Stderr, unix.O_WRONLY},
	}
}

func (r *CreateRequest) close() {
	for _, f := range r.stdio() {
		f.file.Close() //nolint:errcheck // the container has its own; of nil it is an error
	}
	for _, l := range r.ListenFDs {
		l.File.Close() //nolint:errcheck // as above
	}
}

// log is where the output goes that the caller does not take.
func (r *CreateRequest) log() string {
	switch {
	case r.Stdout != nil && r.Stderr != nil:
		return logCaller
	case r.Log == "":
		return LogJournald
	}
	return r.Log
}

// checkFile refuses what a program cannot use as the fd it is to be: a directory, which would be a way out of the
// container, a mere handle, and the wrong direction.
func checkFile(name string, f *os.File, direction int) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return faultf(ErrInvalidArgs, "check file %q: %w", name, err)
	}
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	if err != nil {
		return faultf(ErrInvalidArgs, "check file %q: %w", name, err)
	}
	mode := flags & unix.O_ACCMODE
	switch {
	case flags&unix.O_PATH != 0:
		return faultf(ErrInvalidArgs, "check file %q: it is opened with O_PATH, and can be neither read nor written", name)
	case st.Mode&unix.S_IFMT == unix.S_IFDIR || st.Mode&unix.S_IFMT == unix.S_IFBLK:
		return faultf(ErrInvalidArgs, "check file %q: it must be a file, FIFO, socket or character device, not a directory or block device", name)
	case direction == unix.O_WRONLY && mode == unix.O_RDONLY:
		return faultf(ErrInvalidArgs, "check file %q: it is not open for writing", name)
	case direction == unix.O_RDONLY && mode == unix.O_WRONLY:
		return faultf(ErrInvalidArgs, "check file %q: it is not open for reading", name)
	}
	return nil
}

// validFDName is systemd's rule (src/basic/fd-util.c, fdname_is_valid).
func validFDName(name string) bool {
	return name != "" && len(name) <= 255 && !strings.ContainsFunc(name, func(c rune) bool {
		return c < ' ' || c >= 127 || c == ':'
	})
}
