// Package nearest finds the known name that is most similar to an unknown one, for
// "did you mean" in error messages.
package nearest

import "strings"

// Name returns the name that is most similar to got, ignoring case, and false if none is similar enough. A name is similar
// if it differs in at most a third of its letters, where swapped neighbours count once, or if one of the two is a prefix of
// the other and at least half as long. Of equally similar names the first wins.
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

// isHalf reports whether one of a and b is a prefix of the other and at least half as long.
func isHalf(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	return len(a) > 1 && strings.HasPrefix(b, a) && 2*len(a) >= len(b)
}

// distance returns the smallest number of insertions, deletions, replacements and swaps of bytes that turn a into b.
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
