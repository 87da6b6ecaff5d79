package spec

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// LoadBundle reads dir/config.json, decodes and validates it: [ReadConfig], then [Parse].
func LoadBundle(dir string) (*specs.Spec, Findings, error) {
	text, err := ReadConfig(dir)
	if invalid := new(InvalidError); errors.As(err, &invalid) {
		return nil, invalid.Findings, nil
	}
	if err != nil {
		return nil, nil, err
	}
	s, findings := Parse(text)
	return s, findings, nil
}

// Parse decodes and validates the text of a config.json. The spec is nil where it is no JSON at all.
func Parse(text []byte) (*specs.Spec, Findings) {
	s, findings := Decode(bytes.NewReader(text))
	if s != nil {
		findings = merge(findings, Validate(s))
	}
	return s, findings
}

// ReadConfig reads dir/config.json. The error is for a dir that is not absolute, and for a config.json
// that is missing, a symbolic link, no regular file or, as an [*InvalidError], larger than [MaxConfigSize].
func ReadConfig(dir string) ([]byte, error) {
	if !filepath.IsAbs(dir) {
		return nil, fmt.Errorf("open bundle %q: it must be an absolute path", dir)
	}
	file, err := openConfig(dir)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // nothing was written
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, fmt.Errorf("open bundle: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("open %q: it must be a regular file, not %s", file.Name(), info.Mode().Type())
	case info.Size() > MaxConfigSize:
		var rep report
		rep.errorf("", refConfig, "%v", sizeError(info.Size(), ""))
		return nil, rep.findings.Err()
	}
	text := make([]byte, info.Size()+1) // room to see that it has grown
	n, err := io.ReadFull(file, text)
	if err == nil || !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read %q: %w", file.Name(), cmp.Or(err, errGrows))
	}
	return text[:n], nil
}

var errGrows = errors.New("it grows while it is read; try again")

// openConfig follows no symbolic link from the bundle on: its owner may be anyone, and we are root. A FIFO
// must not block us (openat2(2), RESOLVE_*; open(2), O_NONBLOCK).
func openConfig(dir string) (*os.File, error) {
	dirfd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open bundle %q: %w", dir, err)
	}
	defer unix.Close(dirfd) //nolint:errcheck // an O_PATH handle has nothing to lose
	how := unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	name := filepath.Join(dir, "config.json")
	fd, err := unix.Openat2(dirfd, "config.json", &how)
	switch {
	case errors.Is(err, unix.ELOOP):
		return nil, fmt.Errorf("open %q: it must not be a symbolic link: %w", name, err)
	case err != nil:
		return nil, fmt.Errorf("open %q: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// merge adds the findings of Validate to those of Decode, without those that only repeat that a field
// could not be decoded.
func merge(decoded, validated Findings) Findings {
	out := decoded
	for _, v := range validated {
		if !repeats(decoded, v.Path) {
			out = append(out, v)
		}
	}
	return out
}

func repeats(decoded Findings, path string) bool {
	for _, d := range decoded {
		if d.Level == Error && (within(path, d.Path) || within(d.Path, path)) {
			return true
		}
	}
	return false
}

// within reports whether path is parent or something below it.
func within(path, parent string) bool {
	rest, ok := strings.CutPrefix(path, parent)
	return ok && (parent == "" || rest == "" || rest[0] == '.' || rest[0] == '[')
}
