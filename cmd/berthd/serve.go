package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-project/berth/activation"
	"github.com/berth-project/berth/dbusapi"
	"github.com/berth-project/berth/runtime/journal"
	"github.com/berth-project/berth/runtime/keeper"
	"github.com/berth-project/berth/runtime/kernel"
	"github.com/berth-project/berth/runtime/lifecycle"
	"github.com/berth-project/berth/scope"
)

// defaultRuntimeDir is RuntimeDirectory= of berthd.service; systemd says it in the environment, too.
const defaultRuntimeDir = "/run/berth"

// startUpTimeout bounds the recovery. Where it is not enough, the next start goes on where it ended.
const startUpTimeout = 75 * time.Second

// errBusLost ends the service: everything on the bus (our name, the matches, the callers we answer to) is gone, and
// starting again is what we do best. systemd restarts us.
var errBusLost = errors.New("the system bus is lost")

// service is the parts, in the order they are made.
type service struct {
	logger   *slog.Logger
	notifier *activation.Notifier
	journal  *journal.Client
	scopes   *scope.Manager
	manager  atomic.Pointer[lifecycle.Manager]
	events   outbox
	server   *dbusapi.Server
}

// serve runs the service until ctx ends or the bus is lost. Containers live on either way.
func serve(ctx context.Context, cfg config, env environment, logger *slog.Logger) error {
	notifier, err := activation.NewNotifier(env.getenv("NOTIFY_SOCKET"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	s := &service{logger: logger, notifier: notifier}
	defer s.close()
	if err := s.start(ctx, cfg, runtimeDir(env.getenv)); err != nil {
		return err
	}
	n := len(s.manager.Load().List())
	logger.Info("ready", "version", version, "containers", n)
	s.notify("READY=1", fmt.Sprintf("STATUS=Ready, containers found at the start: %d.", n))
	select {
	case <-ctx.Done():
		s.notify("STOPPING=1")
		return nil
	case <-s.server.Done():
		return fmt.Errorf("%w: %w", errBusLost, s.server.Err())
	}
}

func runtimeDir(getenv func(string) string) string {
	if dir := getenv("RUNTIME_DIRECTORY"); dir != "" {
		return dir
	}
	return defaultRuntimeDir
}

// start makes the parts. The name on the bus comes last, when everything behind it is in step.
func (s *service) start(ctx context.Context, cfg config, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, startUpTimeout)
	defer cancel()
	facts, err := kernel.Probe()
	if err != nil {
		return err
	}
	if s.journal, err = journal.Open(""); err != nil {
		return err
	}
	s.scopes, err = scope.New(ctx, scope.Config{
		Logger: s.logger, OnRequestStop: s.onRequestStop, OnRemoved: s.onRemoved,
	})
	if err != nil {
		return err
	}
	manager, err := lifecycle.New(ctx, lifecycle.Config{
		StateDir:   filepath.Join(dir, "containers"),
		DialKeeper: dialer(filepath.Join(dir, "keeper.sock")),
		Scopes:     scopes{s.scopes, systemdUnits}, Logs: s.journal, Facts: facts,
		Logger: s.logger, OnEvent: s.events.put,
		MaxContainers: cfg.MaxContainers, Slice: cfg.Slice, StopTimeout: time.Duration(cfg.StopTimeout),
	})
	if err != nil {
		return err
	}
	s.manager.Store(manager)
	s.server, err = dbusapi.New(ctx, dbusapi.Config{
		Manager: manager, Logger: s.logger, Version: version, OCIVersions: []string{"1.0.0", specs.Version},
		Features: []string{"log-journald", "log-none", "listen-fds", "scope-properties", "stdio-fds"},
	})
	if err != nil {
		return err
	}
	s.events.attach(s.server.Notify)
	return nil
}

// close takes the parts away, in the reverse order.
func (s *service) close() {
	if m := s.manager.Load(); m != nil {
		m.Close()
	}
	if s.server != nil {
		s.server.Close()
	}
	if s.scopes != nil {
		s.scopes.Close() //nolint:errcheck // it never fails
	}
	if s.journal != nil {
		s.journal.Close() //nolint:errcheck // nothing is buffered
	}
}

// onRequestStop and onRemoved do nothing before there is a manager, whose recovery sees for itself.
func (s *service) onRequestStop(name string) {
	if m := s.manager.Load(); m != nil {
		m.StopScope(name)
	}
}

func (s *service) onRemoved(name string) {
	if m := s.manager.Load(); m != nil {
		m.ScopeRemoved(name)
	}
}

func (s *service) notify(assignments ...string) {
	if err := s.notifier.Notify(assignments...); err != nil {
		s.logger.Warn("notify systemd, ignoring", "error", err)
	}
}

// dialer connects to the keeper's socket, which systemd listens on.
func dialer(path string) lifecycle.KeeperDialer {
	return func(ctx context.Context, onRecord func(keeper.Record), onLost func(error)) (lifecycle.Keeper, error) {
		client, err := keeper.Dial(ctx, keeper.ClientConfig{Path: path, OnRecord: onRecord, OnLost: onLost})
		if err != nil {
			return nil, err // not client: a nil pointer in an interface is not nil
		}
		return client, nil
	}
}
