package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/berth-project/berth/runtime/lifecycle"
)

// config is the service's configuration.
type config struct {
	LogLevel      slog.Level `toml:"log-level"`      // "debug", "info", "warn" or "error"
	MaxContainers int        `toml:"max-containers"` // at the same time
	Slice         string     `toml:"slice"`          // of containers whose creator names none
	StopTimeout   duration   `toml:"stop-timeout"`   // between SIGTERM and SIGKILL, such as "10s"
}

// duration reads what time.ParseDuration does.
type duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return err
	}
	*d = duration(v)
	return nil
}

func defaultConfig() config {
	return config{
		LogLevel: slog.LevelInfo, MaxContainers: lifecycle.DefaultMaxContainers,
		Slice: lifecycle.DefaultSlice, StopTimeout: duration(lifecycle.DefaultStopTimeout),
	}
}

const (
	configName = "berthd.toml"
	dropInName = "berthd.toml.d"
)

// sources are one file, or else directories of which an earlier one wins, as systemd's do.
type sources struct {
	file string
	dirs []string
}

// files lists what to read, in order. The main file is the first there is; of drop-ins with the same name likewise,
// and they are read in the order of their names. See "Configuration Directories and Precedence" in systemd.syntax(7)
// and systemd-system.conf(5).
func (s sources) files() ([]string, error) {
	if s.file != "" {
		return []string{s.file}, nil
	}
	var files []string
	dropIns := map[string]string{}
	for _, dir := range s.dirs {
		main := filepath.Join(dir, configName)
		if _, err := os.Stat(main); err == nil && files == nil {
			files = []string{main}
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("find configuration: %w", err)
		}
		entries, err := os.ReadDir(filepath.Join(dir, dropInName))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("find configuration: %w", err)
		}
		for _, e := range entries {
			if _, taken := dropIns[e.Name()]; !taken && strings.HasSuffix(e.Name(), ".toml") {
				dropIns[e.Name()] = filepath.Join(dir, dropInName, e.Name())
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(dropIns)) {
		files = append(files, dropIns[name])
	}
	return files, nil
}

// loadConfig reads all sources; a key of a later file replaces that of an earlier one.
func loadConfig(s sources) (config, error) {
	cfg := defaultConfig()
	files, err := s.files()
	if err != nil {
		return config{}, err
	}
	for _, file := range files {
		if err := cfg.read(file); err != nil {
			return config{}, err
		}
	}
	return cfg, nil
}

func (cfg *config) read(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	meta, err := toml.Decode(string(data), cfg)
	if parse := new(toml.ParseError); errors.As(err, parse) {
		return fmt.Errorf("read configuration: %s:%d: %w", file, parse.Position.Line, err)
	}
	if err != nil {
		return fmt.Errorf("read configuration: %s: %w", file, err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		key := unknown[0][len(unknown[0])-1]
		return fmt.Errorf("read configuration: %s:%d: key %q is not known", file, lineOf(string(data), key), key)
	}
	if key, err := cfg.check(); err != nil {
		return fmt.Errorf("read configuration: %s:%d: %w", file, lineOf(string(data), key), err)
	}
	return nil
}

// check returns the key that is wrong.
func (cfg *config) check() (key string, err error) {
	switch {
	case cfg.MaxContainers < 1:
		return "max-containers", fmt.Errorf("max-containers %d: it must be at least 1", cfg.MaxContainers)
	case !lifecycle.ValidSlice(cfg.Slice):
		return "slice", fmt.Errorf("slice %q: it must be the name of a slice unit, such as %q", cfg.Slice, lifecycle.DefaultSlice)
	case cfg.StopTimeout <= 0:
		return "stop-timeout", fmt.Errorf("stop-timeout %q: it must be above 0", time.Duration(cfg.StopTimeout))
	}
	return "", nil
}

// lineOf finds the line of a key or table, which the TOML package does not tell: 0 if it is written in an unusual way.
func lineOf(text, key string) int {
	n := 0
	for line := range strings.Lines(text) {
		n++
		name, _, _ := strings.Cut(line, "=")
		if strings.Trim(name, "[]\"' \t\n") == key {
			return n
		}
	}
	return 0
}
