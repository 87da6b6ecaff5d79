package lifecycle

import (
	"strconv"
	"testing"
)

func TestPreparationsKeepTheNewest(t *testing.T) {
	var p preparations
	key := func(i int) [32]byte { return preparedKey(nil, strconv.Itoa(i)) }
	for i := range maxPreparations {
		p.put(key(i), &prepared{ociVersion: strconv.Itoa(i)})
	}
	if p.get(key(0)) == nil { // used again, so not the oldest
		t.Fatal("the first is gone already")
	}
	p.put(key(maxPreparations), &prepared{})
	for i, want := range map[int]bool{0: true, 1: false, 2: true, maxPreparations: true} {
		if got := p.get(key(i)); (got != nil) != want {
			t.Errorf("%d is there: %t, want %t", i, got != nil, want)
		} else if got != nil && i == 0 && got.ociVersion != "0" {
			t.Errorf("0 is %q", got.ociVersion)
		}
	}
	p.put(key(99), &prepared{plan: make([]byte, maxPreparedPlan+1)})
	if p.get(key(99)) != nil {
		t.Error("a plan over the size is kept")
	}
}

func TestPreparedKeyTellsEverythingApart(t *testing.T) {
	seen := map[[32]byte]int{}
	for i, key := range [][32]byte{
		preparedKey([]byte("c"), "/b", nil, nil),
		preparedKey([]byte("d"), "/b", nil, nil),
		preparedKey([]byte("c"), "/c", nil, nil),
		preparedKey([]byte("c"), "/b", []string{"a"}, nil),
		preparedKey([]byte("c"), "/b", nil, []string{"a"}),
		preparedKey([]byte("c"), "/b", []string{"a", "b"}, nil),
		preparedKey([]byte("c"), "/b", []string{"ab"}, nil),
		preparedKey([]byte("c/b"), "", nil, nil),
	} {
		if j, ok := seen[key]; ok {
			t.Errorf("%d has the key of %d", i, j)
		}
		seen[key] = i
	}
}
