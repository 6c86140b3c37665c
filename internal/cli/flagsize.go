package cli

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// size is a flag value for a number of bytes: whole KiB, MiB, GiB or TiB.
type size int64

var sizeUnits = []struct {
	name  string
	bytes int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}}

// String returns the size in the largest unit of which it is a whole number.
func (s *size) String() string {
	if *s == 0 {
		return ""
	}
	shown := fmt.Sprintf("%d", int64(*s))
	for _, u := range sizeUnits {
		if int64(*s)%u.bytes == 0 {
			shown = fmt.Sprintf("%d%s", int64(*s)/u.bytes, u.name)
		}
	}
	return shown
}

// Type returns the name of the value in the help.
func (s *size) Type() string { return "size" }

// Set parses the flag's value.
func (s *size) Set(text string) error {
	for _, u := range sizeUnits {
		number, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		if err != nil || n <= 0 || n > math.MaxInt64/u.bytes {
			break
		}
		*s = size(n * u.bytes)
		return nil
	}
	return fmt.Errorf("expected a size like 512MiB or 20GiB")
}
