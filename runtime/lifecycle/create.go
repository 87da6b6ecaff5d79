package lifecycle

import (
	"context"
	"errors"
	"os"

	"github.com/berth-project/berth/unit"
)

// NamedFile is a file with the name it has in LISTEN_FDNAMES.
type NamedFile struct {
	Name string
	File *os.File
}

// What CreateRequest.Log can be.
const (
	LogJournald = "journald"
	LogNone     = "none"
)

// CreateRequest is what Create needs. Create owns the files from the call on and closes them in every case.
type CreateRequest struct {
	ID     string
	Bundle string // absolute

	Stdin, Stdout, Stderr *os.File // nil: /dev/null for Stdin, Log for the others
	ListenFDs             []NamedFile

	Environment     []string          // "NAME=value", after those of the bundle, which they replace
	Annotations     map[string]string // besides those of the bundle, which they replace
	Slice           string            // "" means Config.Slice
	ScopeProperties []unit.Property   // only those ScopeProperties lists
	Log             string            // "" means LogJournald
}

// Create makes a container and returns when it is created. On any failure, also when ctx is cancelled, nothing is left.
func (m *Manager) Create(ctx context.Context, r CreateRequest) (*Container, error) {
	return nil, errors.ErrUnsupported
}
