package bus

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

// connect connects to the first unix socket of the address and authenticates.
func connect(ctx context.Context, address string) (*net.UnixConn, error) {
	path, err := socketPath(address)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	sock, ok := conn.(*net.UnixConn)
	if !ok {
		_ = conn.Close()
		return nil, fmt.Errorf("%T is not a unix socket", conn)
	}
	stop := context.AfterFunc(ctx, func() { _ = sock.SetDeadline(time.Unix(1, 0)) })
	err = authenticate(sock)
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = sock.Close()
		return nil, err
	}
	return sock, nil
}

// socketPath finds the socket in a D-Bus address ("unix:path=/run/x;unix:abstract=y"). An abstract name begins
// with "@", as in package net.
func socketPath(address string) (string, error) {
	for one := range strings.SplitSeq(address, ";") {
		keys, ok := strings.CutPrefix(one, "unix:")
		if !ok {
			continue
		}
		for pair := range strings.SplitSeq(keys, ",") {
			key, value, _ := strings.Cut(pair, "=")
			prefix, known := map[string]string{"path": "", "abstract": "@"}[key]
			if !known || value == "" {
				continue
			}
			name, err := dbus.UnescapeBusAddressValue(value)
			if err != nil {
				return "", err
			}
			return prefix + name, nil
		}
	}
	return "", errors.New(`no unix socket in the address, it must have the form "unix:path=/run/..."`)
}

// authenticate speaks the authentication protocol: EXTERNAL, descriptor passing, begin.
func authenticate(sock *net.UnixConn) error {
	uid := hex.EncodeToString([]byte(strconv.Itoa(os.Geteuid())))
	if err := ask(sock, "\x00AUTH EXTERNAL "+uid, "OK "); err != nil {
		return fmt.Errorf("authenticate: %w", err)
	}
	if err := ask(sock, "NEGOTIATE_UNIX_FD", "AGREE_UNIX_FD"); err != nil {
		return fmt.Errorf("negotiate descriptor passing: %w", err)
	}
	_, err := sock.Write([]byte("BEGIN\r\n"))
	return err
}

// ask sends a line and reads one that must begin as given.
func ask(sock *net.UnixConn, line, want string) error {
	if _, err := sock.Write([]byte(line + "\r\n")); err != nil {
		return err
	}
	answer, err := readLine(sock)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(answer, want) {
		return fmt.Errorf("the bus answered %q", answer)
	}
	return nil
}

// readLine reads byte by byte: what follows the last line belongs to the messages.
func readLine(sock *net.UnixConn) (string, error) {
	var line []byte
	for b := make([]byte, 1); len(line) < 1024; {
		if _, err := sock.Read(b); err != nil {
			return "", err
		}
		if b[0] == '\n' {
			return strings.TrimSuffix(string(line), "\r"), nil
		}
		line = append(line, b[0])
	}
	return "", errors.New("the bus sent an endless line")
}
