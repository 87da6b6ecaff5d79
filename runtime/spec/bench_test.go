package spec

import "testing"

// BenchmarkLoadBundle is part of the time that every create takes.
func BenchmarkLoadBundle(b *testing.B) {
	dir := runcBundle(b)
	for b.Loop() {
		if _, findings, err := LoadBundle(dir); err != nil || findings.Err() != nil {
			b.Fatal(findings, err)
		}
	}
}
