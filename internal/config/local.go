package config

import (
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/stagelog/stagelog/internal/encoding/openapi"
	"github.com/stagelog/stagelog/internal/record"
)

// Local holds the APIs and usage plans of `stagelog up`, which in AWS are API Gateway's.
type Local struct {
	APIs       []API
	UsagePlans []UsagePlan
	Faults     *Faults // nil: none
	// ConsoleHosts are the names of this machine by which the console may be opened.
	ConsoleHosts []string
}

// Stages returns the stages of all APIs in the order of the file.
func (l *Local) Stages() []record.StageRef {
	var all []record.StageRef
	for _, api := range l.APIs {
		for _, stage := range api.Stages {
			all = append(all, record.StageRef{API: api.ID, Stage: stage})
		}
	}
	return all
}

// Mock as an upstream means that the API answers its requests itself, with status 200: a MOCK integration in AWS's terms.
const Mock = "mock"

// API represents a REST API that proxies its paths to one upstream.
type API struct {
	ID             string
	Name           string // default: the id
	Upstream       string // http or https URL, or Mock
	Stages         []string
	APIKeyRequired bool              // applies to methods without security in Document; default: true
	Document       *openapi.Document // restricts the API to its paths and methods; nil: all are allowed
}

// UsagePlan represents a usage plan with its customers.
type UsagePlan struct {
	Name      string
	ID        string // "": assigned on creation
	Throttle  Throttle
	Quota     Quota
	Stages    []record.StageRef
	Customers []Customer
}

// Throttle limits the rate of a key. Rate 0 is no limit.
type Throttle struct {
	Rate  float64 // requests per second
	Burst int     // size of the token bucket; default: Rate rounded up
}

// Quota limits the requests of a key in a period. Limit 0 is no limit.
type Quota struct {
	Limit  int
	Period string // DAY, WEEK or MONTH
	Offset int    // days after the start of the period at which counting starts; 0 for DAY, up to 6 for WEEK, up to 27 for MONTH
}

// Customer represents an API key. The same name and key may be in several plans that share no stage.
type Customer struct {
	Name string
	Key  Secret // 20 to 128 characters
	ID   string // of the API key; "": assigned on creation
}

// Faults make the local API Gateway fail in the ways that AWS's does. 0 disables a fault.
type Faults struct {
	PageSize      int           // the most items in one page of a list
	ThrottleEvery int           // every n-th call fails with TooManyRequestsException
	Delay         time.Duration // before each response
	NewKeyAfter   time.Duration // how long after the start the last customer of each plan appears
}

// Secret holds a text that prints as "****" in messages, logs and documents. string(s) returns the text itself.
type Secret string

const masked = "****"

// String returns "****".
func (Secret) String() string { return masked }

// Format writes "****" for every verb: for an invalid verb fmt would print the text.
func (Secret) Format(w fmt.State, _ rune) { io.WriteString(w, masked) }

// LogValue returns "****".
func (Secret) LogValue() slog.Value { return slog.StringValue(masked) }

// MarshalText returns "****", for JSON and other encodings.
func (Secret) MarshalText() ([]byte, error) { return []byte(masked), nil }

// MarshalYAML returns "****".
func (Secret) MarshalYAML() (any, error) { return masked, nil }
