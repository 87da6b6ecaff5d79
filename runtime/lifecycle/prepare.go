package lifecycle

import (
	"errors"
	"maps"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-project/berth/runtime/compile"
	"github.com/berth-project/berth/runtime/kernel"
	"github.com/berth-project/berth/runtime/plan"
	"github.com/berth-project/berth/runtime/spec"
	"github.com/berth-project/berth/unit"
)

// prepared is what a bundle and a request say, as data.
type prepared struct {
	program     *plan.Program
	properties  []unit.Property
	annotations map[string]string
	ociVersion  string
	terminal    bool
	warnings    spec.Findings
}

// prepare reads the bundle and compiles it. Nothing of the host is changed.
func prepare(facts kernel.Facts, r CreateRequest) (prepared, error) {
	s, findings, err := spec.LoadBundle(r.Bundle)
	if err != nil {
		return prepared{}, faultf(ErrInvalidConfig, "%w", err)
	}
	if err := findings.Err(); err != nil {
		return prepared{}, configFault(err)
	}
	p := prepared{ociVersion: s.Version, warnings: findings.Warnings(), annotations: maps.Clone(s.Annotations)}
	if p.annotations == nil {
		p.annotations = map[string]string{}
	}
	maps.Copy(p.annotations, r.Annotations)
	p.terminal = s.Process != nil && s.Process.Terminal
	var resources *specs.LinuxResources
	if s.Linux != nil {
		resources = s.Linux.Resources
	}
	if p.properties, err = unit.FromResources(resources, unit.DefaultDevices()); err != nil {
		return prepared{}, faultf(ErrInvalidConfig, "%w", err)
	}
	names := make([]string, len(r.ListenFDs))
	for i, l := range r.ListenFDs {
		names[i] = l.Name
	}
	p.program, err = compile.Container(compile.Request{
		Spec: s, Bundle: r.Bundle, Facts: facts, ID: r.ID, ListenFDs: names, Environment: r.Environment,
	})
	if err != nil {
		return prepared{}, configFault(err)
	}
	return p, nil
}

func configFault(err error) error {
	if invalid := new(spec.InvalidError); errors.As(err, &invalid) && invalid.NotSupported() {
		return faultf(ErrNotSupported, "%w", err)
	}
	return faultf(ErrInvalidConfig, "%w", err)
}
