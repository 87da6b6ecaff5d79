package unit

import (
	"fmt"
	"strings"
)

const hexDigits = "0123456789abcdef"

// Escape is unit_name_escape of systemd (src/basic/unit-name.c), what "systemd-escape STRING" prints: "/"
// becomes "-"; everything but letters, digits, ":", "_" and "." becomes "\xXX", and so does a leading ".". The
// bytes of s need not be UTF-8.
func Escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c == '/':
			b.WriteByte('-')
		case c == '.' && i == 0, c == '-', !nameByte(c):
			writeHex(&b, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// Unescape is the inverse of Escape, unit_name_unescape of systemd: "-" becomes "/", "\xXX" the byte.
func Unescape(s string) (string, error) {
	return unescape(s, true)
}

// BusPathEscape is bus_label_escape of systemd (src/basic/bus-label.c), which sd_bus_path_encode(3) uses: the
// empty string becomes "_", every byte but ASCII letters and digits, and a leading digit, becomes "_xx". The
// result is one valid element of a D-Bus object path.
func BusPathEscape(s string) string {
	if s == "" {
		return "_"
	}
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if letter(c) || (i > 0 && digit(c)) {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('_')
		b.WriteByte(hexDigits[c>>4])
		b.WriteByte(hexDigits[c&15])
	}
	return b.String()
}

// BusPathUnescape is the inverse of BusPathEscape. Unlike systemd it refuses what BusPathEscape does not
// write, so that an object has exactly one path.
func BusPathUnescape(s string) (string, error) {
	if s == "_" {
		return "", nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '_' {
			b.WriteByte(s[i])
			continue
		}
		c, ok := hexByte(s[i+1:])
		if !ok {
			return "", fmt.Errorf("unescape bus path element %q: bad escape at byte %d", s, i)
		}
		b.WriteByte(c)
		i += 2
	}
	if BusPathEscape(b.String()) != s {
		return "", fmt.Errorf("unescape bus path element %q: not in the form that escaping writes", s)
	}
	return b.String(), nil
}

// unescape resolves "\xXX", and "-" to "/" where slash is set.
func unescape(s string, slash bool) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case slash && s[i] == '-':
			b.WriteByte('/')
		case s[i] == '\\':
			if len(s) < i+4 || s[i+1] != 'x' {
				return "", fmt.Errorf("unescape %q: bad escape at byte %d", s, i)
			}
			c, ok := hexByte(s[i+2:])
			if !ok {
				return "", fmt.Errorf("unescape %q: bad escape at byte %d", s, i)
			}
			b.WriteByte(c)
			i += 3
		case s[i] == '-' || nameByte(s[i]):
			b.WriteByte(s[i])
		default:
			return "", fmt.Errorf("unescape %q: byte %q is not allowed in a unit name", s, s[i])
		}
	}
	return b.String(), nil
}

func writeHex(b *strings.Builder, c byte) {
	b.WriteString(`\x`)
	b.WriteByte(hexDigits[c>>4])
	b.WriteByte(hexDigits[c&15])
}

func hexByte(s string) (byte, bool) {
	if len(s) < 2 {
		return 0, false
	}
	hi, lo := strings.IndexByte(hexDigits, lower(s[0])), strings.IndexByte(hexDigits, lower(s[1]))
	return byte(hi<<4 | lo), hi >= 0 && lo >= 0
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'F' {
		return c + 'a' - 'A'
	}
	return c
}

// nameByte tells the bytes that stay as they are in a unit name (VALID_CHARS of src/basic/unit-name.c, but for
// "-" and "\", which have a meaning of their own).
func nameByte(c byte) bool { return letter(c) || digit(c) || c == ':' || c == '_' || c == '.' }

func letter(c byte) bool { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') }
func digit(c byte) bool  { return c >= '0' && c <= '9' }
