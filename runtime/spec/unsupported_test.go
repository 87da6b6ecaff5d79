package spec

import (
	"strings"
	"testing"
)

// TestRefusedFeatures writes each feature that Berth does not have as people write it, and wants it refused by
// name and path. The document around it is clean.
func TestRefusedFeatures(t *testing.T) {
	const hook = `[{"path":"/bin/hook"}]`
	const id = `[{"containerID":0,"hostID":1000,"size":1}]`
	for _, tt := range []struct{ top, process, linux, want string }{
		{top: `"hooks":{"prestart":` + hook + `}`, want: "hooks.prestart: not supported yet: Berth runs no hooks"},
		{top: `"hooks":{"createRuntime":` + hook + `}`, want: "hooks.createRuntime: not supported yet: Berth runs no hooks"},
		{top: `"hooks":{"createContainer":` + hook + `}`, want: "hooks.createContainer: not supported yet: Berth runs no hooks"},
		{top: `"hooks":{"startContainer":` + hook + `}`, want: "hooks.startContainer: not supported yet: Berth runs no hooks"},
		{top: `"hooks":{"poststart":` + hook + `}`, want: "hooks.poststart: not supported yet: Berth runs no hooks"},
		{top: `"hooks":{"poststop":` + hook + `}`, want: "hooks.poststop: not supported yet: Berth runs no hooks"},
		{top: `"solaris":{}`, want: "solaris: it is for another platform; Berth runs Linux containers"},
		{top: `"windows":{"layerFolders":[]}`, want: "windows: it is for another platform"},
		{top: `"vm":{}`, want: "vm: it is for another platform"},
		{top: `"zos":{}`, want: "zos: it is for another platform"},
		{top: `"freebsd":{}`, want: "freebsd: it is for another platform"},

		{process: `"terminal":true`, want: "process.terminal: not supported yet: Berth cannot make a pseudoterminal"},
		{process: `"commandLine":"cmd"`, want: "process.commandLine: it is for Windows; on Linux give args"},
		{process: `"apparmorProfile":"p"`, want: "process.apparmorProfile: not supported yet: Berth sets no security labels"},
		{process: `"selinuxLabel":"l"`, want: "process.selinuxLabel: not supported yet: Berth sets no security labels"},

		{linux: `"uidMappings":` + id, want: "linux.uidMappings: not supported yet: Berth makes no user namespaces"},
		{linux: `"gidMappings":` + id, want: "linux.gidMappings: not supported yet: Berth makes no user namespaces"},
		{linux: `"cgroupsPath":"/a"`, want: "linux.cgroupsPath: not supported yet: a container's cgroup is that of its scope unit"},
		{linux: `"netDevices":{"eth0":{}}`, want: "linux.netDevices: not supported yet: Berth moves no network devices"},
		{linux: `"seccomp":{"defaultAction":"SCMP_ACT_ALLOW"}`, want: "linux.seccomp: not supported yet: Berth installs no system call filter"},
		{linux: `"mountLabel":"l"`, want: "linux.mountLabel: not supported yet: Berth sets no security labels"},
		{linux: `"intelRdt":{}`, want: "linux.intelRdt: not supported yet: Berth does not write to resctrl"},
		{linux: `"memoryPolicy":{"mode":"MPOL_LOCAL","nodes":""}`, want: "linux.memoryPolicy: not supported yet: Berth does not call set_mempolicy"},
		{linux: `"personality":{"domain":"LINUX"}`, want: "linux.personality: not supported yet: Berth does not call personality"},
		{linux: `"timeOffsets":{"boottime":{"secs":1}}`, want: "linux.timeOffsets: not supported yet: Berth makes time namespaces without offsets"},
		{linux: `"resources":{"hugepageLimits":[{"pageSize":"2MB","limit":1}]}`, want: "linux.resources.hugepageLimits: not supported yet: "},
		{linux: `"resources":{"rdma":{"mlx5_1":{"hcaHandles":3}}}`, want: "linux.resources.rdma: not supported yet: "},
		{linux: `"resources":{"network":{"classID":1}}`, want: "linux.resources.network.classID: not supported yet: cgroup v2 has nothing like it"},
	} {
		t.Run(tt.want[:strings.Index(tt.want, ":")], func(t *testing.T) {
			s, findings := Decode(strings.NewReader(document(tt.top, tt.process, tt.linux)))
			checkFindings(t, findings, nil)
			checkFindings(t, Validate(s), []string{"error " + tt.want})
		})
	}
}

// TestEmptyIsNotUsed wants nothing refused that is there, but empty: generators write such.
func TestEmptyIsNotUsed(t *testing.T) {
	text := document(
		`"hooks":{"prestart":[],"poststop":[]},"annotations":{},"mounts":[]`,
		`"terminal":false,"commandLine":"","apparmorProfile":"","selinuxLabel":"","rlimits":[],"capabilities":{},"env":[]`,
		`"uidMappings":[],"gidMappings":[],"cgroupsPath":"","netDevices":{},"mountLabel":"","timeOffsets":{},"sysctl":{},"devices":[],
		 "rootfsPropagation":"","maskedPaths":[],"readonlyPaths":[],
		 "resources":{"hugepageLimits":[],"rdma":{},"unified":{},"network":{"priorities":[]},"memory":{},"cpu":{},"pids":{},"blockIO":{},"devices":[]}`)
	s, findings := Decode(strings.NewReader(text))
	checkFindings(t, findings, nil)
	checkFindings(t, Validate(s), nil)
}

// document is a clean config.json with some members more.
func document(top, process, linux string) string {
	comma := func(members string) string {
		if members == "" {
			return ""
		}
		return "," + members
	}
	return `{
		"ociVersion": "1.2.0",
		"root": {"path": "rootfs"},
		"process": {"args": ["true"], "cwd": "/", "user": {"uid": 0, "gid": 0}` + comma(process) + `},
		"linux": {"namespaces": [{"type": "mount"}]` + comma(linux) + `}` + comma(top) + `
	}`
}
