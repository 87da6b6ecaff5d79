package spec

import (
	"math"
	"slices"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func TestScheduler(t *testing.T) {
	for _, tt := range []struct {
		name string
		s    specs.Scheduler
		want []string
	}{
		{"other", specs.Scheduler{Policy: specs.SchedOther, Nice: -20}, nil},
		{"batch", specs.Scheduler{Policy: specs.SchedBatch, Nice: 19}, nil},
		{"idle", specs.Scheduler{Policy: specs.SchedIdle}, nil},
		{"fifo", specs.Scheduler{Policy: specs.SchedFIFO, Priority: 99, Flags: []specs.LinuxSchedulerFlag{specs.SchedFlagResetOnFork}}, nil},
		{"rr", specs.Scheduler{Policy: specs.SchedRR, Priority: 1}, nil},
		{"deadline", specs.Scheduler{Policy: specs.SchedDeadline, Runtime: 1024, Deadline: 1024, Period: 2048}, nil},
		{"deadline is period", specs.Scheduler{Policy: specs.SchedDeadline, Runtime: 1024, Deadline: 1024}, nil},
		{"no policy", specs.Scheduler{}, []string{
			`error process.scheduler.policy: "" is not a scheduling policy`,
		}},
		{"iso", specs.Scheduler{Policy: specs.SchedISO}, []string{
			`error process.scheduler.policy: "SCHED_ISO" is not a scheduling policy of Linux`,
		}},
		{"nice", specs.Scheduler{Policy: specs.SchedOther, Nice: 20, Priority: 1}, []string{
			"error process.scheduler.nice: 20 is not in -20 to 19",
			"error process.scheduler.priority: 1 must be 0 with SCHED_OTHER",
		}},
		{"priority", specs.Scheduler{Policy: specs.SchedFIFO, Nice: 1}, []string{
			"error process.scheduler.nice: 1 has no effect with SCHED_FIFO",
			"error process.scheduler.priority: 0 is not in 1 to 99",
		}},
		{"priority high", specs.Scheduler{Policy: specs.SchedRR, Priority: 100}, []string{
			"error process.scheduler.priority: 100",
		}},
		{"flags", specs.Scheduler{Policy: specs.SchedOther, Flags: []specs.LinuxSchedulerFlag{"X", specs.SchedFlagUtilClampMin}}, []string{
			`error process.scheduler.flags[0]: "X" is not a scheduling flag`,
			"warning process.scheduler.flags[1]: the clamp is 0",
		}},
		{"deadline for another", specs.Scheduler{Policy: specs.SchedOther, Period: 1}, []string{
			"error process.scheduler: runtime, deadline and period are for SCHED_DEADLINE",
		}},
		{"runtime short", specs.Scheduler{Policy: specs.SchedDeadline, Runtime: 1023, Deadline: 1024}, []string{
			"error process.scheduler.runtime: 1023 ns is below",
		}},
		{"deadline short", specs.Scheduler{Policy: specs.SchedDeadline, Runtime: 2048, Deadline: 1024}, []string{
			"error process.scheduler.deadline: 1024 ns is less",
		}},
		{"period short", specs.Scheduler{Policy: specs.SchedDeadline, Runtime: 1024, Deadline: 2048, Period: 1024}, []string{
			"error process.scheduler.period: 1024 ns is less",
		}},
		{"period long", specs.Scheduler{Policy: specs.SchedDeadline, Runtime: 1024, Deadline: 2048, Period: math.MaxUint64}, []string{
			"error process.scheduler.period: 18446744073709551615 ns is above",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := base()
			s.Process.Scheduler = &tt.s
			checkFindings(t, Validate(s), tt.want)
		})
	}
}

func TestSchedulingNumbers(t *testing.T) {
	if p, ok := SchedPolicy(specs.SchedDeadline); !ok || p != unix.SCHED_DEADLINE {
		t.Errorf("SCHED_DEADLINE is %d, %v", p, ok)
	}
	var all uint64
	for name := range schedFlags {
		f, _ := SchedFlag(name)
		all |= f
	}
	if all != unix.SCHED_FLAG_ALL {
		t.Errorf("the flags are %#x together, not %#x", all, unix.SCHED_FLAG_ALL)
	}
	if v, ok := IOPriority(specs.IOPRIO_CLASS_IDLE, 4); !ok || v != 3<<13|4 {
		t.Errorf("idle, 4 is %#x, %v", v, ok)
	}
	if _, ok := IOPriority(specs.IOPRIO_CLASS_BE, 8); ok {
		t.Error("priority 8 is allowed")
	}
}

func TestIOPriorityAndAffinity(t *testing.T) {
	checkRules(t, []rule{
		{"good", func(s *specs.Spec) {
			s.Process.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_RT, Priority: 7}
			s.Process.ExecCPUAffinity = &specs.CPUAffinity{Initial: "7", Final: "0-3,7"}
		}, nil},
		{"bad", func(s *specs.Spec) {
			s.Process.IOPriority = &specs.LinuxIOPriority{Class: "RT", Priority: 8}
			s.Process.ExecCPUAffinity = &specs.CPUAffinity{Initial: "3-1", Final: "0,"}
		}, []string{
			`error process.ioPriority.class: "RT" is not IOPRIO_CLASS_RT`,
			"error process.ioPriority.priority: 8 is not in 0 to 7",
			`error process.execCPUAffinity.initial: parse list "3-1": "3-1" is no number or ascending range`,
			`error process.execCPUAffinity.final: parse list "0,": "" is no number`}},
	})
}

func TestParseCPUList(t *testing.T) {
	for list, want := range map[string][]int{
		"": nil, "0": {0}, "0-3,7": {0, 1, 2, 3, 7}, "7,0-1,1": {0, 1, 7}, "8191": {8191}, "5-5": {5},
	} {
		if got, err := ParseCPUList(list); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q is %v, %v; want %v", list, got, err, want)
		}
	}
	for _, list := range []string{",", "a", "-1", "1-", "1--2", "0 ,1", "8192", "0-99999999999", "3-1", "+1", "0x1"} {
		if got, err := ParseCPUList(list); err == nil {
			t.Errorf("%q is %v", list, got)
		}
	}
}
