// Command box runs a command beside a real systemd, booted for it in namespaces of its own.
//
//	go run ./tests/box [-root DIR] [-bind SRC[:DST]]... [-keep] [-v] [--] [CMD [ARG...]]
//
// The root of the box is an overlay of the machine's own tree, or of DIR, whose upper layer is memory: nothing
// done inside reaches the disk. The project the working directory belongs to is installed in it with
// "make install DESTDIR=". Without CMD an interactive shell is run. See docs/testing.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Exit statuses of the box itself, as env(1) and timeout(1) use them; every other status is the command's own.
const (
	exitUsage     = 2
	exitBox       = 125
	exitCannotRun = 126
	exitNotFound  = 127
)

// bootTimeout bounds the boot. It is a hundred times what a boot takes, so that only a hang meets it.
const bootTimeout = 60 * time.Second

func main() {
	// The parent-death signal of the box's init is bound to the thread that forks it (prctl(2)).
	runtime.LockOSThread()
	os.Exit(run(os.Args, os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole program. The box starts itself again under other names for its helpers.
func run(args []string, stdin, stdout, stderr *os.File) int {
	switch filepath.Base(args[0]) {
	case initName:
		return report(stderr, runInit(args[1]))
	case reaperName:
		return report(stderr, runReaper(args[1]))
	case enterName:
		return runEnter(args[1:], stderr)
	}
	opts, err := parseOptions(args[1:], stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "box: %v\n", err)
		return exitUsage
	}
	opts.stdin, opts.stdout, opts.stderr = stdin, stdout, stderr
	status, err := runBox(opts)
	if err != nil {
		fmt.Fprintf(stderr, "box: %v\n", err)
		return exitBox
	}
	return status
}

// report prints the error of a helper and gives its exit status.
func report(stderr io.Writer, err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "box: %v\n", err)
	return exitBox
}

// options are the command line of the box.
type options struct {
	root    string   // tree to boot, "/" is the machine's own
	project string   // project to install, "" for none
	binds   binds    // read-write bind mounts
	keep    bool     // leave the box running after the command
	verbose bool     // show the console and the boot time
	command []string // empty: a shell

	stdin, stdout, stderr *os.File
}

func parseOptions(args []string, stderr io.Writer) (options, error) {
	var opts options
	flags := flag.NewFlagSet("box", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: box [-root DIR] [-bind SRC[:DST]]... [-keep] [-v] [--] [CMD [ARG...]]")
		flags.PrintDefaults()
	}
	flags.StringVar(&opts.root, "root", "/", "`directory` with the tree to boot")
	flags.Var(&opts.binds, "bind", "`SRC[:DST]` to bind read-write in the box, may be repeated")
	flags.BoolVar(&opts.keep, "keep", false, "leave the box running after the command, until interrupted")
	flags.BoolVar(&opts.verbose, "v", false, "show the console of the box and its boot time")
	if err := flags.Parse(args); err != nil {
		return opts, err
	}
	if opts.command = flags.Args(); len(opts.command) == 0 {
		opts.command = []string{"/bin/bash", "-i"}
	}
	root, err := filepath.Abs(opts.root)
	if err != nil {
		return opts, fmt.Errorf("find root %q: %w", opts.root, err)
	}
	opts.root = root
	if _, err := os.Stat(filepath.Join(root, "usr/lib/systemd/systemd")); err != nil {
		return opts, fmt.Errorf("find systemd in %q: %w (run packaging/setup.sh, or give another -root)", root, err)
	}
	opts.project, err = findProject()
	return opts, err
}

// findProject gives the nearest directory at or above the working directory that has a go.mod, "" if none has.
func findProject() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find working directory: %w", err)
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
	}
	return "", nil
}

// bind is one -bind option.
type bind struct{ Source, Target string }

// binds collects -bind options; it is a flag.Value.
type binds []bind

// String is part of flag.Value.
func (b *binds) String() string { return fmt.Sprint([]bind(*b)) }

// Set is part of flag.Value.
func (b *binds) Set(text string) error {
	source, target, found := strings.Cut(text, ":")
	if !found {
		target = source
	}
	source, err := filepath.Abs(source)
	if err != nil {
		return fmt.Errorf("find bind source %q: %w", source, err)
	}
	if !found {
		target = source
	}
	if !filepath.IsAbs(target) {
		return fmt.Errorf("bind target %q is not an absolute path", target)
	}
	*b = append(*b, bind{source, target})
	return nil
}

// runBox boots a box, runs the command in it and gives its status. The box is gone when it returns.
func runBox(opts options) (status int, err error) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)

	ctx, cancel := context.WithTimeoutCause(context.Background(), bootTimeout,
		fmt.Errorf("no answer within %v", bootTimeout))
	defer cancel()
	b, err := newBox(opts)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if sig, err := b.boot(ctx, signals); err != nil || sig != 0 {
		return 128 + int(sig), err
	}
	status, err = b.exec(signals)
	if err == nil && opts.keep {
		fmt.Fprintf(opts.stderr, "box: kept until interrupted, enter it with: nsenter --target %d --all\n", b.init.Process.Pid)
		b.wait(signals)
	}
	return status, err
}
