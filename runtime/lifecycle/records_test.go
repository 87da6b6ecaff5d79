package lifecycle

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-project/berth/runtime/journal"
	"github.com/berth-project/berth/runtime/keeper"
)

func fields(e journal.Entry) map[string]string {
	out := map[string]string{"MESSAGE": e.Message, "MESSAGE_ID": e.MessageID}
	for _, f := range e.Fields {
		out[f.Name] = f.Value
	}
	return out
}

func TestJournalRecords(t *testing.T) {
	w := newWorld(t)
	m := w.manager()
	ctx := WithCaller(t.Context(), Caller{UID: 1000, Known: true})
	c, err := m.Create(ctx, CreateRequest{ID: "web", Bundle: w.bundle})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(ctx); err != nil {
		t.Fatal(err)
	}
	w.exit("web", 7)
	wait(t, c)
	if err := c.Delete(ctx, false); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, e := range w.entries {
		f := fields(e)
		ids = append(ids, f["MESSAGE_ID"])
		if f["CONTAINER_ID"] != "web" || f["CONTAINER_NAME"] != "web" || f["BERTH_SCOPE"] != "berth-web.scope" || len(f["INVOCATION_ID"]) != 32 {
			t.Errorf("%v", f)
		}
		if (f["CALLER_UID"] == "1000") != (e.MessageID != MessageExited) {
			t.Errorf("caller %q of %s", f["CALLER_UID"], e.Message)
		}
	}
	if diff := cmp.Diff([]string{MessageCreated, MessageStarted, MessageExited, MessageDeleted}, ids); diff != "" {
		t.Fatal(diff)
	}
	exited := fields(w.entries[2])
	for name, want := range map[string]string{
		"MESSAGE": "Container web exited: code 7.", "CONTAINER_EXIT_CODE": "7", "CONTAINER_EXIT_REASON": "exit",
		"CPU_USAGE_NSEC": "1234000", "MEMORY_PEAK": "4096",
	} {
		if exited[name] != want {
			t.Errorf("%s=%q, want %q", name, exited[name], want)
		}
	}
}

// TestCatalog compares the catalog with the records: each ID is explained, and no field is named that none has.
func TestCatalog(t *testing.T) {
	data, err := os.ReadFile("../../packaging/catalog/berth.catalog")
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	ids := []string{MessageCreated, MessageStarted, MessageExited, MessageOOM, MessageDeleted}
	for _, id := range ids {
		_, entry, ok := strings.Cut(text, "\n-- "+id+"\nSubject: ")
		if !ok || !strings.Contains(entry, "\nDefined-By: berth\n") {
			t.Errorf("no entry for %s", id)
		}
	}
	if n := strings.Count(text, "\n-- "); n != len(ids) {
		t.Errorf("%d entries", n)
	}
	known := "CONTAINER_ID CONTAINER_EXIT_REASON CONTAINER_EXIT_CODE BERTH_SCOPE BERTH_BUNDLE"
	for i, word := range strings.Split(text, "@") {
		if i%2 == 1 && !strings.Contains(known, word) {
			t.Errorf("unknown field %q", word)
		}
	}
}

func TestReasons(t *testing.T) {
	tests := map[ExitReason]struct {
		signal, code int
		oomKills     uint64
		overdue      bool
	}{
		ReasonExit:        {code: 9, oomKills: 1, overdue: true}, // it had the last word
		ReasonSignal:      {signal: 15, code: -1, oomKills: 1, overdue: true},
		ReasonOOM:         {signal: 9, code: -1, oomKills: 1},
		ReasonStopTimeout: {signal: 9, code: -1, oomKills: 1, overdue: true},
		ReasonUnknown:     {code: -1, overdue: true},
	}
	for want, tt := range tests {
		r := keeper.Record{Exited: true, Code: tt.code, Signal: tt.signal}
		if got := reasonOf(r, usage{oomKills: tt.oomKills}, tt.overdue); got != want {
			t.Errorf("%+v: %q, want %q", tt, got, want)
		}
	}
}
