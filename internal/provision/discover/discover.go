// Package discover finds the API stages of an AWS account and what they log, and derives a pipeline from them for
// `stagelog init`: a new one, or one that describes a delivery stream that already receives the logs. It only reads.
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
	// API Gateway allows 10 management calls per second and account, with a burst. Some are left for other clients.
	callsPerSecond = 5
	burst          = 10
	inParallel     = 4

	// maxAPIs limits the duration of Find: each API takes one call.
	maxAPIs = 500
)

// Found lists the APIs, stages and delivery streams of an account in one Region.
type Found struct {
	APIs       int     // number of REST APIs
	Stages     []Stage // of the REST APIs, in the order of the APIs' names
	Undeployed []API   // REST APIs without a stage
	Other      []API   // HTTP and WebSocket APIs, which cannot log to a delivery stream
	PlansKnown bool    // whether the usage plans could be read
	Notes      []string
}

// API identifies an API.
type API struct {
	ID, Name string
	Protocol string // REST, HTTP or WEBSOCKET
}

// String returns "id (name)".
func (a API) String() string { return fmt.Sprintf("%s (%s)", a.ID, a.Name) }

// Stage represents a stage of a REST API.
type Stage struct {
	API         API
	Name        string
	Destination string   // ARN that receives its access logs; "" if it logs nothing
	Format      string   // of its access logs
	Plans       []string // names of its usage plans
	Stream      *Stream  // the destination; nil if it is not a delivery stream to S3, or cannot be read
}

// Ref returns the stage's name in stagelog.yaml.
func (s Stage) Ref() record.StageRef { return record.StageRef{API: s.API.ID, Stage: s.Name} }

// Stream represents a delivery stream to a bucket.
type Stream struct {
	Name     string
	Bucket   string
	Deliver  config.Deliver // ErrorPrefix is "" if the stream has none
	ORC      bool           // records are converted to ORC, which pipelines do not support
	Function string         // ARN of the function that transforms the records; "" if there is none
	Readers  []string       // other accounts that the bucket policy allows to get objects, without a condition
}

// Find reads the account. Anything it is not allowed to read becomes a note. It fails only if the REST APIs cannot be
// listed, or ctx ends.
func Find(ctx context.Context, c *provision.Clients) (Found, error) {
	l := finder{c: c, pace: rate.NewLimiter(callsPerSecond, burst)}
	apis, err := l.restAPIs(ctx)
	if err != nil {
		return Found{}, provision.Explain(fmt.Errorf("list the REST APIs: %w", err))
	}
	l.stages(ctx, apis)
	l.note("usage plans", l.plans(ctx))
	l.note("HTTP and WebSocket APIs", l.otherAPIs(ctx))
	l.streams(ctx)
	if ctx.Err() != nil {
		return Found{}, ctx.Err()
	}
	return l.found, nil
}

// finder holds the state of one Find.
type finder struct {
	c     *provision.Clients
	pace  *rate.Limiter
	found Found // owned by the goroutine that called Find
}

// note adds a note that what could not be read because of err, unless err is nil.
func (l *finder) note(what string, err error) {
	if err != nil {
		l.found.Notes = append(l.found.Notes, fmt.Sprintf("cannot read the %s: %v", what, provision.Explain(err)))
	}
}
