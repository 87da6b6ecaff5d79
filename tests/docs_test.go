package tests

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/berth-project/berth/dbusapi/wire"
)

// documents are all pages, by path from the top of the tree.
func documents(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("../docs/*.md")
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	pages := map[string]string{}
	for _, path := range append(paths, "../README.md") {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		pages[strings.TrimPrefix(path, "../")] = string(data)
	}
	return pages
}

func TestReadmeIsOneScreen(t *testing.T) {
	text := documents(t)["README.md"]
	if n := strings.Count(text, "\n"); n > 60 {
		t.Errorf("README.md has %d lines", n)
	}
}

// TestDocumentLinks: what a page links to in the tree is there.
func TestDocumentLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#]+)[^)]*\)`)
	for page, text := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join("..", filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s: link %q: %v", page, m[1], err)
			}
		}
	}
}

// TestDocumentPaths: files, directories and packages of the tree that a page names in backquotes are there.
func TestDocumentPaths(t *testing.T) {
	path := regexp.MustCompile("`((?:runtime|dbusapi|scope|unit|activation|cmd|packaging|tests|docs)/[\\w./-]+)`")
	for page, text := range documents(t) {
		for _, m := range path.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join("..", m[1])); err != nil && m[1] != "runtime/seccomp" { // a room of later
				t.Errorf("%s: %q: %v", page, m[1], err)
			}
		}
	}
}

// code are the lines of a page's code blocks and its `spans`.
func code(text string) []string {
	var lines []string
	span, fenced := regexp.MustCompile("`([^`]+)`"), false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "```"):
			fenced = !fenced
		case fenced, strings.HasPrefix(line, "    "):
			lines = append(lines, strings.TrimPrefix(strings.TrimSpace(line), "# "))
		default:
			for _, m := range span.FindAllStringSubmatch(line, -1) {
				lines = append(lines, m[1])
			}
		}
	}
	return lines
}

func TestDocumentTargets(t *testing.T) {
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	_, phony, _ := strings.Cut(string(makefile), "\n.PHONY:")
	phony, _, _ = strings.Cut(phony, "\n")
	targets := strings.Fields(phony)
	call := regexp.MustCompile(`^make ((?:-o \w+ )?[a-z][a-z-]*(?: [a-z-]+)*)`)
	for page, text := range documents(t) {
		for _, line := range code(text) {
			for _, m := range call.FindAllStringSubmatch(line, -1) {
				for _, word := range strings.Fields(m[1]) {
					if !strings.HasPrefix(word, "-") && !slices.Contains(targets, word) {
						t.Errorf("%s: %q: make has no target %q", page, line, word)
					}
				}
			}
		}
	}
}

// TestDocumentCalls: every call of busctl names a method, or properties, of the API, with its signature.
func TestDocumentCalls(t *testing.T) {
	call := regexp.MustCompile(`^busctl (?:--\S+ )*(call|get-property) (.+)`)
	calls := 0
	for page, text := range documents(t) {
		names := strings.NewReplacer(
			"$M", "org.berth1 /org/berth1 org.berth1.Manager", "$C", "org.berth1 /org/berth1/container/web org.berth1.Container")
		for _, line := range code(text) {
			m := call.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			words := append(strings.Fields(names.Replace(m[2])), "")
			if err := checkCall(m[1], words); err != "" {
				t.Errorf("%s: %q: %s", page, line, err)
			}
			calls++
		}
	}
	if calls < 10 {
		t.Errorf("only %d calls found", calls)
	}
}

// checkCall takes words after the verb: service, object, interface, member, signature or more members.
func checkCall(verb string, words []string) string {
	if len(words) < 5 {
		return "too short"
	}
	for _, i := range []wire.Interface{wire.Manager(), wire.Container()} {
		if i.Name != words[2] {
			continue
		}
		if verb == "get-property" {
			for _, name := range words[3 : len(words)-1] {
				if i.Property(name) == nil {
					return "no property " + name
				}
			}
			return ""
		}
		method := i.Method(words[3])
		if method == nil {
			return "no method " + words[3]
		}
		if want := wire.Signature(method.In); strings.Trim(words[4], "'") != want {
			return "the signature is " + want
		}
		return ""
	}
	return "no interface " + words[2]
}

// TestDocumentedPlan: the example of docs/plan.md is the plan of what "runc spec" writes, but for "..." and notes.
func TestDocumentedPlan(t *testing.T) {
	golden, err := os.ReadFile("../runtime/compile/testdata/runc-spec.plan")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(documents(t)["docs/plan.md"], "\n    ")
	example, _, _ = strings.Cut(example, "\n\n")
	note := regexp.MustCompile(` {3,}\S.*$`)
	for line := range strings.Lines(example) {
		line = note.ReplaceAllString(strings.TrimSpace(line), "")
		if line == "..." {
			continue
		}
		like := strings.ReplaceAll(regexp.QuoteMeta(line), `\.\.\.`, ".*")
		if !regexp.MustCompile(`(?m)^ *` + like + `$`).Match(golden) {
			t.Errorf("docs/plan.md: no plan has the line %q", line)
		}
	}
}
