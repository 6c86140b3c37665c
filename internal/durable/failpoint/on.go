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

// Variable is STEP or STEP:N: the process ends at the N-th time (by default the first) that
// the step is reached.
const Variable = "STAGELOG_FAULT"

var (
	fatal   Step
	when    int64
	reached atomic.Int64
)

func init() {
	text := os.Getenv(Variable)
	if text == "" {
		return
	}
	name, n, given := strings.Cut(text, ":")
	fatal, when = Step(name), 1
	var err error
	if given {
		when, err = strconv.ParseInt(n, 10, 64)
	}
	if err != nil || !slices.Contains(Steps(), fatal) {
		panic(fmt.Sprintf("%s=%s: expected STEP or STEP:N, of the steps %v", Variable, text, Steps()))
	}
}

// lag is how long the process outlives the step: whoever is at the step goes no further, and
// what all others do meanwhile has to be safe, too.
const lag = 100 * time.Millisecond

// At marks that a step is reached, and kills the process when it is the one to die at.
func At(s Step) {
	if s != fatal || reached.Add(1) != when {
		return
	}
	time.Sleep(lag)
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		panic(err)
	}
	select {} // until the signal arrives
}
