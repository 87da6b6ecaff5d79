package wire

// The polkit actions, one per verb. Reading needs none.
const (
	ActionCreate = "org.berth1.create"
	ActionStart  = "org.berth1.start"
	ActionKill   = "org.berth1.kill"
	ActionStop   = "org.berth1.stop"
	ActionPause  = "org.berth1.pause"
	ActionResume = "org.berth1.resume"
	ActionDelete = "org.berth1.delete"
)

// The options of Create.
const (
	OptionStdin           = "Stdin"           // the payload's standard input; default /dev/null
	OptionStdout          = "Stdout"          // its standard output; default what Log says
	OptionStderr          = "Stderr"          // its standard error; default what Log says
	OptionListenFDs       = "ListenFDs"       // (name, descriptor) pairs it gets as LISTEN_FDS from 3 on
	OptionEnvironment     = "Environment"     // NAME=value, added to process.env
	OptionAnnotations     = "Annotations"     // added to the annotations of config.json
	OptionSlice           = "Slice"           // the slice of the scope; default machine.slice
	OptionScopeProperties = "ScopeProperties" // (name, value) pairs for the scope, as in StartTransientUnit
	OptionLog             = "Log"             // LogJournald or LogNone
)

// The values of OptionLog. An empty string means LogJournald.
const (
	LogJournald = "journald"
	LogNone     = "none"
)

// The values of the argument whom of Kill.
const (
	WhomLeader = "leader"
	WhomAll    = "all"
)

// CreateOptions returns every option Create knows, with its type.
func CreateOptions() []Arg {
	return []Arg{
		{OptionStdin, "h"}, {OptionStdout, "h"}, {OptionStderr, "h"}, {OptionListenFDs, "a(sh)"},
		{OptionEnvironment, "as"}, {OptionAnnotations, "a{ss}"}, {OptionSlice, "s"},
		{OptionScopeProperties, "a(sv)"}, {OptionLog, "s"},
	}
}

// Manager returns org.berth1.Manager.
func Manager() Interface {
	id, object := Arg{"id", "s"}, Arg{"object", "o"}
	return Interface{
		Name: ManagerInterface,
		Methods: []Method{
			{"Create", []Arg{id, {"bundle", "s"}, {"options", "a{sv}"}}, []Arg{object}, ActionCreate},
			{"Get", []Arg{id}, []Arg{object}, ""},
			{"GetByPID", []Arg{{"pid", "u"}}, []Arg{object}, ""},
			{"List", nil, []Arg{{"containers", "a(ssuo)"}}, ""}, // id, status, pid, object
		},
		Signals: []Signal{
			{"ContainerCreated", []Arg{id, object}},
			{"ContainerStarted", []Arg{id, object, {"pid", "u"}}},
			{"ContainerExited", []Arg{id, object, {"exit_code", "i"}, {"reason", "s"}, {"signal", "u"}}},
			{"ContainerOOM", []Arg{id, object}},
			{"ContainerDeleted", []Arg{id, object}},
		},
		Properties: []Property{
			{"Version", "s", EmitsConst}, {"OCIVersions", "as", EmitsConst}, {"Features", "as", EmitsConst},
		},
	}
}

// Container returns org.berth1.Container.
func Container() Interface {
	return Interface{
		Name: ContainerInterface,
		Methods: []Method{
			{"Start", nil, nil, ActionStart},
			{"Kill", []Arg{{"whom", "s"}, {"signal", "i"}}, nil, ActionKill},
			{"Stop", []Arg{{"timeout_usec", "t"}}, nil, ActionStop},
			{"Pause", nil, nil, ActionPause},
			{"Resume", nil, nil, ActionResume},
			{"Delete", []Arg{{"force", "b"}}, nil, ActionDelete},
			{"Wait", nil, []Arg{{"exit_code", "i"}, {"reason", "s"}}, ""},
			{"State", nil, []Arg{{"state", "s"}}, ""},             // the OCI state, JSON
			{"Processes", nil, []Arg{{"processes", "a(us)"}}, ""}, // pid, command
			{"Stats", nil, []Arg{{"stats", "a{sv}"}}, ""},         // systemd's names, every value t
		},
		Properties: []Property{
			{"Id", "s", EmitsConst}, {"Bundle", "s", EmitsConst}, {"Status", "s", EmitsTrue}, {"Pid", "u", EmitsTrue},
			{"ExitCode", "i", EmitsTrue}, {"ExitSignal", "u", EmitsTrue}, {"ExitReason", "s", EmitsTrue},
			{"CreatedTimestamp", "t", EmitsConst}, {"StartedTimestamp", "t", EmitsTrue}, {"FinishedTimestamp", "t", EmitsTrue},
			{"Scope", "s", EmitsConst}, {"ControlGroup", "s", EmitsTrue}, {"InvocationId", "s", EmitsTrue},
			{"Annotations", "a{ss}", EmitsConst}, {"Terminal", "b", EmitsConst}, {"Log", "s", EmitsConst},
		},
	}
}
