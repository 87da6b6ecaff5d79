package compile

import (
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/runtime/plan"
)

// defaultPath is where a program is looked for if process.env has no PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// exec finds the program, waits for the start and executes it. A missing
// program is told when the container is created, not when it is started.
func (c *compiler) exec() {
	args, env := c.Spec.Process.Args, c.environment()
	candidates := programs(args[0], env)
	label := "find program " + quote(args[0])
	found := c.tryEach(candidates, label, func(name string) plan.Ref {
		return c.Call(label, unix.SYS_FACCESSAT2, plan.Lit(unix.AT_FDCWD), c.String(name), plan.Lit(unix.X_OK), plan.Lit(unix.AT_EACCESS))
	})
	for _, r := range found {
		r.JumpDone()
	}
	first := uint32(firstListenFD + len(c.ListenFDs))
	c.Call("close all but the program's fds", unix.SYS_CLOSE_RANGE, plan.Lit(first), plan.Lit(^uint32(0)), plan.Lit(unix.CLOSE_RANGE_CLOEXEC))
	argv, envp := c.Pointers(args), c.Pointers(env)
	c.Point("created", plan.PointCreated)
	c.Call("wait for start", unix.SYS_READ, c.start.Arg(), c.Bytes(make([]byte, 1)), plan.Lit(1)).With(plan.NonZero)
	label = "execute " + quote(args[0])
	c.tryEach(candidates, label, func(name string) plan.Ref {
		return c.Call(label, unix.SYS_EXECVE, c.String(name), argv, envp)
	})
}

// tryEach makes the calls in turn until one succeeds. Of a name to be
// found in $PATH the reasons why a candidate does not fit are passed over, as
// execvp(3) does. It returns the calls, which have to say where to go on if they succeed.
func (c *compiler) tryEach(candidates []string, label string, call func(name string) plan.Ref) (refs []plan.Ref) {
	if strings.Contains(c.Spec.Process.Args[0], "/") {
		call(candidates[0])
		return nil
	}
	for _, name := range candidates {
		refs = append(refs, call(name).Tolerate(unix.ENOENT, unix.ENOTDIR, unix.EACCES))
	}
	c.Fail(label+" in $PATH", unix.ENOENT)
	return refs
}

// programs are the paths that may be meant by a program's name. Relative
// entries of $PATH are passed over: what the working directory holds must not
// decide what runs.
func programs(name string, env []string) []string {
	if strings.Contains(name, "/") {
		return []string{name}
	}
	search := defaultPath
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, "PATH="); ok {
			search = v
		}
	}
	var out []string
	for _, dir := range strings.Split(search, ":") {
		if path.IsAbs(dir) {
			out = append(out, path.Join(dir, name))
		}
	}
	return out
}

// environment is process.env with the caller's additions, and the variables of
// sd_listen_fds(3) if there are sockets. LISTEN_PID is the payload's own view:
// check refuses sockets without a PID namespace of its own.
func (c *compiler) environment() []string {
	add := c.Request.Environment
	if n := len(c.ListenFDs); n > 0 {
		add = append(append([]string{}, add...), "LISTEN_FDS="+itoa(n), "LISTEN_FDNAMES="+strings.Join(c.ListenFDs, ":"), "LISTEN_PID=1")
	}
	var env []string
	for _, e := range append(append([]string{}, c.Spec.Process.Env...), add...) {
		key, _, _ := strings.Cut(e, "=")
		env = replaceVariable(env, key+"=", e)
	}
	return env
}

func replaceVariable(env []string, prefix, entry string) []string {
	for i, e := range env {
		if strings.HasPrefix(e, prefix) {
			env[i] = entry
			return env
		}
	}
	return append(env, entry)
}
