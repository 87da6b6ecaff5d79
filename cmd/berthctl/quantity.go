package main

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// infinity is how systemd writes "no limit" in a 64 bit property.
const infinity = uint64(math.MaxUint64)

// sizeUnits are the binary suffixes of systemd.syntax(7), "sizes in bytes".
const sizeUnits = "BKMGTPE"

// parseSize parses a size in bytes as systemd does (src/basic/parse-util.c, parse_size): 1024-based suffixes
// K M G T P E, fractions, "infinity".
func parseSize(s string) (uint64, error) {
	if s == "infinity" {
		return infinity, nil
	}
	number, unit := splitNumber(s)
	unit = strings.TrimSuffix(strings.TrimSpace(unit), "B")
	exponent := 0
	if unit != "" {
		exponent = strings.Index(sizeUnits, unit)
	}
	if len(unit) > 1 || exponent < 0 {
		return 0, fmt.Errorf("parse size %q: not a number with one of the suffixes K M G T P E", s)
	}
	n, err := scale(number, 1<<(10*exponent))
	if err != nil {
		return 0, fmt.Errorf("parse size %q: %w", s, err)
	}
	return n, nil
}

// spanUnits are the time units of systemd.time(7), in microseconds.
var spanUnits = map[string]uint64{
	"us": 1, "usec": 1, "µs": 1, "μs": 1,
	"ms": 1e3, "msec": 1e3,
	"": 1e6, "s": 1e6, "sec": 1e6, "second": 1e6, "seconds": 1e6,
	"m": 60e6, "min": 60e6, "minute": 60e6, "minutes": 60e6,
	"h": 3600e6, "hr": 3600e6, "hour": 3600e6, "hours": 3600e6,
	"d": 86400e6, "day": 86400e6, "days": 86400e6,
	"w": 604800e6, "week": 604800e6, "weeks": 604800e6,
}

// parseSpan parses a time span as systemd.time(7) describes it, "90", "1min 30s" or "infinity", to microseconds.
func parseSpan(s string) (uint64, error) {
	if s == "infinity" {
		return infinity, nil
	}
	rest := strings.TrimSpace(s)
	if rest == "" {
		return 0, fmt.Errorf("parse time span %q: it is empty", s)
	}
	if rest[0] == '-' {
		return 0, fmt.Errorf("parse time span %q: it is negative", s)
	}
	var total uint64
	for rest != "" {
		number, tail := splitNumber(rest)
		tail = strings.TrimLeft(tail, " ")
		end := strings.IndexAny(tail, " .0123456789")
		if end < 0 {
			end = len(tail)
		}
		unit, known := spanUnits[tail[:end]]
		if !known {
			return 0, fmt.Errorf("parse time span %q: unknown unit %q, use us ms s min h d w", s, tail[:end])
		}
		n, err := scale(number, unit)
		if err != nil || total+n < total {
			return 0, fmt.Errorf("parse time span %q: not a span such as 90 or \"1min 30s\"", s)
		}
		total += n
		rest = strings.TrimLeft(tail[end:], " ")
	}
	return total, nil
}

// parsePermyriad parses a percentage with at most two decimals to ten-thousandths.
func parsePermyriad(s string) (uint64, error) {
	number, ok := strings.CutSuffix(s, "%")
	if !ok {
		return 0, fmt.Errorf("parse percentage %q: it does not end in %%", s)
	}
	n, err := scale(number, 100)
	if err != nil {
		return 0, fmt.Errorf("parse percentage %q: %w", s, err)
	}
	return n, nil
}

// parseCPUSet parses "0-3 5,7" to the bitmap that AllowedCPUs takes: bit n of byte n/8 is CPU n
// (src/shared/cpu-set-util.c, cpu_set_to_dbus).
func parseCPUSet(s string) ([]byte, error) {
	const maxCPUs = 8192 // the kernel's largest NR_CPUS
	var set []byte
	for _, part := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' }) {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		low, err1 := strconv.ParseUint(first, 10, 16)
		high, err2 := strconv.ParseUint(last, 10, 16)
		if err1 != nil || err2 != nil || low > high || high >= maxCPUs {
			return nil, fmt.Errorf("parse list %q: %q is not a number or a range such as 0-3", s, part)
		}
		for n := low; n <= high; n++ {
			for uint64(len(set)) <= n/8 {
				set = append(set, 0)
			}
			set[n/8] |= 1 << (n % 8)
		}
	}
	if set == nil {
		return nil, fmt.Errorf("parse list %q: it is empty", s)
	}
	return set, nil
}

// splitNumber cuts the leading decimal number off s.
func splitNumber(s string) (number, rest string) {
	end := strings.IndexFunc(s, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	if end < 0 {
		return s, ""
	}
	return s[:end], s[end:]
}

// scale multiplies a decimal number with a unit, exactly, and rounds down.
func scale(number string, unit uint64) (uint64, error) {
	if strings.Trim(number, "0123456789.") != "" {
		return 0, fmt.Errorf("%q is not a decimal number", number)
	}
	r, ok := new(big.Rat).SetString(number)
	if !ok {
		return 0, fmt.Errorf("%q is not a decimal number", number)
	}
	r.Mul(r, new(big.Rat).SetInt(new(big.Int).SetUint64(unit)))
	n := new(big.Int).Quo(r.Num(), r.Denom())
	if !n.IsUint64() || n.Uint64() == infinity {
		return 0, fmt.Errorf("%q is too large", number)
	}
	return n.Uint64(), nil
}
