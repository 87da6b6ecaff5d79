package unit

import (
	"strings"
	"testing"
)

// What systemd-escape (252) prints for each.
func TestEscape(t *testing.T) {
	for s, want := range map[string]string{
		"":         "",
		"a-b":      `a\x2db`,
		".hid":     `\x2ehid`,
		"a.b:c_d":  "a.b:c_d",
		"x/y":      "x-y",
		"/":        "-",
		"a b":      `a\x20b`,
		"é":        `\xc3\xa9`,
		`\x`:       `\x5cx`,
		"@":        `\x40`,
		"\xff\x00": `\xff\x00`,
	} {
		if got := Escape(s); got != want {
			t.Errorf("Escape(%q) = %q, want %q", s, got, want)
		}
		if got, err := Unescape(want); err != nil || got != s {
			t.Errorf("Unescape(%q) = %q, %v, want %q", want, got, err, s)
		}
	}
}

func TestUnescapeRefuses(t *testing.T) {
	for _, s := range []string{`\`, `\x`, `\x2`, `\xg0`, `\y20`, "a b", "@", "a/b", `abc\x2`} {
		if got, err := Unescape(s); err == nil {
			t.Errorf("Unescape(%q) = %q, want an error", s, got)
		} else if !strings.Contains(err.Error(), "unescape \"") {
			t.Errorf("Unescape(%q): %v: does not quote", s, err)
		}
	}
}

// What sd_bus_path_encode and systemd's own unit object paths have.
func TestBusPathEscape(t *testing.T) {
	for s, want := range map[string]string{
		"":              "_",
		"_":             "_5f",
		"berth-a.scope": "berth_2da_2escope",
		"1a":            "_31a",
		"a1":            "a1",
		"web-1":         "web_2d1",
		"é":             "_c3_a9",
	} {
		if got := BusPathEscape(s); got != want {
			t.Errorf("BusPathEscape(%q) = %q, want %q", s, got, want)
		}
		if got, err := BusPathUnescape(want); err != nil || got != s {
			t.Errorf("BusPathUnescape(%q) = %q, %v, want %q", want, got, err, s)
		}
	}
}

func TestBusPathUnescapeRefuses(t *testing.T) {
	for _, s := range []string{"", "_2", "a_", "_zz", "a-b", "1a", "_61", "_2D", "__"} {
		if got, err := BusPathUnescape(s); err == nil {
			t.Errorf("BusPathUnescape(%q) = %q, want an error", s, got)
		}
	}
}

func TestScopeName(t *testing.T) {
	for id, want := range map[string]string{
		"web":     "berth-web.scope",
		"web-1":   "berth-web-1.scope",
		"a.b_c:d": "berth-a.b_c:d.scope",
		"a b":     `berth-a\x20b.scope`,
		"a@b":     `berth-a\x40b.scope`,
		"a/b":     `berth-a\x2fb.scope`,
		`a\b`:     `berth-a\x5cb.scope`,
	} {
		if got := ScopeName(id); got != want {
			t.Errorf("ScopeName(%q) = %q, want %q", id, got, want)
		}
		if got, ok := ParseScopeName(want); !ok || got != id {
			t.Errorf("ParseScopeName(%q) = %q, %v, want %q", want, got, ok, id)
		}
	}
}

func TestParseScopeNameRefuses(t *testing.T) {
	for _, n := range []string{"", "web.scope", "berth-web.service", `berth-a\x2db.scope`, "berth-a@b.scope",
		`berth-\x2F.scope`, "berth-.scop", "init.scope", "berth-a/b.scope"} {
		if id, ok := ParseScopeName(n); ok {
			t.Errorf("ParseScopeName(%q) = %q, want none", n, id)
		}
	}
}

func FuzzEscape(f *testing.F) {
	for _, s := range []string{"", "a-b", ".x", "/", `\x2d`, "\xff", "_"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, err := Unescape(Escape(s)); err != nil || got != s {
			t.Errorf("unit: %q -> %q -> %q, %v", s, Escape(s), got, err)
		}
		if got, err := BusPathUnescape(BusPathEscape(s)); err != nil || got != s {
			t.Errorf("bus path: %q -> %q -> %q, %v", s, BusPathEscape(s), got, err)
		}
		if got, ok := ParseScopeName(ScopeName(s)); !ok || got != s {
			t.Errorf("scope: %q -> %q -> %q, %v", s, ScopeName(s), got, ok)
		}
	})
}

func FuzzUnescape(f *testing.F) {
	f.Add(`a\x2d`)
	f.Add("_2d")
	f.Fuzz(func(t *testing.T, s string) {
		if got, err := BusPathUnescape(s); err == nil && BusPathEscape(got) != s {
			t.Errorf("%q is a second path of %q", s, got)
		}
		if got, ok := ParseScopeName(s); ok && ScopeName(got) != s {
			t.Errorf("%q is a second name of %q", s, got)
		}
		_, _ = Unescape(s)
	})
}
