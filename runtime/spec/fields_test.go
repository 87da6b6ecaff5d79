package spec

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// What becomes of a field.
const (
	checked = "checked" // by a rule of this package, or any value is right; runtime/compile or unit acts on it
	refused = "refused" // an Error finding when set
	ignored = "ignored" // a Warning finding when set
)

// fates names every field of the Go types, or the root of those that share one fate. A field that a later
// version of the runtime specification adds is not here, and fails TestEveryFieldHasAFate until someone
// decides what becomes of it.
var fates = map[string]string{
	"ociVersion":    checked,
	"root.path":     checked,
	"root.readonly": checked,
	"hostname":      checked,
	"domainname":    checked,
	"annotations":   checked,
	"hooks":         refused,
	"solaris":       refused,
	"windows":       refused,
	"vm":            refused,
	"zos":           refused,
	"freebsd":       refused,

	"mounts[].destination": checked,
	"mounts[].type":        checked,
	"mounts[].source":      checked,
	"mounts[].options[]":   checked,
	"mounts[].uidMappings": refused,
	"mounts[].gidMappings": refused,

	"process.terminal":                   refused,
	"process.consoleSize":                ignored,
	"process.commandLine":                refused,
	"process.user.username":              refused,
	"process.apparmorProfile":            refused,
	"process.selinuxLabel":               refused,
	"process.user.uid":                   checked,
	"process.user.gid":                   checked,
	"process.user.umask":                 checked,
	"process.user.additionalGids[]":      checked,
	"process.args[]":                     checked,
	"process.env[]":                      checked,
	"process.cwd":                        checked,
	"process.noNewPrivileges":            checked,
	"process.oomScoreAdj":                checked,
	"process.capabilities.bounding[]":    checked,
	"process.capabilities.effective[]":   checked,
	"process.capabilities.inheritable[]": checked,
	"process.capabilities.permitted[]":   checked,
	"process.capabilities.ambient[]":     checked,
	"process.rlimits[].type":             checked,
	"process.rlimits[].soft":             checked,
	"process.rlimits[].hard":             checked,
	"process.scheduler.policy":           checked,
	"process.scheduler.nice":             checked,
	"process.scheduler.priority":         checked,
	"process.scheduler.flags[]":          checked,
	"process.scheduler.runtime":          checked,
	"process.scheduler.deadline":         checked,
	"process.scheduler.period":           checked,
	"process.ioPriority.class":           checked,
	"process.ioPriority.priority":        checked,
	"process.execCPUAffinity.initial":    checked,
	"process.execCPUAffinity.final":      checked,

	"linux.uidMappings":        refused,
	"linux.gidMappings":        refused,
	"linux.cgroupsPath":        refused,
	"linux.netDevices":         refused,
	"linux.seccomp":            refused,
	"linux.mountLabel":         refused,
	"linux.intelRdt":           refused,
	"linux.memoryPolicy":       refused,
	"linux.personality":        refused,
	"linux.timeOffsets":        refused,
	"linux.sysctl":             checked,
	"linux.namespaces[].type":  checked,
	"linux.namespaces[].path":  checked,
	"linux.devices[].path":     checked,
	"linux.devices[].type":     checked,
	"linux.devices[].major":    checked,
	"linux.devices[].minor":    checked,
	"linux.devices[].fileMode": checked,
	"linux.devices[].uid":      checked,
	"linux.devices[].gid":      checked,
	"linux.rootfsPropagation":  checked,
	"linux.maskedPaths[]":      checked,
	"linux.readonlyPaths[]":    checked,

	"linux.resources.devices[].allow":                         checked,
	"linux.resources.devices[].type":                          checked,
	"linux.resources.devices[].major":                         checked,
	"linux.resources.devices[].minor":                         checked,
	"linux.resources.devices[].access":                        checked,
	"linux.resources.memory.limit":                            checked,
	"linux.resources.memory.reservation":                      checked,
	"linux.resources.memory.swap":                             checked,
	"linux.resources.memory.kernel":                           refused,
	"linux.resources.memory.kernelTCP":                        refused,
	"linux.resources.memory.swappiness":                       refused,
	"linux.resources.memory.disableOOMKiller":                 refused,
	"linux.resources.memory.useHierarchy":                     checked,
	"linux.resources.memory.checkBeforeUpdate":                refused,
	"linux.resources.cpu.shares":                              checked,
	"linux.resources.cpu.quota":                               checked,
	"linux.resources.cpu.period":                              checked,
	"linux.resources.cpu.burst":                               refused,
	"linux.resources.cpu.realtimeRuntime":                     refused,
	"linux.resources.cpu.realtimePeriod":                      refused,
	"linux.resources.cpu.cpus":                                checked,
	"linux.resources.cpu.mems":                                checked,
	"linux.resources.cpu.idle":                                checked,
	"linux.resources.pids.limit":                              checked,
	"linux.resources.blockIO.weight":                          checked,
	"linux.resources.blockIO.leafWeight":                      refused,
	"linux.resources.blockIO.weightDevice[].major":            checked,
	"linux.resources.blockIO.weightDevice[].minor":            checked,
	"linux.resources.blockIO.weightDevice[].weight":           checked,
	"linux.resources.blockIO.weightDevice[].leafWeight":       refused,
	"linux.resources.blockIO.throttleReadBpsDevice[].major":   checked,
	"linux.resources.blockIO.throttleReadBpsDevice[].minor":   checked,
	"linux.resources.blockIO.throttleReadBpsDevice[].rate":    checked,
	"linux.resources.blockIO.throttleWriteBpsDevice[].major":  checked,
	"linux.resources.blockIO.throttleWriteBpsDevice[].minor":  checked,
	"linux.resources.blockIO.throttleWriteBpsDevice[].rate":   checked,
	"linux.resources.blockIO.throttleReadIOPSDevice[].major":  checked,
	"linux.resources.blockIO.throttleReadIOPSDevice[].minor":  checked,
	"linux.resources.blockIO.throttleReadIOPSDevice[].rate":   checked,
	"linux.resources.blockIO.throttleWriteIOPSDevice[].major": checked,
	"linux.resources.blockIO.throttleWriteIOPSDevice[].minor": checked,
	"linux.resources.blockIO.throttleWriteIOPSDevice[].rate":  checked,
	"linux.resources.hugepageLimits":                          refused,
	"linux.resources.rdma":                                    refused,
	"linux.resources.unified":                                 checked,
	"linux.resources.network":                                 refused,
}

func TestEveryFieldHasAFate(t *testing.T) {
	met := map[string]bool{}
	walkTypes("", reflect.TypeFor[specs.Spec](), func(path string) bool {
		_, known := fates[path]
		met[path] = true
		return known
	}, func(leaf string) {
		t.Errorf("field %s has no fate: decide what becomes of it and say so in the table", leaf)
	})
	for path := range fates {
		if !met[path] {
			t.Errorf("the table names %s, which is no field", path)
		}
	}
}

// walkTypes calls known for every path below a type, outside in, and leaf for the leaves that are not known and
// lie below nothing that is.
func walkTypes(path string, typ reflect.Type, known func(string) bool, leaf func(string)) {
	if path != "" && known(path) {
		return
	}
	switch typ.Kind() {
	case reflect.Pointer:
		walkElem(path, typ.Elem(), known, leaf)
	case reflect.Slice:
		walkTypes(path+"[]", typ.Elem(), known, leaf)
	default:
		walkElem(path, typ, known, leaf)
	}
}

func walkElem(path string, typ reflect.Type, known func(string) bool, leaf func(string)) {
	if typ.Kind() != reflect.Struct {
		leaf(path)
		return
	}
	for name, f := range fieldsOf(typ).byName {
		walkTypes(join(path, name), f.Type, known, leaf)
	}
}

// TestFatesAreTrue sets each field that is said to be refused or ignored, alone, and wants a finding of that
// level at its path.
func TestFatesAreTrue(t *testing.T) {
	for path, fate := range fates {
		if fate == checked {
			continue
		}
		s := base()
		set(reflect.ValueOf(s).Elem(), strings.Split(path, "."))
		level := map[string]Level{refused: Error, ignored: Warning}[fate]
		path = strings.ReplaceAll(path, "[]", "[0]")
		if !slices.ContainsFunc(Validate(s).of(level), func(f Finding) bool { return within(f.Path, path) }) {
			t.Errorf("%s is not %s: %q", path, fate, Validate(s))
		}
	}
}

// set gives the field at path a value other than zero, making what lies on the way.
func set(v reflect.Value, path []string) {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		v = v.Elem()
	}
	if len(path) == 0 {
		fill(v)
		return
	}
	name, isList := strings.CutSuffix(path[0], "[]")
	field := v.FieldByIndex(fieldsOf(v.Type()).byName[name].Index)
	if isList {
		field.Set(reflect.MakeSlice(field.Type(), 1, 1))
		field = field.Index(0)
	}
	set(field, path[1:])
}
