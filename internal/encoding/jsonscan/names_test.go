package jsonscan_test

import (
	"fmt"
	"testing"

	"github.com/stagelog/stagelog/internal/encoding/jsonscan"
)

func TestNamesFindsEachNameOnce(t *testing.T) {
	found := map[string]int{}
	names := jsonscan.NewNames(func(name []byte) string {
		found[string(name)]++
		return "value of " + string(name)
	})
	for _, object := range [][]string{{"a", "b", "c"}, {"a", "b", "c"}, {"c", "a"}, {}, {"a", "a", "d", "b"}, {"a", "b", "c", "e"}} {
		names.Begin()
		for _, name := range object {
			if got := names.Value([]byte(name)); got != "value of "+name {
				t.Errorf("%v: value of %s = %q", object, name, got)
			}
		}
	}
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		if found[name] != 1 {
			t.Errorf("find(%s) was called %d times, want 1", name, found[name])
		}
	}
}

func TestNamesBeyondLimitAreCorrect(t *testing.T) {
	calls := 0
	names := jsonscan.NewNames(func(name []byte) string { calls++; return string(name) })
	for range 2 {
		names.Begin()
		for i := range 3000 {
			name := fmt.Sprint("n", i)
			if got := names.Value([]byte(name)); got != name {
				t.Fatalf("value of %s = %q", name, got)
			}
		}
	}
	if calls != 3000+2000 {
		t.Errorf("find was called %d times, want 5000 with the first 1000 names kept", calls)
	}
}

func TestNamesDoNotAllocate(t *testing.T) {
	names := jsonscan.NewNames(func(name []byte) int { return len(name) })
	object := [][]byte{[]byte("a"), []byte("bb"), []byte("ccc")}
	if n := testing.AllocsPerRun(100, func() {
		names.Begin()
		for _, name := range object {
			names.Value(name)
		}
	}); n != 0 {
		t.Errorf("%v allocations for an object with known names, want 0", n)
	}
}
