package console

import (
	"context"
	"time"
)

// Delivery says how delivery goes.
type Delivery interface {
	// Deliveries is how it stands now. It answers from memory, or nearly.
	Deliveries(ctx context.Context) (Deliveries, error)
}

// Deliveries is how delivery goes at one moment.
type Deliveries struct {
	Streams   []Stream
	Directory *Directory // nil is: this process keeps none
}

// Stream is one delivery stream.
type Stream struct {
	Name        string
	Destination string // where its objects go: s3://bucket/prefix

	Backlog Backlog
	// What was delivered since the process began.
	Objects, Records, Bytes int64
	ErrorRecords            int64     // of them in error objects
	LastDelivered           time.Time // zero is never
	Failures                []Failure // the newest first
}

// Backlog is what was accepted and is not delivered yet.
type Backlog struct {
	Records, Bytes int64
	Age            time.Duration // of the oldest record
}

// Failure is a reason for which records went to the error output, or delivery waits.
type Failure struct {
	Code, Message string
	Count         int64
	Last          time.Time
	Replay        string // the command that tries these records again; "" is none
}

// Directory is the map from API key to usage plan and customer.
type Directory struct {
	Keys, Plans int
	Remembered  int           // keys that are kept though deleted
	Pending     int           // unknown keys that wait for a refresh
	Age         time.Duration // of the snapshot
	Problem     string        // why the last refresh failed; "" is none
}
