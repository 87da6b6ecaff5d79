package state

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func open(t *testing.T) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "containers"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func full() Record {
	return Record{
		Version: Version, ID: "web", Phase: Running, Paused: true, Deleting: true, Bundle: "/b", OCIVersion: "1.2.0",
		Annotations: map[string]string{"a": "b"}, Terminal: true, Log: "journald", PID: 7, Scope: "berth-web.scope",
		ControlGroup: "/machine.slice/berth-web.scope", InvocationID: "00", CreatedUSec: 1, StartedUSec: 2,
		FinishedUSec: 3, ExitCode: -1, ExitSignal: 9, ExitReason: "signal", CPUTimeUSec: 4, MaxRSSBytes: 5,
	}
}

func TestRecordRoundTrip(t *testing.T) {
	s := open(t)
	want := full()
	if err := s.Reserve(Record{ID: "web", Phase: Creating}); err != nil {
		t.Fatal(err)
	}
	if err := s.Save(want); err != nil {
		t.Fatal(err)
	}
	got, err := s.Load("web")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	info, err := os.Stat(s.Path("web"))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory: %v, %v", info.Mode(), err)
	}
}

func TestReserveOnce(t *testing.T) {
	s := open(t)
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() { errs[i] = s.Reserve(Record{ID: "web", Phase: Creating}) })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if !errors.Is(err, ErrExists) {
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d of %d reserved the same id", won, len(errs))
	}
}

func TestLoadRefuses(t *testing.T) {
	tests := map[string]struct {
		content string
		want    error
	}{
		"empty":        {"", ErrDamaged},
		"cut off":      {`{"version":1,"id":"web"`, ErrDamaged},
		"no version":   {`{"id":"web","phase":"created"}`, ErrDamaged},
		"newer":        {`{"version":2,"id":"web","phase":"created"}`, ErrDamaged},
		"of another":   {`{"version":1,"id":"db","phase":"created"}`, ErrDamaged},
		"other phase":  {`{"version":1,"id":"web","phase":"flying"}`, ErrDamaged},
		"not an oject": {`[]`, ErrDamaged},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			if err := os.Mkdir(s.Path("web"), 0o700); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Load("web"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("without a record: %v", err)
			}
			if err := os.WriteFile(filepath.Join(s.Path("web"), recordName), []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Load("web"); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestIDsAndRemove(t *testing.T) {
	s := open(t)
	for _, id := range []string{"b", "a"} {
		if err := s.Reserve(Record{ID: id, Phase: Creating}); err != nil {
			t.Fatal(err)
		}
	}
	fifo, err := s.MakeFIFO("a")
	if err != nil {
		t.Fatal(err)
	}
	defer fifo.Close()
	ids, err := s.IDs()
	if diff := cmp.Diff([]string{"a", "b"}, ids); diff != "" || err != nil {
		t.Error(diff, err)
	}
	for range 2 { // the second time there is nothing left, which is no error
		if err := s.Remove("a"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Reserve(Record{ID: "a", Phase: Creating}); err != nil {
		t.Errorf("id is not free after Remove: %v", err)
	}
}

func TestSaveNeedsReservation(t *testing.T) {
	s := open(t)
	if err := s.Save(full()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if err := s.Save(Record{ID: "../escape"}); err == nil {
		t.Error("wrote outside of a reserved directory")
	}
}

func TestOneOwner(t *testing.T) {
	dir := t.TempDir()
	first, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); !errors.Is(err, ErrLocked) {
		t.Errorf("second owner: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := Open(dir)
	if err != nil {
		t.Fatalf("after the first is gone: %v", err)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFIFO(t *testing.T) {
	s := open(t)
	if err := s.Reserve(Record{ID: "web", Phase: Creating}); err != nil {
		t.Fatal(err)
	}
	if err := s.WriteStart("web"); !errors.Is(err, ErrNobodyWaits) {
		t.Errorf("without a FIFO: %v", err)
	}
	child, err := s.MakeFIFO("web")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.MakeFIFO("web"); err == nil {
		t.Error("made the FIFO twice")
	}
	if err := s.WriteStart("web"); err != nil {
		t.Fatal(err)
	}
	var b [8]byte
	if n, err := unix.Read(int(child.Fd()), b[:]); n != 1 || err != nil {
		t.Errorf("child read %d, %v", n, err)
	}
	if err := child.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.WriteStart("web"); !errors.Is(err, ErrNobodyWaits) {
		t.Errorf("after the child is gone: %v", err)
	}
}

// TestFIFOReaderLeaves between the open and the write: a child that is killed just then, or at a restart one that had its
// byte before and is executed.
func TestFIFOReaderLeaves(t *testing.T) {
	s := open(t)
	if err := s.Reserve(Record{ID: "web", Phase: Creating}); err != nil {
		t.Fatal(err)
	}
	child, err := s.MakeFIFO("web")
	if err != nil {
		t.Fatal(err)
	}
	writer, err := os.OpenFile(child.Name(), os.O_WRONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	if err := child.Close(); err != nil {
		t.Fatal(err)
	}
	if err := writeByte(int(writer.Fd()), child.Name()); !errors.Is(err, ErrNobodyWaits) {
		t.Errorf("got %v", err)
	}
}
