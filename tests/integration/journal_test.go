package integration

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/berth-project/berth/dbusapi/client"
)

// outputOf is the output of a program whose status does not matter.
func outputOf(name string, args ...string) string {
	out, _ := exec.Command(name, args...).CombinedOutput()
	return string(out)
}

// journal gives the records that match, as fields.
func journal(t *testing.T, matches ...string) []map[string]any {
	t.Helper()
	output(t, "journalctl", "--sync")
	var records []map[string]any
	for line := range strings.Lines(output(t, "journalctl", append([]string{"--output=json", "--no-pager"}, matches...)...)) {
		var record map[string]any
		if json.Unmarshal([]byte(line), &record) == nil {
			records = append(records, record)
		}
	}
	return records
}

func TestOutputIsInTheJournal(t *testing.T) {
	r := newRig(t)
	c := r.run("logs", r.sh("echo to stdout; echo to stderr >&2; (echo from a child)"), client.CreateOptions{})
	r.wait(c)
	var got []string
	for _, record := range journal(t, "_SYSTEMD_UNIT=berth-logs.scope", "_TRANSPORT=stdout") {
		got = append(got, record["MESSAGE"].(string))
		comm := record["_COMM"] // journald looks at the sender, who may be gone
		if record["SYSLOG_IDENTIFIER"] != "logs" || comm != nil && comm != "sh" && comm != "busybox" {
			t.Errorf("record %v", record)
		}
	}
	if strings.Join(got, "|") != "to stdout|to stderr|from a child" {
		t.Errorf("messages %q", got)
	}
}

func TestLifeIsInTheJournal(t *testing.T) {
	r := newRig(t)
	c := r.run("recorded", r.sh("exit 4"), client.CreateOptions{})
	r.wait(c)
	invocation := r.properties(c).InvocationID
	r.must(c.Delete(r.ctx, false))
	records := journal(t, "CONTAINER_ID=recorded")
	if len(records) != 4 {
		t.Fatalf("%d records: %v", len(records), records)
	}
	ids := map[any]bool{}
	for _, record := range records {
		ids[record["MESSAGE_ID"]] = true
		if record["CONTAINER_NAME"] != "recorded" || record["BERTH_SCOPE"] != "berth-recorded.scope" || record["_SYSTEMD_UNIT"] != "berthd.service" {
			t.Errorf("record %v", record)
		}
	}
	if len(ids) != 4 {
		t.Errorf("%d different MESSAGE_IDs", len(ids))
	}
	exited := records[2]
	if exited["CONTAINER_EXIT_CODE"] != "4" || exited["CONTAINER_EXIT_REASON"] != "exit" || exited["CPU_USAGE_NSEC"] == nil || exited["MEMORY_PEAK"] == nil {
		t.Errorf("exited: %v", exited)
	}
	if invocation != "" && records[1]["INVOCATION_ID"] != invocation {
		t.Errorf("invocation %v, want %s", records[1]["INVOCATION_ID"], invocation)
	}
	output(t, "journalctl", "--update-catalog")
	if text := output(t, "journalctl", "--catalog", "--no-pager", "CONTAINER_ID=recorded"); strings.Count(text, "Subject: Container recorded has") != 4 {
		t.Errorf("no explanation from the catalog in %s", text)
	}
}
