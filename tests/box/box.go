package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// box is a booted, or booting, systemd and what must go with it.
type box struct {
	opts    options
	tree    *hierarchy
	reaper  *reaper
	lock    *os.File // of the cgroup of the box
	init    *exec.Cmd
	pidfd   int        // of init
	ended   chan error // gets the end of init
	console *console
}

// newBox makes what surrounds the box. Each thing made is undone by close, or by the reaper.
func newBox(opts options) (*box, error) {
	tree, err := openHierarchy()
	if err != nil {
		return nil, fmt.Errorf("open cgroup2 tree: %w", err)
	}
	name := groupName(os.Getpid())
	reaper, err := startReaper(tree, name)
	if err != nil {
		return nil, errors.Join(err, tree.dir.Close())
	}
	b := &box{opts: opts, tree: tree, reaper: reaper, pidfd: -1}
	if b.lock, err = tree.create(name); err != nil {
		return nil, errors.Join(err, b.close())
	}
	var show io.Writer = io.Discard
	if opts.verbose {
		show = opts.stderr
	}
	if b.console, err = openConsole(show); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

// boot starts systemd and waits until its start-up is finished, or until one of the signals arrives, which it returns.
func (b *box) boot(ctx context.Context, signals <-chan os.Signal) (syscall.Signal, error) {
	started := time.Now()
	host, err := openHostDir()
	if err != nil {
		return 0, err
	}
	defer host.close()
	if err := b.startInit(host); err != nil {
		return 0, err
	}
	ready := make(chan error, 1)
	go func() { ready <- host.waitReady() }()
	select {
	case err = <-ready:
	case sig := <-signals:
		return sig.(syscall.Signal), nil
	case end := <-b.ended:
		b.ended <- end
		err = fmt.Errorf("its init ended: %w", end)
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		return 0, fmt.Errorf("boot %q: %w%s", b.opts.root, err, b.console.tail())
	}
	if b.opts.verbose {
		fmt.Fprintf(b.opts.stderr, "box: booted in %v\n", time.Since(started).Round(time.Millisecond))
	}
	return 0, nil
}

func (b *box) startInit(host *hostDir) error {
	plan, err := json.Marshal(initPlan{
		Root:    b.opts.root,
		Project: b.opts.project,
		Binds:   b.opts.binds,
		Console: b.console.slave.Name(),
	})
	if err != nil {
		return fmt.Errorf("encode plan of init: %w", err)
	}
	group, err := os.Open(b.tree.path(groupName(os.Getpid())))
	if err != nil {
		return err
	}
	defer group.Close()
	b.init = &exec.Cmd{
		Path:       "/proc/self/exe",
		Args:       []string{initName, string(plan)},
		Dir:        "/",
		Env:        []string{"PATH=" + searchPath},
		Stderr:     b.opts.stderr,
		ExtraFiles: []*os.File{host.mount},
		SysProcAttr: &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWNET,
			Setsid:     true,
			// The reaper kills the box too; this holds when both were killed at once.
			Pdeathsig:   syscall.SIGKILL,
			UseCgroupFD: true,
			CgroupFD:    int(group.Fd()),
			PidFD:       &b.pidfd,
		},
	}
	if err := b.init.Start(); err != nil {
		b.init = nil
		return fmt.Errorf("start init: %w", err)
	}
	b.ended = make(chan error, 1)
	go func() {
		err := b.init.Wait()
		if err == nil {
			err = errors.New("exit status 0")
		}
		b.ended <- err
	}()
	return nil
}

// close ends the box: every process killed, the cgroup removed. Mounts go with the last process.
func (b *box) close() error {
	err := b.reaper.finish()
	if err != nil { // it was killed: its work is this process's then
		err = b.tree.remove(groupName(os.Getpid()))
	}
	if b.init != nil {
		<-b.ended
		err = errors.Join(err, unix.Close(b.pidfd))
	}
	if b.console != nil {
		err = errors.Join(err, b.console.close())
	}
	if b.lock != nil {
		err = errors.Join(err, b.lock.Close())
	}
	return errors.Join(err, b.tree.dir.Close())
}

// wait waits for a signal or for the end of the box.
func (b *box) wait(signals <-chan os.Signal) {
	select {
	case <-signals:
	case end := <-b.ended:
		b.ended <- end
	}
}

// hostDir becomes /run/host of the box (systemd's CONTAINER_INTERFACE): a tmpfs made outside the box, so that
// the socket on which PID 1 tells its readiness is there before the box is, and no file on the machine.
type hostDir struct {
	mount  *os.File
	notify *net.UnixConn
}

// notifyName is the socket in the hostDir, notifyPath its name in the box.
const (
	notifyName = "notify"
	hostPath   = "/run/host"
	notifyPath = hostPath + "/" + notifyName
)

func openHostDir() (*hostDir, error) {
	fd, err := newMount("tmpfs", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
	if err != nil {
		return nil, err
	}
	h := &hostDir{mount: os.NewFile(uintptr(fd), hostPath)}
	address := &net.UnixAddr{Net: "unixgram", Name: fmt.Sprintf("/proc/self/fd/%d/%s", fd, notifyName)}
	if h.notify, err = net.ListenUnixgram("unixgram", address); err != nil {
		return nil, errors.Join(fmt.Errorf("make notify socket: %w", err), h.mount.Close())
	}
	return h, nil
}

// waitReady waits for READY=1, which PID 1 sends when its initial transaction is done. See sd_notify(3).
func (h *hostDir) waitReady() error {
	buffer := make([]byte, 4096)
	for {
		n, err := h.notify.Read(buffer)
		if err != nil {
			return fmt.Errorf("read notify socket: %w", err)
		}
		for line := range strings.Lines(string(buffer[:n])) {
			if strings.TrimSpace(line) == "READY=1" {
				return nil
			}
		}
	}
}

func (h *hostDir) close() {
	h.notify.Close()
	h.mount.Close()
}
