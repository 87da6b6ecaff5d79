package spec

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// schedPolicies by name, see sched_setattr(2). SCHED_ISO is reserved, but in no kernel.
var schedPolicies = map[specs.LinuxSchedulerPolicy]uint32{
	specs.SchedOther: unix.SCHED_NORMAL, specs.SchedFIFO: unix.SCHED_FIFO, specs.SchedRR: unix.SCHED_RR,
	specs.SchedBatch: unix.SCHED_BATCH, specs.SchedIdle: unix.SCHED_IDLE, specs.SchedDeadline: unix.SCHED_DEADLINE,
}

var schedFlags = map[specs.LinuxSchedulerFlag]uint64{
	specs.SchedFlagResetOnFork: unix.SCHED_FLAG_RESET_ON_FORK, specs.SchedFlagReclaim: unix.SCHED_FLAG_RECLAIM,
	specs.SchedFlagDLOverrun: unix.SCHED_FLAG_DL_OVERRUN, specs.SchedFlagKeepPolicy: unix.SCHED_FLAG_KEEP_POLICY,
	specs.SchedFlagKeepParams: unix.SCHED_FLAG_KEEP_PARAMS, specs.SchedFlagUtilClampMin: unix.SCHED_FLAG_UTIL_CLAMP_MIN,
	specs.SchedFlagUtilClampMax: unix.SCHED_FLAG_UTIL_CLAMP_MAX,
}

var ioClasses = map[specs.IOPriorityClass]int{
	specs.IOPRIO_CLASS_RT: 1, specs.IOPRIO_CLASS_BE: 2, specs.IOPRIO_CLASS_IDLE: 3,
}

// SchedPolicy returns the number of a scheduling policy for sched_setattr(2).
func SchedPolicy(name specs.LinuxSchedulerPolicy) (policy uint32, ok bool) {
	policy, ok = schedPolicies[name]
	return policy, ok
}

// SchedFlag returns a bit of sched_flags for sched_setattr(2).
func SchedFlag(name specs.LinuxSchedulerFlag) (flag uint64, ok bool) {
	flag, ok = schedFlags[name]
	return flag, ok
}

// IOPriority returns the value of class and priority for ioprio_set(2).
func IOPriority(class specs.IOPriorityClass, priority int) (value int, ok bool) {
	number, ok := ioClasses[class]
	return number<<13 | priority, ok && 0 <= priority && priority <= 7
}

func (c *checker) scheduler(s *specs.Scheduler) {
	const path = "process.scheduler"
	if s == nil {
		return
	}
	if _, ok := SchedPolicy(s.Policy); !ok {
		c.errorf(path+".policy", refLinuxProcess, "%s is not a scheduling policy of Linux", quote(string(s.Policy)))
		return
	}
	for i, name := range s.Flags {
		if flag, ok := SchedFlag(name); !ok {
			c.errorf(index(path+".flags", i), refLinuxProcess, "%s is not a scheduling flag", quote(string(name)))
		} else if flag&(unix.SCHED_FLAG_UTIL_CLAMP_MIN|unix.SCHED_FLAG_UTIL_CLAMP_MAX) != 0 {
			c.warnf(index(path+".flags", i), refLinuxProcess, "the clamp is 0: the runtime specification has no field for its value")
		}
	}
	c.niceAndPriority(path, s)
	c.deadline(path, s)
}

// niceAndPriority are refused where the kernel does (sched_setattr(2)), and where it would ignore them.
func (c *checker) niceAndPriority(path string, s *specs.Scheduler) {
	switch fair := s.Policy == specs.SchedOther || s.Policy == specs.SchedBatch; {
	case !fair && s.Nice != 0:
		c.errorf(path+".nice", refLinuxProcess, "%d has no effect with %s", s.Nice, s.Policy)
	case s.Nice < -20 || s.Nice > 19:
		c.errorf(path+".nice", refLinuxProcess, "%d is not in -20 to 19", s.Nice)
	}
	switch realtime := s.Policy == specs.SchedFIFO || s.Policy == specs.SchedRR; {
	case !realtime && s.Priority != 0:
		c.errorf(path+".priority", refLinuxProcess, "%d must be 0 with %s", s.Priority, s.Policy)
	case realtime && (s.Priority < 1 || s.Priority > 99):
		c.errorf(path+".priority", refLinuxProcess, "%d is not in 1 to 99", s.Priority)
	}
}

// deadline follows __checkparam_dl (Linux: kernel/sched/deadline.c), apart from the two sysctl limits.
func (c *checker) deadline(path string, s *specs.Scheduler) {
	const minRuntime, maxTime = 1 << 10, 1<<63 - 1
	period := s.Period
	if period == 0 {
		period = s.Deadline
	}
	switch {
	case s.Policy != specs.SchedDeadline:
		if s.Runtime|s.Deadline|s.Period != 0 {
			c.errorf(path, refLinuxProcess, "runtime, deadline and period are for SCHED_DEADLINE, not %s", s.Policy)
		}
	case s.Runtime < minRuntime:
		c.errorf(path+".runtime", refLinuxProcess, "%d ns is below the least of %d", s.Runtime, minRuntime)
	case s.Runtime > s.Deadline:
		c.errorf(path+".deadline", refLinuxProcess, "%d ns is less than the runtime of %d", s.Deadline, s.Runtime)
	case s.Deadline > period:
		c.errorf(path+".period", refLinuxProcess, "%d ns is less than the deadline of %d", s.Period, s.Deadline)
	case period > maxTime:
		c.errorf(path+".period", refLinuxProcess, "%d ns is above the most of %d", period, uint64(maxTime))
	}
}

func (c *checker) ioPriority(p *specs.LinuxIOPriority) {
	if p == nil {
		return
	}
	if _, ok := ioClasses[p.Class]; !ok {
		c.errorf("process.ioPriority.class", refLinuxProcess, "%s is not IOPRIO_CLASS_RT, IOPRIO_CLASS_BE or IOPRIO_CLASS_IDLE", quote(string(p.Class)))
	}
	if p.Priority < 0 || p.Priority > 7 {
		c.errorf("process.ioPriority.priority", refLinuxProcess, "%d is not in 0 to 7", p.Priority)
	}
}

// maxCPU is the most CPUs, and nodes, that Linux can be built for (CONFIG_NR_CPUS on amd64), less one.
const maxCPU = 8191

// ParseCPUList reads a list such as "0-3,7" into ascending numbers; an empty list is none. See the format
// description in cpuset(7).
func ParseCPUList(list string) ([]int, error) {
	if list == "" {
		return nil, nil
	}
	var cpus []int
	for part := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, err1 := strconv.ParseUint(first, 10, 16)
		to, err2 := strconv.ParseUint(last, 10, 16)
		if err1 != nil || err2 != nil || from > to || to > maxCPU {
			return nil, fmt.Errorf("parse list %s: %s is no number or ascending range up to %d", quote(list), quote(part), maxCPU)
		}
		for n := from; n <= to; n++ {
			cpus = append(cpus, int(n))
		}
	}
	slices.Sort(cpus)
	return slices.Compact(cpus), nil
}

func (c *checker) cpuList(path, list, ref string) {
	if _, err := ParseCPUList(list); err != nil {
		c.errorf(path, ref, "%v", err)
	}
}
