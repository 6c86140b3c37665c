package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stagelog/stagelog/internal/delivery/bucket"
	"github.com/stagelog/stagelog/internal/delivery/ingest"
	"github.com/stagelog/stagelog/internal/localaws/apigateway"
	"github.com/stagelog/stagelog/internal/localaws/credentials"
	"github.com/stagelog/stagelog/internal/localaws/gateway"
	"github.com/stagelog/stagelog/internal/localaws/s3server"
	"github.com/stagelog/stagelog/internal/localaws/wire"
	"github.com/stagelog/stagelog/internal/record"
	"github.com/stagelog/stagelog/internal/usageplan"
)

// keyring provides the accounts of this machine for the verification of signatures.
type keyring struct{ accounts *credentials.Accounts }

func (k keyring) Secret(accessKeyID string) (string, wire.Identity, bool) {
	a, ok := k.accounts.ByAccessKey(accessKeyID)
	return a.SecretAccessKey, wire.Identity{AccessKeyID: a.AccessKeyID, Account: a.AccountID, ARN: a.ARN(), UserID: a.AccountID}, ok
}

func bucketAccount(a credentials.Account) s3server.Account {
	return s3server.Account{AccessKeyID: a.AccessKeyID, SecretAccessKey: a.SecretAccessKey, ARN: a.ARN()}
}

// planSource lists the usage plans of this machine's control API for the usage plan index, without
// requests and without the keys' values.
type planSource struct{ control *apigateway.Service }

func (s planSource) List(context.Context) (usageplan.Listing, error) {
	var l usageplan.Listing
	plansOf := map[string][]string{}
	for _, p := range s.control.Plans() {
		l.Plans = append(l.Plans, usageplan.Plan{ID: p.ID, Name: p.Name, Stages: p.Stages})
		for _, k := range p.Keys {
			plansOf[k.ID] = append(plansOf[k.ID], p.ID)
		}
	}
	for _, k := range s.control.Keys() {
		l.Keys = append(l.Keys, usageplan.Key{ID: k.ID, Name: k.Name, Plans: plansOf[k.ID]})
	}
	return l, nil
}

// freshIndex looks up keys in the usage plan index and then in the control API, so that on one
// machine a new key is known immediately.
type freshIndex struct {
	known   *usageplan.Index
	control *apigateway.Service
}

func (d freshIndex) Lookup(keyID, apiID, stage []byte) (plan, planID, customer string, known bool) {
	if plan, planID, customer, known = d.known.Lookup(keyID, apiID, stage); known && planID != "" {
		return plan, planID, customer, known
	}
	k, ok := d.control.KeyByID(string(keyID))
	if !ok {
		return plan, planID, customer, known
	}
	customer = cmp.Or(k.Name, k.ID)
	if p, ok := d.control.PlanFor(k.ID, string(apiID), string(stage)); ok {
		plan, planID = p.Name, p.ID
	}
	return plan, planID, customer, true
}

// putLines stores access log lines in a delivery stream, as API Gateway does.
func (c *Server) putLines(ctx context.Context, stream string, lines [][]byte) (failed []int, err error) {
	failed, err = c.ingest.Put(ctx, stream, lines)
	if errors.Is(err, record.ErrNotFound) || errors.Is(err, ingest.ErrTooLarge) {
		return nil, fmt.Errorf("%w: %w", gateway.ErrRefused, err) // retrying does not help
	}
	return failed, err
}

// functionCode reads a function's zip from the bucket, for CreateFunction with S3Bucket.
func functionCode(objects *bucket.Client) func(ctx context.Context, bucketName, key string) ([]byte, error) {
	return func(ctx context.Context, bucketName, key string) (_ []byte, err error) {
		body, err := objects.Bucket(bucketName).Get(ctx, key)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, body.Close()) }()
		data, err := io.ReadAll(io.LimitReader(body, maxFunctionZip+1))
		if err == nil && len(data) > maxFunctionZip {
			err = fmt.Errorf("more than %d bytes", maxFunctionZip)
		}
		if err != nil {
			return nil, fmt.Errorf("read s3://%s/%s: %w", bucketName, key, err)
		}
		return data, nil
	}
}

// indexMetrics exports the counters of the usage plan index. The index itself does not import
// Prometheus because it also runs in the Lambda function.
type indexMetrics struct{ index *usageplan.Index }

// Describe implements prometheus.Collector.
func (m *indexMetrics) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, ch) }

// Collect implements prometheus.Collector.
func (m *indexMetrics) Collect(ch chan<- prometheus.Metric) {
	s := m.index.Stats()
	send := func(kind prometheus.ValueType, name, help string, value float64) {
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc("stagelog_index_"+name, help, nil, nil), kind, value)
	}
	send(prometheus.GaugeValue, "keys", "API keys in the usage plan index, including deleted keys that are still kept.", float64(s.Keys))
	send(prometheus.GaugeValue, "usage_plans", "Usage plans in the usage plan index, including deleted plans that are kept.", float64(s.Plans))
	send(prometheus.GaugeValue, "age_seconds", "Time since the last complete refresh of the usage plan index.", s.Age.Seconds())
	send(prometheus.GaugeValue, "pending_keys", "Unknown API keys waiting for a refresh.", float64(s.Pending))
	send(prometheus.CounterValue, "refreshes_total", "Successful refreshes of the usage plan index.", float64(s.Refreshes))
	send(prometheus.CounterValue, "refresh_failures_total", "Failed refreshes of the usage plan index; the last good index stays in use.", float64(s.Failures))
	send(prometheus.CounterValue, "unknown_lookups_total", "Lookups of unknown API keys.", float64(s.Unknown))
}
