package main

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestFormatSize(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0B", 1023: "1023B", 1024: "1.0K", 1536: "1.5K", 10 << 20: "10.0M", 3 << 29: "1.5G", 1<<40 - 1: "1023.9G",
		5 << 40: "5.0T", math.MaxUint64 - 1: "15.9E", math.MaxUint64: "infinity",
	} {
		if got := formatSize(n); got != want {
			t.Errorf("formatSize(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestFormatSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0", -time.Second: "0", 1500 * time.Microsecond: "1.5ms", 20 * time.Millisecond: "20ms", 1500 * time.Millisecond: "1.5s",
		time.Minute: "1min", 90 * time.Second: "1min 30s", 25 * time.Hour: "1d 1h", 24*time.Hour + 5*time.Minute: "1d",
		49*time.Hour + 59*time.Minute + 3*time.Second: "2d 1h",
	} {
		if got := formatSpan(d); got != want {
			t.Errorf("formatSpan(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestFormatTimes(t *testing.T) {
	at := time.Date(2026, 11, 22, 16, 14, 45, 0, time.Local)
	usec := uint64(at.UnixMicro())
	if got := formatAgo(usec, at.Add(90*time.Second)); got != "1min 30s ago" {
		t.Errorf("formatAgo: %q", got)
	}
	if got := formatAgo(usec, at.Add(-time.Minute)); got != "now" {
		t.Errorf("formatAgo of the future: %q", got)
	}
	if got := formatAgo(0, at) + formatTimestamp(0); got != "" {
		t.Errorf("no time: %q", got)
	}
	if got := formatTimestamp(usec); !strings.HasPrefix(got, "Sun 2026-11-22 16:14:45 ") {
		t.Errorf("formatTimestamp: %q", got)
	}
}

func TestFormatMap(t *testing.T) {
	got := formatMap(map[string]string{"b": "two words", "a": "1", "c": "line\nbreak", "a.b": ""})
	if want := `a=1 a.b= "b=two words" "c=line\nbreak"`; got != want {
		t.Errorf("formatMap = %s, want %s", got, want)
	}
}

func TestTable(t *testing.T) {
	tab := table{columns: []string{"ID", "PID", "BUNDLE"}, right: []bool{false, true}}
	tab.add(cell{text: "web"}, cell{text: "7"}, cell{text: "/srv/web"})
	tab.add(cell{text: "database", style: green}, cell{text: "12345"}, cell{text: "/srv/\x1b[2Jdb\n"})
	tests := []struct {
		name           string
		legend, colour bool
		want           string
	}{
		{"plain", true, false, "ID         PID BUNDLE\nweb          7 /srv/web\ndatabase 12345 /srv/\\x1b[2Jdb\\n\n"},
		{"no legend", false, false, "web          7 /srv/web\ndatabase 12345 /srv/\\x1b[2Jdb\\n\n"},
		{"colour", false, true, "web          7 /srv/web\n\x1b[32mdatabase\x1b[0m 12345 /srv/\\x1b[2Jdb\\n\n"},
	}
	for _, tt := range tests {
		var b strings.Builder
		if err := tab.write(&b, tt.legend, tt.colour); err != nil {
			t.Fatal(err)
		}
		if b.String() != tt.want {
			t.Errorf("%s:\n%q\nwant\n%q", tt.name, b.String(), tt.want)
		}
	}
}

func TestCounted(t *testing.T) {
	for n, want := range map[int]string{0: "No containers.", 1: "1 container listed.", 2: "2 containers listed."} {
		if got := counted(n, "container"); got != want {
			t.Errorf("counted(%d) = %q", n, got)
		}
	}
}
