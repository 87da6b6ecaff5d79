package spec

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// full is a document with every field set.
func full(t *testing.T) map[string]any {
	t.Helper()
	s := &specs.Spec{}
	fill(reflect.ValueOf(s).Elem())
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// place is a value in a document.
type place struct {
	path  string
	value any
	set   func(any)
}

// places returns every value of a document, outside in.
func places(path string, value any) []place {
	var out []place
	switch v := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			at := join(path, name)
			out = append(out, place{at, v[name], func(x any) { v[name] = x }})
			out = append(out, places(at, v[name])...)
		}
	case []any:
		for i := range v {
			at := index(path, i)
			out = append(out, place{at, v[i], func(x any) { v[i] = x }})
			out = append(out, places(at, v[i])...)
		}
	}
	return out
}

func decodeAny(t *testing.T, doc any) Findings {
	t.Helper()
	data, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	_, findings := Decode(bytes.NewReader(data))
	return findings
}

// TestEveryWrongType puts a value of a wrong type in each place of a full document, and wants one finding, there.
func TestEveryWrongType(t *testing.T) {
	doc := full(t)
	wrongs := []any{"text", true, 1.5, []any{}, map[string]any{}}
	all := places("", doc)
	for i, p := range all {
		if strings.HasPrefix(p.path, "windows.credentialSpec") {
			continue // any value is right
		}
		wrong := wrongs[i%len(wrongs)]
		if wrong != 1.5 && reflect.TypeOf(wrong) == reflect.TypeOf(p.value) {
			wrong = 1.5
		}
		p.set(wrong)
		got := decodeAny(t, doc)
		if len(got) != 1 || got[0].Level != Error || !samePlace(got[0].Path, p.path) || !strings.Contains(got[0].Cause, "must be") {
			t.Errorf("%v at %s: %q", wrong, p.path, got)
		}
		p.set(p.value)
	}
	if got := decodeAny(t, doc); len(got) > 0 || len(all) < 500 {
		t.Errorf("after %d tries the document is not what it was: %q", len(all), got)
	}
}

// samePlace ignores how the keys of maps are written.
func samePlace(a, b string) bool {
	plain := strings.NewReplacer(`["`, ".", `"]`, "")
	return plain.Replace(a) == plain.Replace(b)
}

// TestEveryObjectReportsUnknownFields adds a member to each object of a full document.
func TestEveryObjectReportsUnknownFields(t *testing.T) {
	doc := full(t)
	objects := 0
	for _, p := range append(places("", doc), place{path: "", value: doc}) {
		object, ok := p.value.(map[string]any)
		if _, isMap := object["a.b"]; !ok || isMap {
			continue
		}
		objects++
		object["x-new"] = []any{map[string]any{"deep": nil}}
		got := decodeAny(t, doc)
		if len(got) != 1 || got[0].Level != Warning || got[0].Kind != Unknown || !samePlace(got[0].Path, strings.TrimPrefix(p.path+".x-new", ".")) && p.path != "" {
			t.Errorf("in %q: %q", p.path, got)
		}
		delete(object, "x-new")
	}
	if objects < 60 {
		t.Errorf("only %d objects", objects)
	}
}

// TestEveryRequiredField takes away each member that the Go binding always writes.
func TestEveryRequiredField(t *testing.T) {
	for _, tt := range []struct{ path, level string }{
		{"ociVersion", "error"}, {"process.cwd", "error"}, {"process.user", "warning"}, {"process.user.uid", "warning"}, {"process.user.gid", "warning"},
		{"root.path", "error"}, {"mounts[1].destination", "error"}, {"hooks.poststop[0].path", "error"}, {"process.scheduler.policy", "error"},
		{"process.rlimits[0].type", "error"}, {"process.rlimits[0].hard", "error"}, {"process.rlimits[0].soft", "error"},
		{"linux.namespaces[0].type", "error"}, {"linux.uidMappings[0].size", "error"}, {"linux.devices[0].path", "error"}, {"linux.devices[0].major", "error"},
		{"linux.resources.devices[0].allow", "error"}, {"linux.seccomp.defaultAction", "error"}, {"linux.seccomp.syscalls[0].names", "error"},
		{"linux.resources.blockIO.throttleReadBpsDevice[0].rate", "error"}, {"linux.resources.blockIO.weightDevice[0].major", "error"},
	} {
		doc := full(t)
		parent, name := tt.path[:max(strings.LastIndex(tt.path, "."), 0)], tt.path[strings.LastIndex(tt.path, ".")+1:]
		for _, p := range append(places("", doc), place{path: "", value: doc}) {
			if object, ok := p.value.(map[string]any); ok && p.path == parent {
				delete(object, name)
			}
		}
		checkFindings(t, decodeAny(t, doc), []string{tt.level + " " + tt.path + ": is missing"})
	}
}
