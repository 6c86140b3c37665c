package config

import "time"

// Local is what API Gateway holds in AWS, for a machine of one's own.
type Local struct {
	APIs       []API
	UsagePlans []UsagePlan
	Faults     *Faults // nil: none
}

// Stages are all stages of all APIs, in the order of the file.
func (l *Local) Stages() []StageRef {
	var all []StageRef
	for _, api := range l.APIs {
		for _, stage := range api.Stages {
			all = append(all, StageRef{api.ID, stage})
		}
	}
	return all
}

// API is one REST API that proxies every path to one upstream.
type API struct {
	ID             string
	Name           string // the id unless said otherwise
	Upstream       string // http or https URL
	Stages         []string
	APIKeyRequired *bool // never nil after Parse; true unless said otherwise
}

// UsagePlan is one usage plan with its customers.
type UsagePlan struct {
	Name      string
	ID        string // "": up to whoever creates it
	Throttle  Throttle
	Quota     Quota
	Stages    []StageRef
	Customers []Customer
}

// Throttle limits the rate of a key. Rate 0 is no limit.
type Throttle struct {
	Rate  float64 // requests a second
	Burst int     // size of the token bucket; Rate rounded up unless said otherwise
}

// Quota limits the requests of a key in a period. Limit 0 is no limit.
type Quota struct {
	Limit  int
	Period string // DAY, WEEK or MONTH
	Offset int    // days after the start of the period at which counting starts; 0 for DAY, up to 6 for WEEK, up to 27 for MONTH
}

// Customer is one API key. A customer with the same name and key may stand in several plans that share no stage.
type Customer struct {
	Name string
	Key  Secret // 20 to 128 characters
	ID   string // of the API key; "": up to whoever creates it
}

// Faults make the local API Gateway as awkward as the real one. 0 is never.
type Faults struct {
	PageSize      int           // no list answers more items at once
	ThrottleEvery int           // each so many-th call is answered with TooManyRequestsException
	Delay         time.Duration // before each answer
	NewKeyAfter   time.Duration // the last customer of each plan appears only so long after the start
}
