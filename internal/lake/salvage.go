package lake

import (
	"bytes"
	"cmp"
	"strings"

	"github.com/stagelog/stagelog/internal/encoding/jsonscan"
)

// repairWork limits the bytes of a line that are repaired, as a multiple of its length: attempts may overlap.
const repairWork = 4

// salvage reads a line with damaged objects, repairs those that it can, and rejects the others.
func (r *lineReader) salvage(b []byte) {
	work, next := repairWork*len(b), 0
	for i := between(b, 0); i < len(b); i = between(b, i) {
		before := r.mark()
		r.begin()
		at, bad := i, jsonscan.BadJSON
		if b[i] == '{' {
			at, bad = r.objectOf(b, i)
		}
		if bad == nil {
			r.end(b[i:at])
			i = at
			continue
		}
		end, repaired := 0, false
		if from := max(i+1, at-len(joint)); next < from {
			if next = len(b); from < len(b) {
				if k := bytes.Index(b[from:], []byte(joint)); k >= 0 {
					next = from + k
				}
			}
		}
		for _, end = range resume(b, i, at, next) {
			if work -= end - i; work >= 0 && r.repaired(b[i:end]) {
				repaired = true
				break
			}
			r.back(before)
		}
		if !repaired {
			r.reject(b[i:end], bad)
		}
		i = end
	}
}

// repaired reads damaged objects after a repair, and reports whether that was possible.
func (r *lineReader) repaired(damaged []byte) bool {
	n := r.n
	fixed, cause := jsonscan.Repair(damaged)
	if fixed == nil || jsonscan.Repeats(fixed) || r.objects(fixed) != nil || r.n == n && cause != jsonscan.CauseNewline {
		return false
	}
	r.count.repaired++
	r.repair = cmp.Or(r.repair, cause)
	return true
}

// joint is where one object follows another without a delimiter, as Firehose writes them. This sequence of bytes cannot be elsewhere in valid
// objects, except where a string ends, and there no object begins.
const joint = `}{"`

// resume returns the indexes at which the first object after the one at i may begin, which is damaged at index at: the most likely
// one first. next is the index of the next joint.
func resume(b []byte, i, at, next int) (all []int) {
	const object = `{"`
	if b[i] != '{' {
		all = append(all, len(b))
		if k := bytes.Index(b[i+1:], []byte(object)); k >= 0 {
			all = append(all, i+1+k)
		}
		return all
	}
	end := min(next+1, len(b))
	all = append(all, end)
	for k := max(i+1, at-2); k <= at+1 && k < end; k++ { // a cut object, whose last string may have swallowed the beginning of the next
		if bytes.HasPrefix(b[k:], []byte(object)) {
			return append(all, k)
		}
	}
	return all
}

// reject counts a bad line, or part of one.
func (r *lineReader) reject(line []byte, bad *jsonscan.Bad) {
	r.n++
	r.count.bad++
	if len(r.bad) < maxBadLines {
		r.bad = append(r.bad, badLine{r.n, bad.Reason, strings.ToValidUTF8(string(line[:min(len(line), maxBadBytes)]), "\uFFFD")})
	}
}
