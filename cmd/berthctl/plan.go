package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/berth-project/berth/runtime/compile"
	"github.com/berth-project/berth/runtime/kernel"
	"github.com/berth-project/berth/runtime/spec"
)

func (a *app) planCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "plan BUNDLE",
		Short: "Show every system call that creating a container would make",
		Long: "Compile the bundle as berthd would and print the plan, one system call a line. Nothing is executed and\n" +
			"the service is not asked. The same bundle on the same kernel always gives the same plan.",
		Args: exactly("BUNDLE"),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return completeDirs(cmd, args, word)
		},
		RunE: func(_ *cobra.Command, args []string) error { return a.plan(args[0]) },
	}
}

func (a *app) plan(dir string) error {
	bundle, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("find bundle %q: %w", dir, err)
	}
	s, findings, err := spec.LoadBundle(bundle)
	if err == nil {
		a.warn(findings.Warnings())
		err = findings.Err()
	}
	if err != nil {
		return fmt.Errorf("plan %q: %w", dir, err)
	}
	facts, err := kernel.Probe()
	if errors.Is(err, kernel.ErrUnsupported) {
		fmt.Fprintf(a.stderr, "berthctl: warning: %v\n", err) //nolint:errcheck // as in report
	} else if err != nil {
		return fmt.Errorf("plan %q: %w", dir, err)
	}
	program, err := compile.Container(compile.Request{Spec: s, Bundle: bundle, Facts: facts})
	if err != nil {
		return fmt.Errorf("plan %q: %w", dir, err)
	}
	_, err = fmt.Fprint(a.stdout, program)
	return err
}

func (a *app) warn(findings spec.Findings) {
	for _, f := range findings {
		fmt.Fprintf(a.stderr, "berthctl: warning: %v\n", f) //nolint:errcheck // as in report
	}
}
