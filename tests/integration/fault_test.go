package integration

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	journald "github.com/berth-project/berth/runtime/journal"
	"github.com/berth-project/berth/runtime/keeper"
	"github.com/berth-project/berth/runtime/launch"
	"github.com/berth-project/berth/runtime/lifecycle"
	"github.com/berth-project/berth/runtime/plan"
	"github.com/berth-project/berth/scope"
)

// The tests here put faults between the parts of the service, which are all
// the real ones: the manager runs in this process, beside berthd, with a state
// directory of its own, and talks to the box's systemd, journald and keeper.

// faults is what goes wrong. The zero value is nothing.
type faults struct {
	failOp int                // fail this op of the plan, counted from 1
	op     plan.Op            // what was there
	total  int                // how many there are
	passed func(point string) // is called wherever a create passes
}

func (f *faults) pass(point string) {
	if f.passed != nil {
		f.passed(point)
	}
}

// faultyKeeper is the keeper, but for what faults say.
type faultyKeeper struct {
	lifecycle.Keeper
	*faults
}

func (k faultyKeeper) Launch(ctx context.Context, r keeper.LaunchRequest) (keeper.Launched, error) {
	if k.failOp > 0 {
		altered, err := k.sabotage(r.Plan)
		if err != nil {
			return keeper.Launched{}, err
		}
		defer altered.Close()
		r.Plan = altered
	}
	k.pass("launch")
	l, err := k.Keeper.Launch(ctx, r)
	k.pass("launched")
	return l, err
}

// sabotage makes a plan of which one op fails.
func (k faultyKeeper) sabotage(file *os.File) (*os.File, error) {
	p, err := launch.Load(int(file.Fd()))
	if err != nil {
		return nil, err
	}
	op := &p.Ops[k.failOp-1]
	k.op, k.total = *op, len(p.Ops)
	*op = plan.Op{Kind: plan.Fail, Slot: plan.NoSlot, Label: op.Label, Args: [6]uint64{uint64(unix.EIO)}}
	fd, err := unix.MemfdCreate("altered", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, err
	}
	altered := os.NewFile(uintptr(fd), "altered")
	if _, err = altered.Write(p.Encode()); err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, launch.Seals)
	}
	return altered, err
}

// faultyScopes is systemd, in the form that the manager wants.
type faultyScopes struct {
	*scope.Manager
	*faults
}

func (s faultyScopes) Start(ctx context.Context, r lifecycle.ScopeRequest) error {
	s.pass("place")
	properties := append(scope.Defaults(scope.DefaultsConfig{Description: r.Description, StopTimeout: r.StopTimeout}), r.Properties...)
	err := s.Manager.Start(ctx, scope.StartRequest{
		Name: r.Name, PIDs: []int{r.PID}, PIDFD: int(r.PIDFD.Fd()), Properties: properties, Timeout: patience,
	})
	s.pass("placed")
	return err
}

func (s faultyScopes) Kill(ctx context.Context, name string, sig unix.Signal) error {
	return s.Manager.Kill(ctx, name, "all", sig)
}

// List finds nothing: what is there is berthd's.
func (s faultyScopes) List(context.Context) ([]string, error) { return nil, nil }

func (s faultyScopes) Processes(context.Context, string) ([]lifecycle.Process, error) {
	return nil, lifecycle.ErrNoSuchScope
}

// InvocationID is asked for by the last step of a create.
func (s faultyScopes) InvocationID(string) string {
	s.pass("commit")
	return ""
}

// faultyManager is a manager with faults.
func (r *rig) faultyManager(f *faults) *lifecycle.Manager {
	r.Helper()
	logs, err := journald.Open("")
	r.must(err)
	r.Cleanup(func() { logs.Close() })
	scopes, err := scope.New(r.ctx, scope.Config{})
	r.must(err)
	r.Cleanup(func() { scopes.Close() })
	dial := func(ctx context.Context, onRecord func(keeper.Record), onLost func(error)) (lifecycle.Keeper, error) {
		k, err := keeper.Dial(ctx, keeper.ClientConfig{Path: "/run/berth/keeper.sock", OnRecord: onRecord, OnLost: onLost})
		return faultyKeeper{k, f}, err
	}
	m, err := lifecycle.New(r.ctx, lifecycle.Config{
		StateDir: filepath.Join(r.TempDir(), "containers"), DialKeeper: dial, Scopes: faultyScopes{scopes, f}, Logs: logs, Facts: planFacts(r),
	})
	r.must(err)
	r.Cleanup(m.Close)
	return m
}

// world is what a failed create may not change: the host, this process, and
// the files of the bundle.
type world struct {
	Host  host
	FDs   int
	Files map[string]string
}

func (r *rig) lookAround(bundle string) world {
	r.Helper()
	return world{r.look(), openFDs(strconv.Itoa(os.Getpid())), planFiles(r, bundle)}
}

// unchanged waits until the world is as it was.
func (r *rig) unchanged(bundle string, before world, after string) {
	r.Helper()
	var diff string
	eventually(r.T, func() bool {
		diff = cmp.Diff(before, r.lookAround(bundle))
		return diff == ""
	}, func() string { return fmt.Sprintf("%s: left behind (-before +after):\n%s", after, diff) })
	if r.Failed() {
		r.FailNow()
	}
}

// fullBundle asks for something of everything a plan can do.
func (r *rig) fullBundle(change func(*specs.Spec)) string {
	r.Helper()
	bundle := planBundle(r)
	s := planFullSpec(r, bundle)
	if change != nil {
		change(s)
	}
	r.write(filepath.Join(bundle, "config.json"), jsonOf(s))
	return bundle
}

// TestEveryOpFailedOnce: whichever op fails, create (or start, for those after
// the start) says which, and nothing is left.
func TestEveryOpFailedOnce(t *testing.T) {
	for name, change := range map[string]func(*specs.Spec){
		"new namespaces": nil,
		"with a fork":    func(s *specs.Spec) { planSetNamespace(s, specs.TimeNamespace, "") },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			f := &faults{}
			m := r.faultyManager(f)
			bundle := r.fullBundle(change)
			verb, err := life(r.ctx, m, bundle)
			if err != nil {
				t.Fatalf("%s without faults: %v", verb, err)
			}
			before := r.lookAround(bundle)
			reached := map[string]int{}
			for f.failOp, f.total = 1, 1; f.failOp <= f.total; f.failOp++ {
				verb, err := life(r.ctx, m, bundle)
				begin := fmt.Sprintf("%s container %q: ", verb, "faulty")
				end := fmt.Sprintf("%s: input/output error (step %d of %d)", f.op.Label, f.failOp, f.total)
				if err != nil && (!strings.HasPrefix(err.Error(), begin) || !strings.HasSuffix(err.Error(), end)) {
					t.Errorf("op %d: error %q, want %q", f.failOp, err, begin+end)
				}
				if err != nil {
					reached[verb]++
				}
				r.unchanged(bundle, before, fmt.Sprintf("op %d (%s) failed", f.failOp, f.op.Label))
			}
			// The others make what this bundle has, or are the other arm of a branch.
			t.Logf("of %d ops %d failed the create, %d the start", f.total, reached["create"], reached["start"])
			if reached["start"] == 0 || reached["create"]+reached["start"] < f.total*3/5 {
				t.Error("too few ops were reached")
			}
		})
	}
}

// life is a whole one: create, start, wait, delete. The verb is the one that failed.
func life(ctx context.Context, m *lifecycle.Manager, bundle string) (verb string, err error) {
	c, err := m.Create(ctx, lifecycle.CreateRequest{ID: "faulty", Bundle: bundle})
	if err != nil {
		return "create", err
	}
	verb, err = "start", c.Start(ctx)
	if err == nil {
		verb = "wait"
		_, err = c.Wait(ctx)
	}
	if e := c.Delete(ctx, true); err == nil && e != nil {
		return "delete", e
	}
	return verb, err
}

// TestCreateCancelled cancels a create at every point it passes, and at any
// time in between: it is made whole, or nothing is left.
func TestCreateCancelled(t *testing.T) {
	r := newRig(t)
	f := &faults{}
	m := r.faultyManager(f)
	bundle := r.fullBundle(nil)
	points := map[string]int{}
	f.passed = func(point string) { points[point]++ }
	if verb, err := life(r.ctx, m, bundle); err != nil {
		t.Fatalf("%s without faults: %v", verb, err)
	}
	if len(points) != 5 {
		t.Errorf("a create passes %v", points)
	}
	before := r.lookAround(bundle)
	attempt := func(ctx context.Context, what string) {
		begin := time.Now()
		c, err := m.Create(ctx, lifecycle.CreateRequest{ID: "cancelled", Bundle: bundle})
		if took := time.Since(begin); took > 2*time.Second { // what it would be if systemd had to use SIGKILL
			t.Errorf("%s: it took %v", what, took)
		}
		switch {
		case err == nil:
			r.must(c.Delete(r.ctx, true))
		case !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded):
			t.Errorf("%s: error %v", what, err)
		}
		r.unchanged(bundle, before, what)
	}
	for _, point := range slices.Sorted(maps.Keys(points)) {
		ctx, cancel := context.WithCancel(r.ctx)
		f.passed = func(p string) {
			if p == point {
				cancel()
			}
		}
		attempt(ctx, "cancelled at "+point)
		cancel()
	}
	f.passed = nil
	begin := time.Now()
	r.must(func() error { _, err := life(r.ctx, m, bundle); return err }())
	whole := time.Since(begin)
	const times = 100
	for n := range times {
		limit := whole * time.Duration(n) / times
		ctx, cancel := context.WithTimeout(r.ctx, limit)
		attempt(ctx, "cancelled after "+limit.String())
		cancel()
	}
}
