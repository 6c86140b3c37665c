package console

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
)

// line is a log line as the live tail shows it.
type line struct {
	Time     string   `json:"time"`
	Status   int64    `json:"status"` // 0 is none
	Method   string   `json:"method"`
	Path     string   `json:"path"`
	Route    string   `json:"route"`
	Customer string   `json:"customer"`
	Key      string   `json:"key"`
	Plan     string   `json:"plan"`
	API      string   `json:"api"`
	Stage    string   `json:"stage"`
	Latency  *float64 `json:"latency"` // milliseconds, nil is none
	IP       string   `json:"ip"`
	Error    string   `json:"error"`
}

// parseLine reads an enriched line with the field names of the presets. What is missing or "-" is empty. ok is false for
// what is no JSON object.
func parseLine(raw []byte, now time.Time) (l line, ok bool) {
	var fields map[string]any
	if json.Unmarshal(raw, &fields) != nil || fields == nil {
		return line{}, false
	}
	text := func(names ...string) string {
		for _, name := range names {
			switch v := fields[name].(type) {
			case string:
				if v != "" && v != none {
					return v
				}
			case float64:
				return strconv.FormatFloat(v, 'f', -1, 64)
			}
		}
		return ""
	}
	l = line{
		Time:   lineTime(text("request_time_epoch"), text("request_time"), now).UTC().Format("15:04:05.000"),
		Method: text("method"), Path: text("uri", "path"), Route: text("resource_path", "route_key", "route"),
		Customer: text("customer", "subscription_id"), Key: text("key_id"), Plan: text("usage_plan", "plan_id"),
		API: text("api_id"), Stage: text("stage"), IP: text("ip"), Error: text("error_message", "integration_error"),
	}
	if n, err := strconv.ParseInt(text("response_status", "status"), 10, 64); err == nil && n >= 100 && n <= 599 {
		l.Status = n
	}
	if ms, err := strconv.ParseFloat(text("request_latency", "latency"), 64); err == nil && !math.IsNaN(ms) && !math.IsInf(ms, 0) {
		l.Latency = &ms
	}
	return l, true
}

// lineTime is when the request arrived: in milliseconds, or in common log format; now where a line says nothing.
func lineTime(epoch, written string, now time.Time) time.Time {
	for _, text := range []string{epoch, written} {
		if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
			return time.UnixMilli(ms)
		}
		if t, err := time.Parse("02/Jan/2006:15:04:05 -0700", text); err == nil {
			return t
		}
	}
	return now
}

// passes says whether the view's filters let the line pass. The range does not count: a line is of now.
func (v view) passes(l line) bool {
	for param, want := range v.filter {
		var has string
		switch param {
		case "customer":
			has = l.Customer
		case "key":
			has = l.Key
		case "plan":
			has = l.Plan
		case "api":
			has = l.API
		case "stage":
			has = l.Stage
		case "method":
			has = l.Method
		case "route":
			has = l.Route
		case "status":
			low, high, _ := statusRange(want) // parseView has checked it
			if l.Status < int64(low) || l.Status > int64(high) {
				return false
			}
			continue
		}
		if want == none && has == "" || strings.EqualFold(want, has) && param == "method" || want == has {
			continue
		}
		return false
	}
	return true
}
