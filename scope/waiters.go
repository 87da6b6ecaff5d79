package scope

import (
	"slices"
	"sync"

	"github.com/godbus/dbus/v5"
)

// waiters are those who wait for a signal. They are told on the goroutine that reads the bus: another one in
// between would be two more wake-ups for every start.
type waiters struct {
	mu       sync.Mutex
	jobs     map[string][]*jobWaiter // by unit; guarded by mu, also the waiters themselves
	removals map[string][]*removal   // by unit; guarded by mu
}

// jobWaiter waits for the end of a job. JobRemoved can come before the reply that tells the job's path, so what
// ends while the path is unknown is remembered.
type jobWaiter struct {
	unit  string
	job   dbus.ObjectPath
	early []jobRemoved
	done  chan JobResult // room for one
}

// removal waits until a unit is unloaded.
type removal struct {
	unit string
	gone chan struct{}
}

func newWaiters() *waiters {
	return &waiters{jobs: map[string][]*jobWaiter{}, removals: map[string][]*removal{}}
}

func (w *waiters) watchJob(name string) *jobWaiter {
	w.mu.Lock()
	defer w.mu.Unlock()
	j := &jobWaiter{unit: name, done: make(chan JobResult, 1)}
	w.jobs[name] = append(w.jobs[name], j)
	return j
}

// expect tells a waiter its job.
func (w *waiters) expect(j *jobWaiter, job dbus.ObjectPath) {
	w.mu.Lock()
	defer w.mu.Unlock()
	j.job = job
	for _, ev := range j.early {
		if ev.job == job {
			w.lockedEnd(j, ev.result)
			break
		}
	}
	j.early = nil
}

func (w *waiters) jobRemoved(ev jobRemoved) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, j := range slices.Clone(w.jobs[ev.unit]) { // two who stop a unit get the same job
		switch j.job {
		case "":
			j.early = append(j.early, ev)
		case ev.job:
			w.lockedEnd(j, ev.result)
		}
	}
}

func (w *waiters) lockedEnd(j *jobWaiter, r JobResult) {
	j.done <- r
	remove(w.jobs, j.unit, j)
}

func (w *waiters) forgetJob(j *jobWaiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	remove(w.jobs, j.unit, j)
}

func (w *waiters) watchRemoval(name string) *removal {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := &removal{name, make(chan struct{})}
	w.removals[name] = append(w.removals[name], r)
	return r
}

func (w *waiters) unitRemoved(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.removals[name] {
		close(r.gone)
	}
	delete(w.removals, name)
}

func (w *waiters) forgetRemoval(r *removal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	remove(w.removals, r.unit, r)
}

// remove takes v out of the list under key.
func remove[T comparable](m map[string][]T, key string, v T) {
	list := slices.DeleteFunc(m[key], func(x T) bool { return x == v })
	if len(list) == 0 {
		delete(m, key)
		return
	}
	m[key] = list
}
