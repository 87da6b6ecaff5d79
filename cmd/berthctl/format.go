package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// formatSize writes bytes as systemctl status does, "1.5M" (src/basic/format-util.c, FORMAT_BYTES).
func formatSize(n uint64) string {
	if n == infinity {
		return "infinity"
	}
	if n < 1024 {
		return strconv.FormatUint(n, 10) + "B"
	}
	exponent, unit := 0, uint64(1)
	for n/unit >= 1024 {
		unit *= 1024
		exponent++
	}
	tenths := n / (unit / 1024) * 10 / 1024 % 10
	return fmt.Sprintf("%d.%d%c", n/unit, tenths, sizeUnits[exponent])
}

// formatCount writes a number, or "infinity" for no limit.
func formatCount(n uint64) string {
	if n == infinity {
		return "infinity"
	}
	return strconv.FormatUint(n, 10)
}

// formatSpan writes a duration with its two largest units, "1min 30s"; below a minute in fractions of a second.
func formatSpan(d time.Duration) string {
	switch {
	case d <= 0:
		return "0"
	case d < time.Second:
		return fmt.Sprintf("%.3gms", float64(d)/1e6)
	case d < time.Minute:
		return strconv.FormatFloat(float64(d.Truncate(time.Millisecond))/1e9, 'f', -1, 64) + "s"
	}
	units := []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}}
	var parts []string
	for _, u := range units {
		if n := d / u.size; n > 0 && len(parts) < 2 {
			parts = append(parts, strconv.Itoa(int(n))+u.name)
			d -= n * u.size
		} else if len(parts) > 0 {
			break
		}
	}
	return strings.Join(parts, " ")
}

// formatAgo says how long before now a moment was, in the coarse form a list wants.
func formatAgo(usec uint64, now time.Time) string {
	if usec == 0 {
		return ""
	}
	d := now.Sub(time.UnixMicro(int64(usec))).Truncate(time.Second)
	if d <= 0 {
		return "now"
	}
	return formatSpan(d) + " ago"
}

// formatTimestamp writes a moment as systemctl show does; none is the empty string.
func formatTimestamp(usec uint64) string {
	if usec == 0 {
		return ""
	}
	return time.UnixMicro(int64(usec)).Format("Mon 2006-01-02 15:04:05 MST")
}

// formatBool is systemd's yes or no.
func formatBool(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// formatMap writes k=v words sorted by key, quoted where a space would make them ambiguous.
func formatMap(m map[string]string) string {
	var words []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		word := k + "=" + m[k]
		if strings.ContainsAny(word, " \t\n\"'\\") {
			word = strconv.Quote(word)
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}
