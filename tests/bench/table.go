package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// blocks is how many turns a column has.
const blocks = 5

// sequential times the columns in turns, a block each, so that all see the
// same machine; the first of a block, which still feels what ran before it, is
// not counted. A column that fails is left out, with its reason: the peers are
// Debian's and not all of them work everywhere.
func sequential(ctx context.Context, out io.Writer, rounds int, list []column) error {
	samples := make([][]time.Duration, len(list))
	failed := make([]error, len(list))
	for range blocks {
		for i, c := range list {
			for round := range rounds/blocks + 2 {
				d, err := c.time(ctx)
				if ctx.Err() != nil {
					return ctx.Err()
				}
				if failed[i] = err; err != nil {
					break
				}
				if round > 0 {
					samples[i] = append(samples[i], d)
				}
			}
		}
	}
	if failed[0] != nil || failed[1] != nil || failed[2] != nil {
		return fmt.Errorf("measure: raw scope: %v, raw plan: %v, berth: %v", failed[0], failed[1], failed[2])
	}
	floor := quantile(samples[0], 50) + quantile(samples[1], 50)
	fmt.Fprintf(out, "One after the other, %d rounds; floor = raw StartTransientUnit + raw plan = %.2f ms\n\n", rounds, ms(floor))
	fmt.Fprintf(out, "| what | median ms | p95 ms | x floor |\n|---|---:|---:|---:|\n")
	for i, c := range list {
		if len(samples[i]) == 0 {
			fmt.Fprintf(out, "| %s | - | - | %v |\n", c.name, failed[i])
			continue
		}
		m := quantile(samples[i], 50)
		fmt.Fprintf(out, "| %s | %.2f | %.2f | %.2f |\n", c.name, ms(m), ms(quantile(samples[i], 95)), float64(m)/float64(floor))
	}
	fmt.Fprintln(out)
	return nil
}

const clients = 16

// parallel compares the rates of 16 clients at once.
func parallel(ctx context.Context, out io.Writer, total int, r *raw, service *berth) error {
	fmt.Fprintf(out, "%d clients at once, %d operations\n\n| what | per second | x raw |\n|---|---:|---:|\n", clients, total)
	if err := r.prefork(total); err != nil {
		return err
	}
	var base float64
	for _, c := range []column{{"raw StartTransientUnit", r.scope}, {"Create+Start+exit+Delete over D-Bus", service.cycle}} {
		rate, err := rateOf(ctx, total, c)
		if err != nil {
			return fmt.Errorf("%s with %d clients: %w", c.name, clients, err)
		}
		if base == 0 {
			base = rate
		}
		fmt.Fprintf(out, "| %s | %.0f | %.2f |\n", c.name, rate, rate/base)
	}
	fmt.Fprintln(out)
	return nil
}

func rateOf(ctx context.Context, total int, c column) (float64, error) {
	var wg sync.WaitGroup
	errs := make(chan error, clients)
	start := time.Now()
	for range clients {
		wg.Go(func() {
			for range total / clients {
				if _, err := c.time(ctx); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	return float64(total/clients*clients) / time.Since(start).Seconds(), <-errs
}

func quantile(samples []time.Duration, percent int) time.Duration {
	sorted := slices.Sorted(slices.Values(samples))
	return sorted[min(len(sorted)*percent/100, len(sorted)-1)]
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
