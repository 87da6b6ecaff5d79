package lifecycle

import (
	"errors"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-project/berth/runtime/compile"
	"github.com/berth-project/berth/runtime/spec"
	"github.com/berth-project/berth/unit"
)

// prepared is what a bundle and a request say, as data. Values are shared by all containers of the same bundle and
// never changed.
type prepared struct {
	plan        []byte   // encoded
	handles     []string // that the plan takes
	properties  []unit.Property
	annotations map[string]string
	ociVersion  string
	terminal    bool
	warnings    spec.Findings
}

// prepare reads the bundle and compiles it, unless it has done just that a short while ago. Nothing of the host is
// changed.
func (m *Manager) prepare(r CreateRequest) (*prepared, error) {
	config, err := spec.ReadConfig(r.Bundle)
	if invalid := new(spec.InvalidError); errors.As(err, &invalid) {
		return nil, configFault(err)
	}
	if err != nil {
		return nil, faultf(ErrInvalidConfig, "%w", err)
	}
	names := make([]string, len(r.ListenFDs))
	for i, l := range r.ListenFDs {
		names[i] = l.Name
	}
	key := preparedKey(config, r.Bundle, names, r.Environment)
	if p := m.preparations.get(key); p != nil {
		return p, nil
	}
	p, err := prepare(config, compile.Request{Bundle: r.Bundle, Facts: m.cfg.Facts, ListenFDs: names, Environment: r.Environment})
	if err == nil {
		m.preparations.put(key, p)
	}
	return p, err
}

func prepare(config []byte, r compile.Request) (*prepared, error) {
	s, findings := spec.Parse(config)
	if err := findings.Err(); err != nil {
		return nil, configFault(err)
	}
	p := &prepared{
		ociVersion: s.Version, warnings: findings.Warnings(), annotations: s.Annotations,
		terminal: s.Process != nil && s.Process.Terminal,
	}
	var resources *specs.LinuxResources
	if s.Linux != nil {
		resources = s.Linux.Resources
	}
	properties, err := unit.FromResources(resources, unit.DefaultDevices())
	if err != nil {
		return nil, faultf(ErrInvalidConfig, "%w", err)
	}
	p.properties = slices.Clip(properties) // who appends gets an array of its own
	r.Spec = s
	program, err := compile.Container(r)
	if err != nil {
		return nil, configFault(err)
	}
	p.plan, p.handles = program.Encode(), program.Handles
	return p, nil
}

func configFault(err error) error {
	if invalid := new(spec.InvalidError); errors.As(err, &invalid) && invalid.NotSupported() {
		return faultf(ErrNotSupported, "%w", err)
	}
	return faultf(ErrInvalidConfig, "%w", err)
}
