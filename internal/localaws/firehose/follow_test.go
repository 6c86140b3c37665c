package firehose_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/delivery/ingest/ingesttest"
	"github.com/stagelog/stagelog/internal/localaws/firehose"
	"github.com/stagelog/stagelog/internal/record/recordtest"
)

func TestStreamsReachOtherProcesses(t *testing.T) {
	store, logs := &recordtest.Store{}, ingesttest.NewLogs()
	now := clock()
	tick := func() time.Time { now = now.Add(time.Second); return now }
	var happened []string
	here := newService(t, firehose.Config{Clock: tick}, store, logs)
	there := newService(t, firehose.Config{
		Clock:    tick,
		OnChange: func(s firehose.Stream) { happened = append(happened, s.Name+" "+s.VersionID+" "+s.Destination.Prefix) },
		OnClose:  func(name string) { happened = append(happened, name+" closed") },
		OnDelete: func(name string) { t.Errorf("the other process deletes the records of %s", name) },
	}, store, logs)
	h, o := handler(here, clock), handler(there, clock)
	status := func(h http.Handler, op, body string) int {
		var r reply
		call(h, signed(t, op, body, nil), &r)
		return r.Status
	}
	want := func(what string, events ...string) {
		t.Helper()
		status(o, "TagDeliveryStream", `{"DeliveryStreamName":"missing","Tags":[{"Key":"a"}]}`) // refreshes, as every change does first
		if diff := cmp.Diff(events, happened); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
		happened = nil
		if diff := cmp.Diff(here.Streams(), there.Streams()); diff != "" {
			t.Errorf("%s: streams (-here +there):\n%s", what, diff)
		}
	}
	put := func(h http.Handler) int {
		return status(h, "PutRecord", `{"DeliveryStreamName":"s","Record":{"Data":"YQ=="}}`)
	}
	do(t, h, "CreateDeliveryStream", createBody, nil)
	want("create", "s 1 ")
	if got := put(o); got != http.StatusOK {
		t.Errorf("PutRecord at the other process: %d", got)
	}
	do(t, h, "UpdateDestination", update("1", "destinationId-000000000001", `"Prefix":"p/"`), nil)
	want("update", "s 2 p/")
	do(t, o, "UpdateDestination", update("2", "destinationId-000000000001", `"Prefix":"q/"`), nil)
	happened = nil
	if got := status(h, "UpdateDestination", update("2", "destinationId-000000000001", `"Prefix":"r/"`)); got != http.StatusBadRequest {
		t.Errorf("UpdateDestination of an old version: %d, want it refused", got)
	}
	do(t, h, "DeleteDeliveryStream", `{"DeliveryStreamName":"s"}`, nil)
	want("delete", "s closed")
	if got := put(o); got == http.StatusOK {
		t.Error("PutRecord to a deleted stream succeeded at the other process")
	}
	do(t, h, "CreateDeliveryStream", createBody, nil)
	want("create again", "s 1 ")
	do(t, h, "DeleteDeliveryStream", `{"DeliveryStreamName":"s"}`, nil)
	do(t, h, "CreateDeliveryStream", createBody, nil)
	want("delete and create between two looks", "s closed", "s 1 ")
	if got := put(o); got != http.StatusOK {
		t.Errorf("PutRecord to the new stream at the other process: %d", got)
	}
	if names := there.Streams(); len(names) != 1 || slices.ContainsFunc(names, func(s firehose.Stream) bool { return s.Status != firehose.StatusActive }) {
		t.Errorf("streams: %+v", names)
	}
}
