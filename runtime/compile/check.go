package compile

import (
	"path"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-project/berth/runtime/plan"
	"github.com/berth-project/berth/runtime/spec"
)

// maxListenFDs leaves room for the other handles of a plan.
const maxListenFDs = plan.MaxHandles - 8

// check finds what spec.Validate cannot see: what the request adds to the
// configuration, and what only makes sense with this way of running it.
func check(r Request) spec.Findings {
	c := checker{Request: r}
	if !path.IsAbs(r.Bundle) {
		c.add("bundle", quote(r.Bundle)+" is not an absolute path")
	}
	for i, e := range r.Environment {
		if key, _, ok := strings.Cut(e, "="); !ok || key == "" || strings.Contains(e, "\x00") {
			c.add("environment["+strconv.Itoa(i)+"]", quote(e)+" is not NAME=value")
		}
	}
	c.listenFDs()
	c.cgroupMounts()
	return c.findings
}

type checker struct {
	Request
	findings spec.Findings
}

func (c *checker) add(where, cause string) {
	c.findings = append(c.findings, spec.Finding{Level: spec.Error, Kind: spec.Invalid, Path: where, Cause: cause})
}

func (c *checker) newNamespace(kind specs.LinuxNamespaceType) bool {
	return (&compiler{Request: c.Request}).newNamespace(kind)
}

// listenFDs checks names as sd_listen_fds_with_names(3) does, and that the
// PID in LISTEN_PID can be known before the program runs.
func (c *checker) listenFDs() {
	if len(c.ListenFDs) > maxListenFDs {
		c.add("ListenFDs", strconv.Itoa(len(c.ListenFDs))+" sockets, at most "+strconv.Itoa(maxListenFDs)+" can be passed")
	}
	if len(c.ListenFDs) > 0 && !c.newNamespace(specs.PIDNamespace) {
		c.add("ListenFDs", "sockets can only be passed into a new PID namespace, where the program is process 1")
	}
	for i, name := range c.ListenFDs {
		if name == "" || len(name) > 255 || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r >= 0x7f || r == ':' }) {
			c.add("ListenFDs["+strconv.Itoa(i)+"]", quote(name)+" is no name for a socket: 1 to 255 printable ASCII characters without \":\"")
		}
	}
}

// cgroupMounts keeps the host's cgroups out of reach: without a cgroup
// namespace of its own a container sees all of them (CVE-2023-25809).
func (c *checker) cgroupMounts() {
	if c.newNamespace(specs.CgroupNamespace) {
		return
	}
	for i, m := range c.Spec.Mounts {
		f, _ := spec.ParseMountOptions(m.Options)
		if strings.HasPrefix(m.Type, "cgroup") && !f.Bind && f.AttrSet&readOnly == 0 {
			c.add("mounts["+strconv.Itoa(i)+"]", "a writable cgroup mount needs a new cgroup namespace; add one, or the option \"ro\"")
		}
	}
}
