package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestDecodeFindings(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     []string
	}{
		{"empty", ``, []string{"error config.json: line 1, column 0: unexpected end of JSON input"}},
		{"cut off", "{\n\"ociVersion\": \"1", []string{
			"error config.json: line 2, column 16: unexpected end",
		}},
		{"syntax", "{\n\n  ociVersion: 1}", []string{
			"error config.json: line 3, column 3: invalid character 'o'",
		}},
		{"trailing garbage", `{"ociVersion":"1.0.0"} {}`, []string{
			"error config.json: line 1, column 24: invalid character '{' after top-level value",
		}},
		{"not UTF-8", "{\"hostname\":\n\"a\xff\"}", []string{
			"error config.json: line 2, column 2: byte 0xff is not UTF-8",
		}},
		{"too deep", strings.Repeat("[", 20000), []string{
			"error config.json: line 1, column 10001: invalid character '[' exceeded max depth",
		}},
		{"array", `[]`, []string{"error config.json: must be an object, not an array"}},
		{"null", `null`, []string{"error config.json: must be an object, not null"}},
		{"no version", `{}`, []string{"error ociVersion: is missing, but required"}},
		{"unknown field", `{"ociVersion":"1.0.0","foo":{"a":[1,{"b":2}]},"root":{"path":"r","x y":[]}}`, []string{
			"warning foo: unknown field: the runtime", `warning root["x y"]: unknown field: the runtime`}},
		{"wrong case", `{"ociVersion":"1.0.0","hostName":"x"}`, []string{
			`warning hostName: unknown field: it is ignored; the defined name is "hostname"`,
		}},
		{"duplicate", `{"ociVersion":"1.0.0","ociVersion":"1.1.0","linux":{"sysctl":{"a.b":"1","a.b":"2"}}}`, []string{
			"error ociVersion: is given twice", `error linux.sysctl["a.b"]: is given twice`}},
		{"half surrogate", `{"ociVersion":"1.0.0","hostname":"a\ud800","domainname":"\ufffd` + "\uFFFD" + `"}`, []string{
			"error hostname: has half of a UTF-16 surrogate pair"}},
		{"root wrong", `{"ociVersion":1,"root":[{"path":[]}],"process":7,"mounts":{},"linux":"x","hooks":true,"annotations":[]}`, []string{
			"error ociVersion: must be a string, not 1",
			"error root: must be an object, not an array",
			"error process: must be an object, not 7",
			"error mounts: must be an array, not an object",
			`error linux: must be an object, not the string "x"`,
			"error hooks: must be an object, not true",
			"error annotations: must be an object, not an array",
		}},
		{"deep wrong", `{"ociVersion":"1.0.0","mounts":[{"destination":"/"},{"destination":5,"options":["a",null,{"b":[]}]}],
			"linux":{"namespaces":[{"type":"pid","path":{}}],"resources":{"memory":{"limit":"1g"},"cpu":{"shares":-1,"quota":1.5,"period":1e3},"unified":{"a":1}}}}`, []string{
			"error mounts[1].destination: must be a string, not 5",
			"error mounts[1].options[1]: must be a string, not null",
			"error mounts[1].options[2]: must be a string, not an object",
			"error linux.namespaces[0].path: must be a string, not an object",
			`error linux.resources.memory.limit: must be an integer, not the string "1g"`,
			"error linux.resources.cpu.shares: -1 is out of range: it must fit uint64",
			"error linux.resources.cpu.quota: must be an integer, not 1.5",
			"error linux.resources.cpu.period: must be an integer, not 1e3",
			`error linux.resources.unified["a"]: must be a string, not 1`,
		}},
		{"ranges", `{"ociVersion":"1.0.0","process":{"cwd":"/","terminal":0,"user":{"uid":4294967296,"gid":-5,"umask":99999999999999999999},"oomScoreAdj":true}}`, []string{
			"error process.terminal: must be true or false, not 0",
			"error process.user.uid: 4294967296 is out of range: it must fit uint32",
			"error process.user.gid: -5 is out of range",
			"error process.user.umask: 99999999999999999999 is out of range",
			"error process.oomScoreAdj: must be an integer, not true"}},
		{"missing", `{"ociVersion":"1.0.0","process":{"rlimits":[{"type":"RLIMIT_CPU"}],"ioPriority":{}},"root":{},"mounts":[{}],
			"linux":{"namespaces":[{}],"devices":[{"path":"/a","type":"p"},{"path":"/b","type":"c"}],"resources":{"devices":[{}]}}}`, []string{
			"error process.rlimits[0].hard: is missing", "error process.rlimits[0].soft: is missing",
			"error process.ioPriority.class: is missing", "error process.ioPriority.priority: is missing",
			"warning process.user: is missing; 0 (root) is used",
			"error process.cwd: is missing",
			"error root.path: is missing",
			"error mounts[0].destination: is missing", "error linux.namespaces[0].type: is missing",
			"error linux.devices[1].major: is missing",
			"error linux.devices[1].minor: is missing",
			"error linux.resources.devices[0].allow: is missing",
		}},
		{"no ids", `{"ociVersion":"1.0.0","process":{"cwd":"/","user":{}}}`, []string{
			"warning process.user.uid: is missing",
			"warning process.user.gid: is missing",
		}},
		{"null is unset", `{"ociVersion":"1.0.0","linux":{"namespaces":null,"seccomp":null,"sysctl":null,"resources":{"pids":{"limit":null}}}}`, nil},
		{"anything", `{"ociVersion":"1.0.0","windows":{"layerFolders":[],"credentialSpec":{"a":[1,2]}}}`, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, got := Decode(strings.NewReader(tt.in))
			checkFindings(t, got, tt.want)
		})
	}
}

func TestDecodeKeepsWhatIsRight(t *testing.T) {
	s, findings := Decode(strings.NewReader(`{"ociVersion":"1.0.0","hostname":7,"domainname":"d","process":{"cwd":"/","user":{"uid":1,"gid":2},"args":["a",1,"b"]}}`))
	if len(findings.Errors()) != 2 {
		t.Errorf("findings: %q", findings)
	}
	want := &specs.Spec{Version: "1.0.0", Domainname: "d",
		Process: &specs.Process{Cwd: "/", User: specs.User{UID: 1, GID: 2}, Args: []string{"a", "", "b"}}}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
}

func TestDecodeBounds(t *testing.T) {
	big := `{"ociVersion":"1.0.0","annotations":{"a":"` + strings.Repeat("x", MaxConfigSize) + `"}}`
	s, findings := Decode(strings.NewReader(big))
	if s != nil {
		t.Error("a document over the limit is decoded")
	}
	checkFindings(t, findings, []string{
		"error config.json: it is too large: at least 4194305 bytes, the limit is 4194304"})

	exact := big[:MaxConfigSize-3] + `"}}`
	s, findings = Decode(strings.NewReader(exact))
	checkFindings(t, findings, nil)
	if s == nil {
		t.Error("a document at the limit is refused")
	}

	many := `{"ociVersion":"1.0.0","mounts":[` + strings.Repeat(`{},`, 1_000_000) + `{}]}`
	s, findings = Decode(strings.NewReader(many))
	if len(findings) != maxFindings || len(s.Mounts) > maxFindings+1 {
		t.Errorf("%d findings, %d mounts: decoding does not end early", len(findings), len(s.Mounts))
	}
}

func TestDecodeReadError(t *testing.T) {
	_, findings := Decode(iotest.ErrReader(errors.New("disk on fire")))
	checkFindings(t, findings, []string{"error config.json: disk on fire"})
}

// TestDecodeEveryField sends a spec with every field of the Go types set through encoding/json and back.
func TestDecodeEveryField(t *testing.T) {
	want := &specs.Spec{}
	fill(reflect.ValueOf(want).Elem())
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got, findings := Decode(bytes.NewReader(data))
	checkFindings(t, findings, nil)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
}

// fill sets every field to something other than its zero value.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0))
		fill(v.Index(1))
	case reflect.Map:
		elem := reflect.New(v.Type().Elem()).Elem()
		fill(elem)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("a.b"), elem)
	case reflect.Interface:
		v.Set(reflect.ValueOf("anything"))
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	default:
		if v.CanInt() {
			v.SetInt(7)
		} else {
			v.SetUint(7)
		}
	}
}

// FuzzDecode compares with encoding/json, which must agree on all documents without findings, and runs the
// rules on whatever comes out.
func FuzzDecode(f *testing.F) {
	for _, pattern := range []string{"testdata/*.json"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, name := range files {
			data, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	full := &specs.Spec{}
	fill(reflect.ValueOf(full).Elem())
	if data, err := json.Marshal(full); err == nil {
		f.Add(data)
	}
	for _, s := range []string{`{"ociVersion":"1.0.0","a":[[{}]]}`, `{"a":1,"a":2}`, `[1,"\ud800"]`, `{"mounts":[{"options":["r","rr",""]}]}`, `nul`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, findings := Decode(bytes.NewReader(data))
		_ = Validate(got)
		if len(findings) > 0 {
			_ = findings.Err()
			return
		}
		dec := json.NewDecoder(bytes.NewReader(data))
		dec.UseNumber()
		var want specs.Spec
		if err := dec.Decode(&want); err != nil {
			t.Fatalf("encoding/json refuses what has no findings: %v", err)
		}
		if diff := cmp.Diff(&want, got); diff != "" {
			t.Errorf("spec (-encoding/json +Decode):\n%s", diff)
		}
	})
}
