package spec_test

import (
	"fmt"
	"strings"

	"github.com/berth-project/berth/runtime/spec"
)

func ExampleValidate() {
	config := `{
		"ociVersion": "1.3.0",
		"process": {"args": ["sh"], "cwd": "tmp", "user": {"uid": 0, "gid": 0}},
		"root": {"path": "rootfs"},
		"color": "blue",
		"linux": {"namespaces": [{"type": "mount"}], "seccomp": {"defaultAction": "SCMP_ACT_ALLOW"}}
	}`
	s, findings := spec.Decode(strings.NewReader(config))
	findings = append(findings, spec.Validate(s)...)
	for _, f := range findings {
		fmt.Printf("%s: %s\n", f.Level, f)
	}
	fmt.Println(findings.Err())
	// Output:
	// warning: color: unknown field: the runtime specification does not define it; it is ignored
	// error: linux.seccomp: not supported yet: Berth installs no system call filter
	// error: process.cwd: "tmp" is not an absolute path
	// refuse config.json:
	// linux.seccomp: not supported yet: Berth installs no system call filter
	// process.cwd: "tmp" is not an absolute path
}

func ExampleParseMountOptions() {
	flags, err := spec.ParseMountOptions([]string{"rbind", "nosuid", "rro", "rslave"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("whole tree: %t, set %#x, whole tree set %#x, propagation %#x\n", flags.RecBind, flags.AttrSet, flags.RecAttrSet, flags.Propagation)
	// Output: whole tree: true, set 0x2, whole tree set 0x1, propagation 0x84000
}

func ExampleValidID() {
	fmt.Println(spec.ValidID("web-1"))
	fmt.Println(spec.ValidID("../etc"))
	// Output:
	// <nil>
	// check container id "../etc": it must begin with a letter or digit
}
