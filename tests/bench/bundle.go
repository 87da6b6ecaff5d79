package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// bundle is what everyone runs: busybox's true, with the configuration that
// runc spec writes and crun and runc run as it is.
type bundle struct{ dir, idle string }

func (b *bundle) remove() {
	os.RemoveAll(b.dir)
	os.RemoveAll(b.idle)
}

func makeBundle() (*bundle, error) {
	var b bundle
	for dir, args := range map[*string][]string{&b.dir: {"/bin/true"}, &b.idle: {"/bin/sleep", "1000000"}} {
		var err error
		if *dir, err = bundleOf(args); err != nil {
			return nil, fmt.Errorf("make bundle: %w", err)
		}
	}
	return &b, nil
}

func bundleOf(args []string) (string, error) {
	dir, err := os.MkdirTemp("/run", "bench-")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "rootfs", "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return "", err
	}
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(bin, "busybox"), busybox, 0o755); err != nil {
		return "", err
	}
	for _, name := range []string{"true", "sleep", "sh"} {
		if err := os.Symlink("busybox", filepath.Join(bin, name)); err != nil {
			return "", err
		}
	}
	for _, name := range []string{"dev", "proc", "sys", "etc", "run", "tmp"} {
		if err := os.Mkdir(filepath.Join(dir, "rootfs", name), 0o755); err != nil {
			return "", err
		}
	}
	return dir, writeConfig(dir, args)
}

// writeConfig changes of runc's own configuration only the terminal and the program.
func writeConfig(dir string, args []string) error {
	if out, err := exec.Command("runc", "spec", "--bundle", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("runc spec: %w: %s", err, out)
	}
	path := filepath.Join(dir, "config.json")
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var spec specs.Spec
	if err := json.Unmarshal(text, &spec); err != nil {
		return err
	}
	spec.Process.Terminal = false
	spec.Process.Args = args
	// crun raises RLIMIT_MEMLOCK for the device program, which needs CAP_SYS_RESOURCE; boxes have none.
	spec.Linux.Resources = nil
	if text, err = json.Marshal(&spec); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}
