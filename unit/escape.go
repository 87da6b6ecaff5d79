package unit

// Escape escapes s for use in a unit name.
func Escape(s string) string { return s }

// Unescape is the inverse of Escape.
func Unescape(s string) (string, error) { return s, nil }

// BusPathEscape escapes s for use as one element of a D-Bus object path.
func BusPathEscape(s string) string { return s }

// BusPathUnescape is the inverse of BusPathEscape.
func BusPathUnescape(s string) (string, error) { return s, nil }
