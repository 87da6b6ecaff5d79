package unit

import "strings"

const (
	scopePrefix = "berth-"
	scopeSuffix = ".scope"
)

// NameMax is the longest unit name systemd takes (UNIT_NAME_MAX of src/basic/unit-def.h, without the NUL).
const NameMax = 255

// ScopePattern matches every name that ScopeName makes, in the glob syntax of ListUnitsByPatterns.
const ScopePattern = scopePrefix + "*" + scopeSuffix

// ScopeName is the name of the transient scope of the container id: "berth-<id>.scope". Bytes that a unit name
// cannot have become "\xXX"; "-" stays, so that the name of "web-1" is readable. Different ids have different
// names. Whether the result is longer than NameMax is for the caller to check.
func ScopeName(id string) string {
	var b strings.Builder
	b.WriteString(scopePrefix)
	for i := range len(id) {
		if c := id[i]; c == '-' || nameByte(c) {
			b.WriteByte(c)
		} else {
			writeHex(&b, c)
		}
	}
	b.WriteString(scopeSuffix)
	return b.String()
}

// ParseScopeName is the inverse of ScopeName; ok is false for every name that ScopeName does not make.
func ParseScopeName(name string) (id string, ok bool) {
	s, found := strings.CutPrefix(name, scopePrefix)
	if !found {
		return "", false
	}
	if s, found = strings.CutSuffix(s, scopeSuffix); !found {
		return "", false
	}
	id, err := unescape(s, false)
	if err != nil || ScopeName(id) != name {
		return "", false
	}
	return id, true
}
