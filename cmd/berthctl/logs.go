package main

import (
	"fmt"
	"os"
	"os/exec"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/unit"
)

// logsFlags are those of journalctl(1) that make sense for one container.
type logsFlags struct {
	follow, reverse             bool
	lines, since, until, output string
}

func (a *app) logsCommand() *cobra.Command {
	var flags logsFlags
	cmd := &cobra.Command{
		Use:   "logs ID",
		Short: "Show the journal of a container",
		Long: "Show what the container wrote and what berthd recorded of its life. journalctl does the work; its\n" +
			"manual explains the flags. The journal also has containers that were deleted.",
		Args:              exactly("ID"),
		ValidArgsFunction: a.completeIDs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			path, err := exec.LookPath("journalctl")
			if err != nil {
				return fmt.Errorf("show logs of %q: %w", args[0], err)
			}
			if err := unix.Exec(path, flags.command(a, args[0]), os.Environ()); err != nil {
				return fmt.Errorf("run %q: %w", path, err)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&flags.follow, "follow", "f", false, "show new lines as they come")
	f.BoolVarP(&flags.reverse, "reverse", "r", false, "show the newest lines first")
	f.StringVarP(&flags.lines, "lines", "n", "", "show the last `N` lines only")
	f.StringVarP(&flags.since, "since", "S", "", "show lines from `TIME` on")
	f.StringVarP(&flags.until, "until", "U", "", "show lines up to `TIME`")
	f.StringVarP(&flags.output, "output", "o", "", "`FORMAT` of the lines, as journalctl knows them")
	_ = cmd.RegisterFlagCompletionFunc("output", completeWords(cobra.ShellCompDirectiveNoFileComp,
		"short", "short-precise", "short-iso", "short-full", "verbose", "json", "json-pretty", "cat", "with-unit"))
	return cmd
}

// command is the journalctl command line. The two matches are joined by OR: lines that journald itself ascribes
// to the scope, and records about the container that come from berthd and nobody else.
func (f *logsFlags) command(a *app, id string) []string {
	args := []string{"journalctl"}
	if f.output == "" && a.json {
		args = append(args, "--output=json")
	}
	for _, o := range []struct {
		set  bool
		flag string
	}{
		{a.noPager, "--no-pager"}, {a.noLegend, "--quiet"}, {f.follow, "--follow"}, {f.reverse, "--reverse"},
		{f.lines != "", "--lines=" + f.lines}, {f.since != "", "--since=" + f.since},
		{f.until != "", "--until=" + f.until}, {f.output != "", "--output=" + f.output},
	} {
		if o.set {
			args = append(args, o.flag)
		}
	}
	return append(args, "_SYSTEMD_UNIT="+unit.ScopeName(id), "+", "CONTAINER_ID="+id, "_SYSTEMD_UNIT=berthd.service")
}
