package integration

import (
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// documentBundle is a bundle where the documents have it, of a program that says hello and ends when asked to.
func (r *rig) documentBundle(path string, args ...string) {
	r.Helper()
	if len(args) == 0 {
		args = []string{"/bin/sh", "-c", `trap "exit 0" TERM; echo hello; while :; do sleep 0.05; done`}
	}
	if err := os.Symlink(r.bundle(nil, args...), path); err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = os.Remove(path) })
}

// document is what stands in a page of the tree between two texts.
func document(t *testing.T, page, after, before string) string {
	t.Helper()
	data, err := os.ReadFile("../../" + page)
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(data), after)
	if !ok {
		t.Fatalf("%s has no %q", page, after)
	}
	text, _, _ = strings.Cut(text, before)
	return text
}

// shell runs a line as a reader would, after the assignments in vars. What never ends has done so after half a second.
func (r *rig) shell(vars, line string) string {
	r.Helper()
	limit := "20"
	endless := strings.Contains(line, "--follow") || strings.Contains(line, "monitor")
	if endless {
		limit = "0.5"
	}
	out, err := exec.CommandContext(r.ctx, "timeout", limit, "sh", "-c", vars+"\n"+line).CombinedOutput()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if err != nil && (!endless || !ok || exit.ExitCode() != 124) {
		r.Errorf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// TestReadmeSession runs the session of README.md and compares what it shows.
func TestReadmeSession(t *testing.T) {
	r := newRig(t)
	r.documentBundle("/srv/web")
	r.documentBundle("/srv/job", "/bin/cat")
	text := document(t, "README.md", "```console\n", "```")
	blocks := strings.Split(strings.TrimPrefix(text, "# "), "\n# ")
	for _, block := range blocks {
		line, shown, _ := strings.Cut(block, "\n")
		got := r.shell("", line)
		if want := strings.TrimSpace(shown); want != "" && likeness(got) != likeness(want) {
			t.Errorf("%s shows\n%s\nnot\n%s", line, got, want)
		}
		if strings.HasPrefix(line, "echo hello |") && got != "hello\n" {
			t.Errorf("%s shows %q", line, got)
		}
	}
}

// likeness is a text without what differs from run to run: numbers, times and the width of columns.
func likeness(text string) string {
	text = regexp.MustCompile(`\b\d+s ago\b|\bnow\b`).ReplaceAllString(text, "AGO")
	text = regexp.MustCompile(`\d+`).ReplaceAllString(text, "N")
	return strings.Join(strings.Fields(text), " ")
}

// TestDocumentedCalls runs every busctl line of docs/dbus-api.md.
func TestDocumentedCalls(t *testing.T) {
	r := newRig(t)
	r.documentBundle("/srv/bundle")
	vars, ran := "", 0
	run := func(text string) {
		for line := range strings.Lines(text) {
			switch line = strings.TrimSpace(line); {
			case regexp.MustCompile(`^[A-Z]="`).MatchString(line):
				vars += line + "\n"
			case strings.HasPrefix(line, "busctl "):
				r.shell(vars, line)
				ran++
			}
		}
	}
	r.shell("", "berthctl run --detach web --bundle /srv/bundle")
	run(document(t, "docs/dbus-api.md", "compares this page with it.\n", "\nMethods of later"))
	r.shell("", "berthctl delete --force web")
	run(document(t, "docs/dbus-api.md", "## With busctl\n", "\nClients that wait"))
	if ran < 12 {
		t.Errorf("only %d calls found", ran)
	}
}
