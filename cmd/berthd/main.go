// Command berthd is the service: it serves org.berth1 on the system bus and keeps the containers' records, scopes and
// logs in step. It may be killed and started again at any moment; see package lifecycle.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// version is set by the linker.
var version = "unknown"

const usage = `usage: berthd [--config FILE] [--version] [--help]

Runs containers in systemd scopes and serves them as org.berth1 on the system bus.

  --config FILE   read FILE alone, instead of /etc/berth/berthd.toml (or else
                  /usr/lib/berth/berthd.toml) and berthd.toml.d/*.toml beside both
`

// environment is what run needs of the process it runs in.
type environment struct {
	getenv         func(string) string
	stdout, stderr io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	status := run(ctx, os.Args[1:], environment{getenv: os.Getenv, stdout: os.Stdout, stderr: os.Stderr})
	stop()
	os.Exit(status)
}

// run returns the exit status: 2 for wrong usage, 1 for failure. It ends when ctx does.
func run(ctx context.Context, args []string, env environment) int {
	o, err := parse(args)
	switch {
	case err != nil:
		fmt.Fprintf(env.stderr, "berthd: %v; see berthd --help\n", err)
		return 2
	case o.help:
		fmt.Fprint(env.stdout, usage)
		return 0
	case o.version:
		fmt.Fprintf(env.stdout, "berthd %s\n", version)
		return 0
	}
	cfg, err := loadConfig(o.sources())
	if err != nil {
		fmt.Fprintf(env.stderr, "berthd: %v\n", err)
		return 1
	}
	logger := newLogger(env.stderr, cfg.LogLevel)
	if err := serve(ctx, cfg, env, logger); err != nil {
		logger.Error("stopped", "error", err)
		return 1
	}
	return 0
}
