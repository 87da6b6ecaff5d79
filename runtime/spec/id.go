package spec

import "fmt"

// maxIDLength keeps berth-<id>.scope within the 255 bytes of a unit name (systemd: src/basic/unit-name.h,
// UNIT_NAME_MAX), with room for the longest name made from an id, berth-<id>.service.d as a directory. The
// escaped object path, three bytes for each, has no limit of its own.
const maxIDLength = 255 - len("berth-.service.d")

// ValidID reports whether id may name a container: 1 to 239 bytes of ASCII letters, digits, "_", "." and
// "-", of which the first is a letter or digit. Such an id needs no escaping in a unit name, cannot leave a
// directory, is no option, and is escaped in a D-Bus object path without loss.
func ValidID(id string) error {
	switch {
	case id == "":
		return fmt.Errorf("check container id %q: it is empty", id)
	case len(id) > maxIDLength:
		return fmt.Errorf("check container id %s: at most %d bytes are allowed", quote(id), maxIDLength)
	case !isAlphanumeric(id[0]):
		return fmt.Errorf("check container id %q: it must begin with a letter or digit", id)
	}
	for i := range len(id) {
		if c := id[i]; !isAlphanumeric(c) && c != '_' && c != '.' && c != '-' {
			return fmt.Errorf("check container id %q: only letters, digits, \"_\", \".\" and \"-\" are allowed", id)
		}
	}
	return nil
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
