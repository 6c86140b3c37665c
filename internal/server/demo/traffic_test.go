package demo

import "testing"

func TestPickKeepsShares(t *testing.T) {
	cs := newCallers()
	counts := make([]int, len(cs))
	for n := range 100 {
		counts[cs.pick(n)]++
	}
	for i, c := range cs {
		if counts[i] != c.share {
			t.Errorf("%s makes %d of 100 requests, want %d", c.name, counts[i], c.share)
		}
	}
}
