package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/berth-project/berth/dbusapi/client"
	"github.com/berth-project/berth/dbusapi/wire"
)

var update = flag.Bool("update", false, "write the completions of packaging anew")

const packaging = "../../packaging"

// completions are the scripts that `berthctl completion SHELL` prints, under the names the shells look for.
var completions = map[string]func(*cobra.Command, *bytes.Buffer) error{
	"berthctl":      func(c *cobra.Command, w *bytes.Buffer) error { return c.GenBashCompletionV2(w, true) },
	"_berthctl":     func(c *cobra.Command, w *bytes.Buffer) error { return c.GenZshCompletion(w) },
	"berthctl.fish": func(c *cobra.Command, w *bytes.Buffer) error { return c.GenFishCompletion(w, true) },
}

func TestCompletionsAreCurrent(t *testing.T) {
	for name, generate := range completions {
		var want bytes.Buffer
		if err := generate(newRoot(&app{}), &want); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(packaging, "completions", name)
		if *update {
			if err := os.WriteFile(path, want.Bytes(), 0o644); err != nil { //nolint:gosec // public
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want.Bytes()) {
			t.Errorf("%s is not current: go test ./cmd/berthctl -run Completions -update", path)
		}
	}
}

// TestManual checks that berthctl(1) has every command, with every flag below it, and every scope property.
func TestManual(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(packaging, "man", "berthctl.1"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(page), `\-`, "-")
	root := newRoot(&app{})
	root.PersistentFlags().VisitAll(func(f *pflag.Flag) {
		if !strings.Contains(text, "--"+f.Name) {
			t.Errorf("berthctl.1 does not mention --%s", f.Name)
		}
	})
	for _, cmd := range root.Commands() {
		_, section, found := strings.Cut(text, "\n.SS "+cmd.Name())
		if !found {
			t.Errorf("berthctl.1 has no section for %s", cmd.Name())
			continue
		}
		if end := regexp.MustCompile(`\n\.S[SH] `).FindStringIndex(section); end != nil {
			section = section[:end[0]]
		}
		if strings.Contains(section, "same options as") {
			section += text
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !strings.Contains(section, "--"+f.Name) || f.Shorthand != "" && !strings.Contains(section, " -"+f.Shorthand+` ", " --`+f.Name) {
				t.Errorf("berthctl.1 does not explain --%s (-%s) of %s", f.Name, f.Shorthand, cmd.Name())
			}
		})
	}
	for _, name := range propertyNames() {
		if !strings.Contains(text, name) {
			t.Errorf("berthctl.1 does not mention the property %s", name)
		}
	}
}

// TestDocuments checks that every command line of berthctl in the documents and the manual's examples is one.
func TestDocuments(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	call := regexp.MustCompile("(?m)(?:^|[ `])berthctl +([a-z-][^`|#>\n]*)")
	found := 0
	for _, page := range append(pages, "../../README.md", filepath.Join(packaging, "man", "berthctl.1")) {
		data, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		_, text, isManual := strings.Cut(strings.ReplaceAll(string(data), `\-`, "-"), "\n.SH EXAMPLES")
		if !isManual {
			text = codeOf(string(data))
		}
		for _, m := range call.FindAllStringSubmatch(text, -1) {
			found++
			if err := checkLine(strings.Fields(m[1])); err != nil {
				t.Errorf("%s: %q: %v", page, strings.TrimSpace(m[0]), err)
			}
		}
	}
	if found < 8 {
		t.Errorf("only %d command lines found", found)
	}
}

// codeOf is what stands in a page's code blocks and `spans`, one a line.
func codeOf(page string) string {
	block := regexp.MustCompile("(?ms)^```.*?^```|^    .*?$|`[^`\n]+`")
	return strings.Join(block.FindAllString(page, -1), "\n")
}

func checkLine(words []string) error {
	cmd, args, err := newRoot(&app{}).Find(words)
	if err != nil {
		return err
	}
	if err := cmd.ParseFlags(args); err != nil || len(args) == 0 { // without arguments it is the command's name
		return err
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}

// TestProperties checks that show knows every property of the API.
func TestProperties(t *testing.T) {
	values := propertyMap(client.Properties{})
	for _, p := range wire.Container().Properties {
		if _, ok := values[p.Name]; !ok {
			t.Errorf("show does not know %q", p.Name)
		}
		delete(values, p.Name)
	}
	for name := range values {
		t.Errorf("show knows %q, the API does not", name)
	}
}
