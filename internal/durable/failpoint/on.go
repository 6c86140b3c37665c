//go:build faults

package failpoint

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Variable is the environment variable with the step: STEP or STEP:N. The process kills itself
// when it reaches the step for the N-th time, by default the first.
const Variable = "STAGELOG_FAULT"

// steps lists every step, in order.
var steps = []Step{Received, Appended, Collected, Decided, PutOne, PutAll, Committed, Trimmed}

var (
	fatal   Step
	count   int64
	reached atomic.Int64
)

func init() {
	text := os.Getenv(Variable)
	if text == "" {
		return
	}
	name, n, hasCount := strings.Cut(text, ":")
	fatal, count = Step(name), 1
	var err error
	if hasCount {
		count, err = strconv.ParseInt(n, 10, 64)
	}
	if err != nil || !slices.Contains(steps, fatal) {
		panic(fmt.Sprintf("%s=%s: expected STEP or STEP:N with one of the steps %v", Variable, text, steps))
	}
}

// delay is the time between the step and the kill. The goroutine at the step does not continue;
// the others do, because what they do in the meantime must be safe too.
const delay = 100 * time.Millisecond

// At marks a step, and kills the process if the step is the selected one.
func At(s Step) {
	if s != fatal || reached.Add(1) != count {
		return
	}
	time.Sleep(delay)
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		panic(err)
	}
	select {} // until the signal arrives
}
