package spec

import (
	"math"
	"path"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

const (
	// maxArgument is MAX_ARG_STRLEN with its NUL, see execve(2).
	maxArgument = 32*4096 - 1
	// maxGroups is NGROUPS_MAX, see setgroups(2).
	maxGroups = 65536
	// noID is (uid_t) -1, which chown(2) and setresuid(2) read as "leave it".
	noID = math.MaxUint32
)

func (c *checker) process() {
	p := c.spec.Process
	if p == nil {
		c.errorf("process", refProcess, "is missing; Berth needs it when the container is created")
		return
	}
	c.arguments(p.Args)
	c.environment(p.Env)
	switch {
	case p.Cwd == "":
		c.errorf("process.cwd", refProcess, "is empty; give an absolute path")
	case !path.IsAbs(p.Cwd):
		c.errorf("process.cwd", refProcess, "%s is not an absolute path", quote(p.Cwd))
	}
	if p.ConsoleSize != nil && !p.Terminal {
		c.warnf("process.consoleSize", refProcess, "is ignored without a terminal")
	}
	c.user(&p.User)
	c.capabilities(p.Capabilities)
	c.rlimits(p.Rlimits)
	if v := p.OOMScoreAdj; v != nil && (*v < -1000 || *v > 1000) {
		c.errorf("process.oomScoreAdj", refLinuxProcess, "%d is not in -1000 to 1000", *v)
	}
	c.scheduler(p.Scheduler)
	c.ioPriority(p.IOPriority)
	if a := p.ExecCPUAffinity; a != nil {
		c.cpuList("process.execCPUAffinity.initial", a.Initial, refLinuxProcess)
		c.cpuList("process.execCPUAffinity.final", a.Final, refLinuxProcess)
	}
}

func (c *checker) arguments(args []string) {
	if len(args) == 0 {
		c.errorf("process.args", refProcess, "is empty; at least the program is required")
		return
	}
	if args[0] == "" {
		c.errorf("process.args[0]", refProcess, "is empty; it names the program")
	}
	for i, arg := range args {
		c.argument(index("process.args", i), arg)
	}
}

func (c *checker) argument(path, arg string) {
	if len(arg) > maxArgument {
		c.errorf(path, refProcess, "has %d bytes; execve(2) takes at most %d", len(arg), maxArgument)
	}
}

func (c *checker) environment(env []string) {
	first := map[string]int{}
	for i, entry := range env {
		path := index("process.env", i)
		c.argument(path, entry)
		name, _, assigned := strings.Cut(entry, "=")
		earlier, again := first[name]
		switch {
		case !assigned:
			c.errorf(path, refProcess, "%s has no \"=\"; write NAME=value", quote(entry))
		case name == "":
			c.errorf(path, refProcess, "%s has no name before \"=\"", quote(entry))
		case again:
			c.warnf(path, refProcess, "%s is already set by process.env[%d]; this later value counts", quote(name), earlier)
		default:
			first[name] = i
		}
	}
}

func (c *checker) user(u *specs.User) {
	c.id("process.user.uid", u.UID, refUser)
	c.id("process.user.gid", u.GID, refUser)
	if len(u.AdditionalGids) > maxGroups {
		c.errorf("process.user.additionalGids", refUser, "has %d groups; setgroups(2) takes at most %d", len(u.AdditionalGids), maxGroups)
	}
	for i, gid := range u.AdditionalGids {
		c.id(index("process.user.additionalGids", i), gid, refUser)
	}
	if u.Umask != nil && *u.Umask > 0o777 {
		c.errorf("process.user.umask", refUser, "%d is not in 0 to %d (octal 777)", *u.Umask, 0o777)
	}
}

func (c *checker) id(path string, id uint32, ref string) {
	if id == noID {
		c.errorf(path, ref, "%d is no id: the kernel reads it as \"unchanged\"", id)
	}
}

// rlimits by name, see getrlimit(2). Their numbers are the same on amd64 and arm64.
var rlimits = map[string]int{
	"RLIMIT_CPU": unix.RLIMIT_CPU, "RLIMIT_FSIZE": unix.RLIMIT_FSIZE, "RLIMIT_DATA": unix.RLIMIT_DATA,
	"RLIMIT_STACK": unix.RLIMIT_STACK, "RLIMIT_CORE": unix.RLIMIT_CORE, "RLIMIT_RSS": unix.RLIMIT_RSS,
	"RLIMIT_NPROC": unix.RLIMIT_NPROC, "RLIMIT_NOFILE": unix.RLIMIT_NOFILE, "RLIMIT_MEMLOCK": unix.RLIMIT_MEMLOCK,
	"RLIMIT_AS": unix.RLIMIT_AS, "RLIMIT_LOCKS": unix.RLIMIT_LOCKS, "RLIMIT_SIGPENDING": unix.RLIMIT_SIGPENDING,
	"RLIMIT_MSGQUEUE": unix.RLIMIT_MSGQUEUE, "RLIMIT_NICE": unix.RLIMIT_NICE, "RLIMIT_RTPRIO": unix.RLIMIT_RTPRIO,
	"RLIMIT_RTTIME": unix.RLIMIT_RTTIME,
}

// Rlimit returns the number of a resource for prlimit(2) by its RLIMIT_ name.
func Rlimit(name string) (resource int, ok bool) {
	resource, ok = rlimits[name]
	return resource, ok
}

func (c *checker) rlimits(limits []specs.POSIXRlimit) {
	var seen []string
	for i, l := range limits {
		path := index("process.rlimits", i)
		if _, ok := Rlimit(l.Type); !ok {
			c.errorf(path+".type", refPOSIXProcess, "%s is not a resource of getrlimit(2)", quote(l.Type))
		} else if slices.Contains(seen, l.Type) {
			c.errorf(path+".type", refPOSIXProcess, "%s is given twice", quote(l.Type))
		} else {
			seen = append(seen, l.Type)
		}
		if l.Soft > l.Hard {
			c.errorf(path+".soft", refPOSIXProcess, "%d is above the hard limit of %d", l.Soft, l.Hard)
		}
	}
}
