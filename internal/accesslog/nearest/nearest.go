// Package nearest finds the right name for a wrong one: the "did you mean" of messages
// about variables and about keys of a file.
package nearest

import "strings"

// Name is the name among names that is most like got, and whether one is like enough: at most a third of its letters away,
// counting a swap of neighbours as one, or one being the beginning of the other, and at least half of it. Upper and lower
// case are the same. Of equals the first wins.
func Name(got string, names []string) (string, bool) {
	if len(got) > 128 {
		return "", false
	}
	low := strings.ToLower(got)
	best, bestDistance := "", -1
	for _, name := range names {
		d := distance(low, strings.ToLower(name))
		near := d <= max(1, len(name)/3) && d < max(len(got), len(name)) || isHalf(low, strings.ToLower(name))
		if near && (bestDistance < 0 || d < bestDistance) {
			best, bestDistance = name, d
		}
	}
	return best, bestDistance >= 0
}

// isHalf says whether one begins with the other, and is at most twice as long.
func isHalf(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	return len(a) > 1 && strings.HasPrefix(b, a) && 2*len(a) >= len(b)
}

// distance is the least number of inserted, deleted, replaced and swapped bytes that makes b of a.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
