package lake

import "time"

// Request represents a log line as text. A missing value is empty.
type Request struct {
	Time                                time.Time // zero if missing
	API, Stage                          string
	KeyID, Customer                     string
	UsagePlan, UsagePlanID              string
	Method, Route, Path, Status, IP     string
	Latency, Bytes, UserAgent, ErrorMsg string
}

// Read reads the first object of a line. ok is false if there is none.
func (m Mapping) Read(line []byte) (q Request, ok bool) {
	r := m.reader(0)
	i := between(line, 0)
	if i >= len(line) || line[i] != '{' {
		return q, false
	}
	r.begin()
	if _, bad := r.objectOf(line, i); bad != nil {
		return q, false
	}
	r.fill()
	if r.row[colTime] != nil {
		q.Time = time.UnixMicro(r.micro).UTC()
	}
	for c, to := range map[column]*string{
		colAPIID: &q.API, colStage: &q.Stage, colKeyID: &q.KeyID, colCustomer: &q.Customer,
		colUsagePlan: &q.UsagePlan, colUsagePlanID: &q.UsagePlanID, colMethod: &q.Method, colRoute: &q.Route, colPath: &q.Path, colStatus: &q.Status, colIP: &q.IP,
		colLatency: &q.Latency, colBytes: &q.Bytes, colUserAgent: &q.UserAgent, colError: &q.ErrorMsg,
	} {
		*to = string(r.row[c])
	}
	return q, true
}
