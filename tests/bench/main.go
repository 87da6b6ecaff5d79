// Command bench measures Berth against its peers and against the raw floor, in
// one run, and prints one table. It runs in a box: make bench.
//
// Nothing here passes or fails: numbers are compared as ratios within a run.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

type options struct {
	rounds, parallel, idle int
	peers                  bool
}

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var o options
	flags.IntVar(&o.rounds, "rounds", 60, "how often each thing is timed, one after the other, in turns")
	flags.IntVar(&o.parallel, "parallel", 480, "operations with 16 clients at once; 0 leaves that part out")
	flags.IntVar(&o.idle, "idle", 100, "idle containers whose memory is measured; 0 leaves that part out")
	flags.BoolVar(&o.peers, "peers", true, "measure the peers, too")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	if err := bench(ctx, o, stdout); err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	return 0
}

func bench(ctx context.Context, o options, out io.Writer) error {
	b, err := makeBundle()
	if err != nil {
		return err
	}
	defer b.remove()
	raw, err := newRaw(ctx, b)
	if err != nil {
		return err
	}
	defer raw.close()
	berth, err := newBerth(ctx, b)
	if err != nil {
		return err
	}
	defer berth.close()
	if err := sequential(ctx, out, o.rounds, columns(b, raw, berth, o.peers)); err != nil {
		return err
	}
	if o.parallel > 0 {
		if err := parallel(ctx, out, o.parallel, raw, berth); err != nil {
			return err
		}
	}
	if o.idle == 0 {
		return nil
	}
	return memory(ctx, out, o.idle, berth)
}
