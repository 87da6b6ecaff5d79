package spec

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// filesystems maps each type that Berth mounts, bind mounts apart, to its own options and the checks of
// their values; nil is for an option without a value. Option lists: tmpfs(5), proc(5), Linux:
// fs/devpts/inode.c. The options of cgroup2 are not here: they change the host's whole hierarchy.
var filesystems = map[string]map[string]func(string) error{
	"proc":  {"hidepid": oneOf("0", "1", "2", "4", "off", "noaccess", "invisible", "ptraceable"), "gid": isID, "subset": oneOf("pid")},
	"sysfs": {},
	"tmpfs": {
		"size": matches(sizeOrPercent, "a size such as 64m or 50%"), "nr_blocks": matches(size, "a number"), "nr_inodes": matches(size, "a number"),
		"mode": isMode, "uid": isID, "gid": isID, "huge": oneOf("never", "always", "within_size", "advise"), "mpol": notEmpty,
		"inode32": nil, "inode64": nil, "noswap": nil, "quota": nil, "usrquota": nil, "grpquota": nil,
		"usrquota_block_hardlimit": matches(size, "a size"), "usrquota_inode_hardlimit": matches(size, "a number"),
		"grpquota_block_hardlimit": matches(size, "a size"), "grpquota_inode_hardlimit": matches(size, "a number"),
	},
	"devpts":  {"newinstance": nil, "mode": isMode, "ptmxmode": isMode, "uid": isID, "gid": isID, "max": matches(number, "a number")},
	"mqueue":  {},
	"cgroup":  {},
	"cgroup2": {},
}

const supportedMounts = "Berth mounts proc, sysfs, tmpfs, devpts, mqueue, cgroup and, with the option bind or rbind, anything else"

var (
	number        = regexp.MustCompile(`^\d{1,10}$`)
	size          = regexp.MustCompile(`^\d{1,19}[kKmMgGtTpPeE]?$`)
	sizeOrPercent = regexp.MustCompile(`^\d{1,19}[kKmMgGtTpPeE%]?$`)
)

func matches(re *regexp.Regexp, what string) func(string) error {
	return func(value string) error {
		if !re.MatchString(value) {
			return fmt.Errorf("%s is not %s", quote(value), what)
		}
		return nil
	}
}

func oneOf(words ...string) func(string) error {
	return func(value string) error {
		if !slices.Contains(words, value) {
			return fmt.Errorf("%s is not one of %s", quote(value), strings.Join(words, ", "))
		}
		return nil
	}
}

func notEmpty(value string) error {
	if value == "" {
		return errors.New("its value is empty")
	}
	return nil
}

func isMode(value string) error {
	if n, err := strconv.ParseUint(value, 8, 16); err != nil || n > 0o7777 {
		return fmt.Errorf("%s is not an octal mode", quote(value))
	}
	return nil
}

func isID(value string) error {
	if n, err := strconv.ParseUint(value, 10, 32); err != nil || n == noID {
		return fmt.Errorf("%s is not a numeric id", quote(value))
	}
	return nil
}

// checkData checks one option of a file system's own.
func checkData(fstype, word string) error {
	name, value, hasValue := strings.Cut(word, "=")
	check, ok := filesystems[fstype][name]
	switch {
	case !ok:
		return fmt.Errorf("%s is no option of %s, nor one of all file systems", quote(word), fstype)
	case check == nil && hasValue:
		return fmt.Errorf("%s takes no value", quote(name))
	case check == nil:
		return nil
	case !hasValue:
		return fmt.Errorf("%s needs a value", quote(name))
	}
	if err := check(value); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
