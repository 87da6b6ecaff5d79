package keeper

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestExitStatus(t *testing.T) {
	usage := &unix.Rusage{Utime: unix.Timeval{Sec: 1, Usec: 5}, Stime: unix.Timeval{Usec: 7}, Maxrss: 3}
	for name, test := range map[string]struct {
		status unix.WaitStatus
		known  bool
		want   Record
	}{
		"exit 0":          {0, true, Record{Code: 0}},
		"exit 255":        {255 << 8, true, Record{Code: 255}},
		"signal":          {9, true, Record{Code: -1, Signal: 9}},
		"core":            {0x80 | 11, true, Record{Code: -1, Signal: 11, CoreDumped: true}},
		"real time":       {64, true, Record{Code: -1, Signal: 64}},
		"taken by others": {0, false, Record{Code: -1}},
	} {
		t.Run(name, func(t *testing.T) {
			var got Record
			got.exit(test.status, usage, test.known)
			if got.FinishedUSec == 0 {
				t.Error("no time")
			}
			got.FinishedUSec = 0
			test.want.Exited = true
			if test.known {
				test.want.CPUTimeUSec, test.want.MaxRSSBytes = 1_000_012, 3072
			}
			if got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestHasExecuted(t *testing.T) {
	if !hasExecuted(os.Getpid()) {
		t.Error("this program was executed")
	}
	if !hasExecuted(1 << 30) {
		t.Error("without a process the report counts")
	}
}
