package spec

import (
	"reflect"
	"regexp"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// checker holds what the rules share.
type checker struct {
	report
	spec *specs.Spec
	// linux is spec.Linux, or an empty one, so that no rule has to ask.
	linux *specs.Linux
}

// Validate judges every value of s by the runtime specification, by what Linux 5.14 with cgroup v2
// takes, and by what Berth supports, and returns all findings. It looks at nothing but s. A spec
// without [Error] findings is one that runtime/compile handles completely.
func Validate(s *specs.Spec) Findings {
	c := &checker{spec: s, linux: &specs.Linux{}}
	if s == nil {
		c.errorf("", refConfig, "there is no configuration")
		return c.findings
	}
	if s.Linux != nil {
		c.linux = s.Linux
	}
	c.version()
	c.nulBytes("", reflect.ValueOf(s))
	c.unsupported()
	c.process()
	c.root()
	c.hostnames()
	c.mounts()
	c.annotations()
	c.namespaces()
	c.devices()
	c.paths()
	c.propagation()
	c.sysctls()
	c.resources()
	return c.findings
}

// semver is the expression that semver.org gives for version 2.0.0.
var semver = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)` +
	`(?:-(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?` +
	`(?:\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?$`)

func (c *checker) version() {
	v := c.spec.Version
	parts := semver.FindStringSubmatch(v)
	switch {
	case v == "":
		c.errorf("ociVersion", refVersion, "is missing; give the version of the runtime specification, such as %q", specs.Version)
	case parts == nil:
		c.errorf("ociVersion", refVersion, "%s is not a SemVer 2.0.0 version, such as %q", quote(v), specs.Version)
	case parts[1] != "1":
		c.errorf("ociVersion", refVersion, "%s is not supported; Berth reads versions 1.x", quote(v))
	case len(parts[2]) > 1 || int(parts[2][0]-'0') > specs.VersionMinor:
		c.warnf("ociVersion", refVersion, "%s is newer than the %s that Berth knows; what it added is ignored", quote(v), specs.Version)
	}
}

func (c *checker) root() {
	root := c.spec.Root
	switch {
	case root == nil:
		c.errorf("root", refRoot, "is missing, but required")
	case root.Path == "":
		c.errorf("root.path", refRoot, "is empty; give the root file system's path, absolute or relative to the bundle")
	case hasDotDot(root.Path):
		c.errorf("root.path", refRoot, "%s contains \"..\"; give an absolute path instead", quote(root.Path))
	case isRootDir(root.Path):
		c.errorf("root.path", refRoot, "%s is the host's own root", quote(root.Path))
	}
}

// maxUTSName is __NEW_UTS_LEN, see sethostname(2) and setdomainname(2).
const maxUTSName = 64

func (c *checker) hostnames() {
	c.utsName("hostname", c.spec.Hostname, refHostname)
	c.utsName("domainname", c.spec.Domainname, refDomainname)
}

func (c *checker) utsName(path, name, ref string) {
	if name == "" {
		return
	}
	if len(name) > maxUTSName {
		c.errorf(path, ref, "has %d bytes; at most %d are possible", len(name), maxUTSName)
	}
	switch uts, ok := c.namespace(specs.UTSNamespace); {
	case !ok:
		c.errorf(path, ref, "would change the host's; add a namespace of type \"uts\"")
	case uts.Path != "":
		c.warnf(path, ref, "is changed for everyone in the namespace %s", quote(uts.Path))
	}
}

func (c *checker) annotations() {
	if _, ok := c.spec.Annotations[""]; ok {
		c.errorf(key("annotations", ""), refAnnotations, "the key is empty")
	}
}
