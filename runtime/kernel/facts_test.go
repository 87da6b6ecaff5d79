package kernel

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestParseRelease(t *testing.T) {
	for _, tc := range []struct {
		release      string
		major, minor int
		bad          bool
	}{
		{release: "6.1.0-13-cloud-amd64", major: 6, minor: 1},
		{release: "5.14", major: 5, minor: 14},
		{release: "6.18-rc3", major: 6, minor: 18},
		{release: "10.0+", major: 10, minor: 0},
		{release: "six.one", bad: true},
		{release: "6", bad: true},
		{release: "", bad: true},
	} {
		f, err := parseRelease(tc.release)
		if (err != nil) != tc.bad || !tc.bad && (f.Major != tc.major || f.Minor != tc.minor) {
			t.Errorf("parseRelease(%q) = %+v, %v", tc.release, f, err)
		}
	}
}

func TestAtLeast(t *testing.T) {
	f := Facts{Major: 6, Minor: 1}
	for _, tc := range []struct {
		major, minor int
		want         bool
	}{{5, 14, true}, {6, 1, true}, {6, 2, false}, {7, 0, false}, {6, 0, true}} {
		if got := f.AtLeast(tc.major, tc.minor); got != tc.want {
			t.Errorf("6.1 AtLeast(%d, %d) = %t", tc.major, tc.minor, got)
		}
	}
}

func TestLastCap(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cap_last_cap")
	for text, want := range map[string]int{"40\n": 40, "64\n": -1, "": -1, "-1": -1, "x": -1} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := lastCap(path)
		if want < 0 && err == nil || want >= 0 && (err != nil || got != want) {
			t.Errorf("lastCap of %q = %d, %v", text, got, err)
		}
	}
}

func TestUnifiedRefusesOtherFileSystems(t *testing.T) {
	if err := unified("/proc"); !errors.Is(err, ErrUnsupported) {
		t.Errorf("unified(/proc) = %v, want ErrUnsupported", err)
	}
	if err := unified("/nonexistent"); err == nil || errors.Is(err, ErrUnsupported) {
		t.Errorf("unified of a missing directory = %v, want the cause", err)
	}
}
