package console

import (
	"math"
	"strconv"
	"time"

	"github.com/stagelog/stagelog/internal/lake"
)

// line is a request in the live tail.
type line struct {
	Time     string   `json:"time"`
	Status   int64    `json:"status"` // 0 if missing
	Method   string   `json:"method"`
	Path     string   `json:"path"`
	Route    string   `json:"route"`
	Customer string   `json:"customer"`
	Key      string   `json:"key"`
	Plan     string   `json:"plan"`
	API      string   `json:"api"`
	Stage    string   `json:"stage"`
	Latency  *float64 `json:"latency"` // milliseconds; nil if missing
	IP       string   `json:"ip"`
	Error    string   `json:"error"`
}

// line returns a request for the live tail. Its time is now if the request has none.
func (v view) line(r lake.Request, now time.Time) line {
	at := r.Time
	if at.IsZero() {
		at = now
	}
	l := line{
		Time: at.In(v.zone).Format("15:04:05.000"), Method: r.Method, Path: r.Path, Route: r.Route, Customer: r.Customer, Key: r.KeyID,
		Plan: r.UsagePlan, API: r.API, Stage: r.Stage, IP: r.IP, Error: r.ErrorMsg,
	}
	if n, err := strconv.ParseInt(r.Status, 10, 64); err == nil && n >= 100 && n <= 599 {
		l.Status = n
	}
	if ms, err := strconv.ParseFloat(r.Latency, 64); err == nil && !math.IsNaN(ms) && !math.IsInf(ms, 0) {
		l.Latency = &ms
	}
	return l
}
