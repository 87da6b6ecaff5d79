package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	hostname   = "berth-box"
	searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	// bootUnit is what the box boots to. What the machine has enabled is not part of it: see configure.
	bootUnit = "multi-user.target"
)

// maskedUnits are units of systemd itself that would change the machine's kernel (sysctl, modules, devices,
// random seed), or wait for what a box has not.
func maskedUnits() []string {
	return []string{
		"dev-hugepages.mount", "kmod-static-nodes.service", "ldconfig.service", "modprobe@.service",
		"proc-sys-fs-binfmt_misc.automount", "proc-sys-fs-binfmt_misc.mount",
		"sys-fs-fuse-connections.mount", "sys-kernel-config.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount",
		"systemd-binfmt.service", "systemd-firstboot.service", "systemd-hwdb-update.service",
		"systemd-journal-catalog-update.service", "systemd-journald-audit.socket", "systemd-modules-load.service",
		"systemd-pstore.service", "systemd-random-seed.service", "systemd-remount-fs.service",
		"systemd-sysctl.service", "systemd-udev-settle.service", "systemd-udev-trigger.service",
		"systemd-udevd.service", "systemd-udevd-control.socket", "systemd-udevd-kernel.socket",
		"getty.target",
	}
}

// configure gives the tree a configuration that does not depend on the machine's, and installs the project.
func configure(root, project string) error {
	// All that was enabled or configured on the machine: its services, timers and mounts are not the box's.
	for _, path := range []string{"etc/systemd", "etc/fstab", "etc/rc.local"} {
		if err := os.RemoveAll(filepath.Join(root, path)); err != nil {
			return err
		}
	}
	if err := writeConfiguration(root); err != nil {
		return err
	}
	if err := maskUnits(root); err != nil {
		return err
	}
	if project == "" {
		return nil
	}
	return install(root, project)
}

func writeConfiguration(root string) error {
	id := make([]byte, 16)
	rand.Read(id) //nolint:errcheck // never fails, see crypto/rand
	files := map[string]string{
		"etc/hostname":              hostname + "\n",
		"etc/hosts":                 "127.0.0.1 localhost " + hostname + "\n::1 localhost\n",
		"etc/machine-id":            hex.EncodeToString(id) + "\n", // known: else PID 1 takes this for a first boot
		"etc/systemd/journald.conf": "[Journal]\nStorage=volatile\n",
		"etc/.updated":              "", // newer than /usr: no unit with ConditionNeedsUpdate= runs
		"var/.updated":              "",
	}
	for path, text := range files {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		// A link here would be followed out of the tree.
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// maskUnits masks units and every generator: those write units for the machine's disks, consoles and SysV scripts.
func maskUnits(root string) error {
	generators, err := os.ReadDir(filepath.Join(root, "usr/lib/systemd/system-generators"))
	if err != nil {
		return err
	}
	links := make([]string, 0, len(generators))
	for _, generator := range generators {
		links = append(links, "etc/systemd/system-generators/"+generator.Name())
	}
	for _, unit := range maskedUnits() {
		links = append(links, "etc/systemd/system/"+unit)
	}
	for _, link := range links {
		link = filepath.Join(root, link)
		if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
			return err
		}
		if err := os.Symlink("/dev/null", link); err != nil {
			return err
		}
	}
	return nil
}

// install installs the project as a package would: its files, and its sockets enabled.
func install(root, project string) error {
	if err := command("make", "--no-print-directory", "--silent", "-C", project, "install", "DESTDIR="+root); err != nil {
		return fmt.Errorf("install project %q: %w", project, err)
	}
	sockets, err := filepath.Glob(filepath.Join(root, "usr/lib/systemd/system/berth*.socket"))
	if err != nil || len(sockets) == 0 {
		return err
	}
	arguments := []string{"--quiet", "--root=" + root, "enable"}
	for _, socket := range sockets {
		arguments = append(arguments, filepath.Base(socket))
	}
	if err := command("systemctl", arguments...); err != nil {
		return fmt.Errorf("enable sockets of project: %w", err)
	}
	return nil
}

// command runs a program and makes its output the error.
func command(name string, arguments ...string) error {
	output, err := exec.Command(name, arguments...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(output)))
	}
	return nil
}
