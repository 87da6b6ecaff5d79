package integration

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/dbusapi/client"
)

// requirePayload gives the tree of real programs; "make test-box" makes it.
func requirePayload(t *testing.T) string {
	t.Helper()
	tree := os.Getenv("BERTH_PAYLOAD_TREE")
	if tree == "" && os.Getenv("CI") != "" {
		t.Fatal("BERTH_PAYLOAD_TREE names no tree: run make test-box")
	}
	if tree == "" {
		t.Skip("BERTH_PAYLOAD_TREE names no tree: run make test-box")
	}
	return tree
}

const nginxConf = `
daemon off;
pid /tmp/nginx.pid;
error_log stderr;
worker_processes 2;
events { }
http {
	access_log off;
	client_body_temp_path /tmp/body; proxy_temp_path /tmp/proxy; fastcgi_temp_path /tmp/fastcgi;
	uwsgi_temp_path /tmp/uwsgi; scgi_temp_path /tmp/scgi;
	server { listen 127.0.0.1:8080; root /usr/share/nginx/html; }
}
`

// TestRealPrograms runs servers from a Debian tree through a whole life.
func TestRealPrograms(t *testing.T) {
	tree := requirePayload(t)
	for _, s := range []server{
		{
			name: "redis", args: []string{"/usr/bin/redis-server", "--bind", "127.0.0.1", "--dir", "/tmp", "--save", ""},
			address: "127.0.0.1:6379", ask: "PING\r\n", answer: "+PONG\r\n",
		},
		{
			name: "nginx", args: []string{"/usr/sbin/nginx"},
			address: "127.0.0.1:8080", ask: "GET /index.html HTTP/1.0\r\n\r\n", answer: "Welcome to nginx",
		},
	} {
		t.Run(s.name, func(t *testing.T) {
			r := newRig(t)
			conf := t.TempDir() + "/conf"
			r.write(conf, nginxConf)
			c := r.run(s.name, r.bundle(func(spec *specs.Spec) {
				spec.Root.Path, spec.Root.Readonly = tree, true
				spec.Process.User = specs.User{UID: 65534, GID: 65534}
				spec.Mounts = append(spec.Mounts, specs.Mount{Destination: "/tmp", Type: "tmpfs", Source: "tmpfs"},
					specs.Mount{Destination: "/etc/nginx/nginx.conf", Type: "bind", Source: conf, Options: []string{"bind", "ro"}})
				spec.Linux.Resources = &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(64))}, Memory: &specs.LinuxMemory{Limit: ptr(int64(256 << 20))}}
			}, s.args...), client.CreateOptions{})
			r.serverLives(c, s)
		})
	}
}

type server struct {
	name                 string
	args                 []string
	address, ask, answer string
}

func (r *rig) serverLives(c *client.Container, s server) {
	r.Helper()
	pid := int(r.properties(c).PID)
	answers := func() (err error) {
		conn, err := dialInside(pid, s.address)
		if err != nil {
			return err
		}
		defer conn.Close()
		return talk(conn, s.ask, s.answer, patience)
	}
	var err error
	eventually(r.T, func() bool { err = answers(); return err == nil }, func() string {
		return fmt.Sprintf("%s does not serve: %v\n%s", s.name, err, outputOf("journalctl", "--no-pager", "--lines=20", "--unit=berth-"+s.name+".scope"))
	})
	if unit := shown(r.T, "berth-"+s.name+".scope"); unit["TasksMax"] != "64" || unit["MemoryMax"] != fmt.Sprint(256<<20) {
		r.Errorf("TasksMax=%s MemoryMax=%s, want 64 and 256M", unit["TasksMax"], unit["MemoryMax"])
	}
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/root/etc/written", pid), nil, 0o600); !errors.Is(err, syscall.EROFS) {
		r.Errorf("write below its root: %v, want a read-only file system", err)
	}

	r.must(c.Pause(r.ctx))
	conn, err := dialInside(pid, s.address) // the kernel's queue takes it
	r.must(err)
	defer conn.Close()
	if err := talk(conn, s.ask, s.answer, 300*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		r.Errorf("asked while paused: %v, want no answer", err)
	}
	r.must(c.Resume(r.ctx))
	if err := talk(conn, "", s.answer, patience); err != nil {
		r.Errorf("asked while paused, answer after the resume: %v", err)
	}
	r.must(answers())

	r.must(c.Stop(r.ctx, patience))
	if p := r.properties(c); p.ExitReason != "exit" || p.ExitCode != 0 {
		r.Errorf("%s ended with %+v", s.name, p)
	}
	r.must(c.Delete(r.ctx, false))
	r.same(r.before)
}

// dialInside connects within the network namespace of a process.
func dialInside(pid int, address string) (conn net.Conn, err error) {
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err == nil {
			conn, err = net.Dial("tcp4", address)
		}
	}()
	<-done
	return conn, err
}

// talk writes ask and reads until want has come.
func talk(conn net.Conn, ask, want string, limit time.Duration) error {
	if err := conn.SetDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, ask); err != nil {
		return err
	}
	var got strings.Builder
	buf := make([]byte, 4096)
	for !strings.Contains(got.String(), want) {
		n, err := conn.Read(buf)
		got.Write(buf[:n])
		if err != nil {
			return fmt.Errorf("%q, then %w", got.String(), err)
		}
	}
	return nil
}
