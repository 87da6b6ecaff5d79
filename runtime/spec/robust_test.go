package spec

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// words that make random specs reach further than random text would.
var words = []string{
	"", "/", "..", "/proc", "/a/../b", "a\x00b", "A=1", "1.0.0", "bind", "rbind", "ro", "rro", "size=1", "tmpfs", "proc", "pid", "mount", "user",
	"c", "p", "rwm", "CAP_KILL", "RLIMIT_CPU", "SCHED_FIFO", "SCHED_DEADLINE", "net.core.somaxconn", "kernel.panic", "0-3", "slave", "\xff",
}

// randomize gives every field a random value, and leaves some unset.
func randomize(r *rand.Rand, v reflect.Value) {
	if r.IntN(8) == 0 {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		randomize(r, v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			randomize(r, v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), r.IntN(4), 4))
		for i := range v.Len() {
			randomize(r, v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range r.IntN(4) {
			elem := reflect.New(v.Type().Elem()).Elem()
			randomize(r, elem)
			v.SetMapIndex(reflect.ValueOf(words[r.IntN(len(words))]), elem)
		}
	case reflect.String:
		v.SetString(words[r.IntN(len(words))])
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Interface:
	default:
		n := r.Uint64() >> r.IntN(64)
		if v.CanInt() {
			v.SetInt(int64(n))
		} else {
			v.SetUint(n)
		}
	}
}

// TestValidateIsDeterministic runs the rules twice on random specs: they must not panic, not change the spec,
// and not depend on the order of a map. The report must be bounded too.
func TestValidateIsDeterministic(t *testing.T) {
	for seed := range uint64(500) {
		var s, same specs.Spec
		randomize(rand.New(rand.NewPCG(seed, 1)), reflect.ValueOf(&s).Elem())
		randomize(rand.New(rand.NewPCG(seed, 1)), reflect.ValueOf(&same).Elem())
		first, second := Validate(&s), Validate(&s)
		if diff := cmp.Diff(first, second); diff != "" {
			t.Fatalf("seed %d: the second time is different:\n%s", seed, diff)
		}
		if diff := cmp.Diff(same, s); diff != "" {
			t.Fatalf("seed %d: the spec is changed:\n%s", seed, diff)
		}
		if len(first) > 2*maxFindings {
			t.Fatalf("seed %d: %d findings", seed, len(first))
		}
	}
}

// TestCleanSpecsCanBeCompiled states what runtime/compile may rely on: in a spec without Error findings each
// name has its number.
func TestCleanSpecsCanBeCompiled(t *testing.T) {
	clean := 0
	for seed := range uint64(2000) {
		s := base()
		spoil(rand.New(rand.NewPCG(seed, 2)), s)
		if Validate(s).Err() != nil {
			continue
		}
		clean++
		for _, ns := range s.Linux.Namespaces {
			if _, ok := NamespaceFlag(ns.Type); !ok {
				t.Errorf("seed %d: namespace %q", seed, ns.Type)
			}
		}
		for _, l := range s.Process.Rlimits {
			if _, ok := Rlimit(l.Type); !ok {
				t.Errorf("seed %d: rlimit %q", seed, l.Type)
			}
		}
		for _, m := range s.Mounts {
			if flags, err := ParseMountOptions(m.Options); err != nil || len(flags.Unknown) > 0 {
				t.Errorf("seed %d: mount options %q: %+v, %v", seed, m.Options, flags, err)
			}
		}
		for _, d := range s.Linux.Devices {
			if _, ok := DeviceType(d.Type); !ok {
				t.Errorf("seed %d: device type %q", seed, d.Type)
			}
		}
		for name := range s.Linux.Sysctl {
			if _, err := SysctlPath(name); err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
		}
		if p := s.Process.Scheduler; p != nil {
			if _, ok := SchedPolicy(p.Policy); !ok {
				t.Errorf("seed %d: policy %q", seed, p.Policy)
			}
		}
	}
	if clean < 100 {
		t.Errorf("only %d specs are clean: the test tests little", clean)
	}
}

// spoil puts random values into one part of a clean spec.
func spoil(r *rand.Rand, s *specs.Spec) {
	parts := []any{&s.Process.Rlimits, &s.Mounts, &s.Linux.Devices, &s.Linux.Sysctl, &s.Process.Scheduler, &s.Linux.Namespaces, &s.Process.Capabilities}
	randomize(r, reflect.ValueOf(parts[r.IntN(len(parts))]).Elem())
}
