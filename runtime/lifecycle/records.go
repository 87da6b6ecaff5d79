package lifecycle

import (
	"fmt"
	"strconv"

	"github.com/berth-project/berth/runtime/journal"
)

// The MESSAGE_IDs of journal records; packaging/catalog/berth.catalog explains them.
const (
	MessageCreated = "e3679dc5b06444a583f8fcca72cf4193"
	MessageStarted = "969ea18ecc5140af9aa7986be812edd5"
	MessageExited  = "3bfd0393d53648309ff559e7d2591a74"
	MessageOOM     = "f5ec76bba7774c6cae2d9ad5850fa19b"
	MessageDeleted = "c54516460cc54fc0a0779a6f71c84ce4"
)

// journal writes the native record of an event, where it has one.
func (m *Manager) journal(kind EventKind, i Info, caller Caller) {
	e := journal.Entry{Priority: journal.Info}
	switch kind {
	case EventCreated:
		e.MessageID, e.Message = MessageCreated, fmt.Sprintf("Container %s created.", i.ID)
	case EventStarted:
		e.MessageID, e.Message = MessageStarted, fmt.Sprintf("Container %s started, PID %d.", i.ID, i.PID)
	case EventExited:
		e.MessageID, e.Message = MessageExited, fmt.Sprintf("Container %s exited: %s.", i.ID, exitText(i))
		e.Fields = exitFields(i)
	case EventOOM:
		e.MessageID, e.Message = MessageOOM, fmt.Sprintf("Container %s ran out of memory.", i.ID)
		e.Priority = journal.Warning
	case EventDeleted:
		e.MessageID, e.Message = MessageDeleted, fmt.Sprintf("Container %s deleted.", i.ID)
	default:
		return
	}
	e.Fields = append(e.Fields,
		journal.Field{Name: "CONTAINER_ID", Value: i.ID}, journal.Field{Name: "CONTAINER_NAME", Value: i.ID},
		journal.Field{Name: "BERTH_SCOPE", Value: i.Scope}, journal.Field{Name: "BERTH_BUNDLE", Value: i.Bundle},
		journal.Field{Name: "INVOCATION_ID", Value: i.InvocationID},
	)
	if caller.Known {
		e.Fields = append(e.Fields, journal.Field{Name: "CALLER_UID", Value: strconv.FormatUint(uint64(caller.UID), 10)})
	}
	if err := m.cfg.Logs.Send(e); err != nil {
		m.cfg.Logger.Warn("write journal record, ignoring", "container", i.ID, "event", kind.String(), "error", err)
	}
}

func exitFields(i Info) []journal.Field {
	fields := []journal.Field{
		{Name: "CONTAINER_EXIT_CODE", Value: strconv.Itoa(i.ExitCode)},
		{Name: "CONTAINER_EXIT_REASON", Value: string(i.ExitReason)},
	}
	if i.ExitSignal != 0 {
		fields = append(fields, journal.Field{Name: "CONTAINER_EXIT_SIGNAL", Value: strconv.Itoa(i.ExitSignal)})
	}
	if i.MaxRSSBytes != 0 { // else nobody measured: the process outlived its keeper
		fields = append(fields, journal.Field{Name: "CPU_USAGE_NSEC", Value: strconv.FormatUint(i.CPUTimeUSec*1000, 10)})
	}
	if i.MemoryPeakBytes != 0 {
		fields = append(fields, journal.Field{Name: "MEMORY_PEAK", Value: strconv.FormatUint(i.MemoryPeakBytes, 10)})
	}
	return fields
}

func exitText(i Info) string {
	switch i.ExitReason {
	case ReasonExit:
		return "code " + strconv.Itoa(i.ExitCode)
	case ReasonSignal:
		return "killed by " + signalName(i.ExitSignal)
	case ReasonOOM:
		return "killed for want of memory"
	case ReasonStopTimeout:
		return "ignored the request to stop, killed"
	}
	return "nobody saw how"
}
