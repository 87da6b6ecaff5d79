package spec

import (
	"strings"
	"testing"
)

func TestValidID(t *testing.T) {
	for _, id := range []string{"a", "0", "web-1", "A_b.c-d", "a..b", strings.Repeat("x", 239)} {
		if err := ValidID(id); err != nil {
			t.Errorf("%q is refused: %v", id, err)
		}
	}
	for id, want := range map[string]string{
		"":                       `check container id "": it is empty`,
		".":                      `check container id ".": it must begin with a letter or digit`,
		"..":                     `begin with a letter or digit`,
		"-rf":                    `check container id "-rf": it must begin`,
		"_a":                     `begin with a letter or digit`,
		"a/b":                    `check container id "a/b": only letters, digits, "_", "." and "-" are allowed`,
		"../a":                   `begin with a letter or digit`,
		"a b":                    `only letters`,
		"a\x00":                  `check container id "a\x00": only letters`,
		"a\n":                    `only letters`,
		"a@b":                    `only letters`,
		"a%i":                    `only letters`,
		"a\\x2d":                 `only letters`,
		"\xff\xfe":               `check container id "\xff\xfe": it must begin`,
		"a\xff":                  `check container id "a\xff": only letters`,
		"ä":                      `begin with a letter or digit`,
		"aä":                     `only letters`,
		strings.Repeat("x", 240): `"... (240 bytes): at most 239 bytes are allowed`,
		strings.Repeat("x", 300): `(300 bytes): at most 239`,
	} {
		if err := ValidID(id); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", id, err, want)
		}
	}
	if name := "berth-" + strings.Repeat("x", maxIDLength) + ".scope"; len(name) > 255 {
		t.Errorf("the longest id makes a unit name of %d bytes", len(name))
	}
}
