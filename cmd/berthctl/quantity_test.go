package main

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]uint64{
		"0": 0, "512": 512, "512B": 512, "1K": 1024, "1KB": 1024, "64M": 64 << 20, "1.5G": 3 << 29, "2T": 2 << 40,
		"1E": 1 << 60, "0.5K": 512, "infinity": math.MaxUint64,
	} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("parseSize(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "M", "-1", "1KK", "1X", "1.2.3M", "16E", "18446744073709551615", "1e3", "64m"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("parseSize(%q) = %d; want an error", text, got)
		}
	}
}

func TestParseSpan(t *testing.T) {
	for text, want := range map[string]uint64{
		"90": 90e6, "0": 0, "1.5": 1.5e6, "100ms": 100e3, "1min 30s": 90e6, "1min30s": 90e6, "2h": 7200e6, "250us": 250,
		"5 min": 300e6, " 3s ": 3e6, "infinity": math.MaxUint64,
	} {
		if got, err := parseSpan(text); err != nil || got != want {
			t.Errorf("parseSpan(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "s", "1x", "-1s", "1..5", "18446744073709551615s", "18446744073709s 18446744073709s"} {
		if got, err := parseSpan(text); err == nil {
			t.Errorf("parseSpan(%q) = %d; want an error", text, got)
		}
	}
}

func TestParseCPUSet(t *testing.T) {
	for text, want := range map[string][]byte{
		"0": {1}, "0-3": {0x0f}, "0-3 5,7": {0xaf}, "8": {0, 1}, "15-16": {0, 0x80, 1},
	} {
		if got, err := parseCPUSet(text); err != nil || !cmp.Equal(got, want) {
			t.Errorf("parseCPUSet(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", " ", "a", "3-1", "-1", "8192", "1-", "0-99999999"} {
		if got, err := parseCPUSet(text); err == nil {
			t.Errorf("parseCPUSet(%q) = %v; want an error", text, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("1.5G")
	f.Add("1min 30s")
	f.Add("0-3,5")
	f.Add("12.5%")
	f.Add("RTMIN+3")
	f.Fuzz(func(_ *testing.T, s string) { // none may panic or run away
		_, _ = parseSize(s)
		_, _ = parseSpan(s)
		_, _ = parsePermyriad(s)
		_, _ = parseCPUSet(s)
		_, _ = parseSignal(s)
		for name := range properties {
			_, _ = parseProperty(name + "=" + s)
		}
	})
}
