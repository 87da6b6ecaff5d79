package wire

// The errors of this API. Each comes with one sentence that quotes the value in question.
const (
	ErrorNoSuchContainer = "org.berth1.Error.NoSuchContainer" // no container has this id, process or object path
	ErrorContainerExists = "org.berth1.Error.ContainerExists" // the id is in use
	ErrorInvalidState    = "org.berth1.Error.InvalidState"    // the container's status does not allow this
	ErrorInvalidConfig   = "org.berth1.Error.InvalidConfig"   // config.json has findings; every one is in the text
	ErrorInvalidArgs     = "org.berth1.Error.InvalidArgs"     // an argument or option has the wrong type or value
	ErrorNotSupported    = "org.berth1.Error.NotSupported"    // valid, but not implemented, or not possible on this host
	ErrorLimitsExceeded  = "org.berth1.Error.LimitsExceeded"  // too many containers or calls at once
	ErrorUnavailable     = "org.berth1.Error.Unavailable"     // systemd or berth-keeper is away; try again
	ErrorFailed          = "org.berth1.Error.Failed"          // anything else; berthd's journal has it too
)

// The standard errors this API uses besides its own, as systemd's services do.
const (
	ErrorAccessDenied        = "org.freedesktop.DBus.Error.AccessDenied"
	ErrorInteractiveRequired = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"
	ErrorUnknownObject       = "org.freedesktop.DBus.Error.UnknownObject"
	ErrorUnknownInterface    = "org.freedesktop.DBus.Error.UnknownInterface"
	ErrorUnknownMethod       = "org.freedesktop.DBus.Error.UnknownMethod"
	ErrorUnknownProperty     = "org.freedesktop.DBus.Error.UnknownProperty"
	ErrorPropertyReadOnly    = "org.freedesktop.DBus.Error.PropertyReadOnly"
)
