// Package discover looks at an AWS account for `stagelog init`: which API stages there are,
// what they log already, and whether there is a chain that could be taken over. It changes
// nothing.
package discover

import (
	"context"
	"fmt"

	"golang.org/x/time/rate"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/record"
)

const (
	// API Gateway takes 10 management calls a second, with a burst, for everything in an
	// account, other people's deployments included: most of that is left to them.
	callsPerSecond = 5
	burst          = 10
	inParallel     = 4

	// maxAPIs bounds the time that a look takes: each API costs a call.
	maxAPIs = 500
)

// Found is what an account has in one Region.
type Found struct {
	APIs       int     // how many REST APIs were looked at
	Stages     []Stage // of them, in the order of their APIs' names
	Undeployed []API   // REST APIs without a stage
	Other      []API   // HTTP and WebSocket APIs, which cannot log to a delivery stream
	PlansKnown bool    // whether the usage plans could be read
	Notes      []string
}

// API is an API by its id and its name.
type API struct {
	ID, Name string
	Protocol string // REST, HTTP or WEBSOCKET
}

// String is "id (name)".
func (a API) String() string { return fmt.Sprintf("%s (%s)", a.ID, a.Name) }

// Stage is a stage of a REST API.
type Stage struct {
	API         API
	Name        string
	Destination string   // ARN of what its access logs go to; "" for nothing
	Format      string   // of its access logs
	Plans       []string // names of the usage plans that hold it
	Chain       *Chain   // what is behind the destination; nil where that is no delivery stream to S3, or may not be read
}

// Ref is the stage as stagelog.yaml names it.
func (s Stage) Ref() record.StageRef { return record.StageRef{API: s.API.ID, Stage: s.Name} }

// Chain is a delivery stream to a bucket.
type Chain struct {
	Stream   string
	Bucket   string
	Deliver  config.Deliver // ErrorPrefix is "" where none is set
	ORC      bool           // records are converted to ORC, which no pipeline delivers
	Function string         // ARN of what transforms the records; "" where they go as they came
	Readers  []string       // other accounts that the bucket's policy lets get objects, without a condition
}

// Find looks. What may not be looked at is a note, and the rest goes on; only where the REST
// APIs cannot be listed, or ctx ends, is there an error.
func Find(ctx context.Context, c *provision.Clients) (Found, error) {
	l := look{c: c, pace: rate.NewLimiter(callsPerSecond, burst)}
	apis, err := l.restAPIs(ctx)
	if err != nil {
		return Found{}, provision.Explain(fmt.Errorf("list the REST APIs: %w", err))
	}
	l.stages(ctx, apis)
	l.note("usage plans", l.plans(ctx))
	l.note("HTTP and WebSocket APIs", l.otherAPIs(ctx))
	l.chains(ctx)
	if ctx.Err() != nil {
		return Found{}, ctx.Err()
	}
	return l.found, nil
}

// look is one look at an account.
type look struct {
	c     *provision.Clients
	pace  *rate.Limiter
	found Found // written by the goroutine that called Find alone
}

// note keeps what could not be looked at, and why.
func (l *look) note(what string, err error) {
	if err != nil {
		l.found.Notes = append(l.found.Notes, fmt.Sprintf("the %s could not be looked at: %v", what, provision.Explain(err)))
	}
}
