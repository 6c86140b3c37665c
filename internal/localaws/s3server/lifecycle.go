package s3server

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/stagelog/stagelog/internal/delivery/bucket"
	"github.com/stagelog/stagelog/internal/record"
)

// lifecycle is the supported part of a lifecycle configuration.
type lifecycle struct {
	Rules []lifecycleRule `xml:"Rule"`
}

type lifecycleRule struct {
	ID         string
	Status     string
	Prefix     *string // in the old format
	Filter     *struct{ Prefix string }
	Expiration *struct{ Days int }
}

func (r lifecycleRule) prefix() string {
	if r.Filter != nil {
		return r.Filter.Prefix
	}
	return aws.ToString(r.Prefix)
}

// supportedElements are the elements of a supported lifecycle. The S3 server itself removes incomplete
// multipart uploads.
var supportedElements = map[string]bool{
	"LifecycleConfiguration": true, "Rule": true, "ID": true, "Status": true, "Prefix": true, "Filter": true, "Expiration": true, "Days": true,
	"AbortIncompleteMultipartUpload": true, "DaysAfterInitiation": true,
}

// checkLifecycle refuses rules that are not supported.
func checkLifecycle(body []byte) (code, message string) {
	var l lifecycle
	if err := xml.Unmarshal(body, &l); err != nil || len(l.Rules) == 0 {
		return "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema"
	}
	for dec := xml.NewDecoder(bytes.NewReader(body)); ; {
		token, err := dec.Token()
		if err != nil {
			break // at the end: Unmarshal has read it before
		}
		if e, ok := token.(xml.StartElement); ok && !supportedElements[e.Name.Local] {
			return "NotImplemented", "Only lifecycle rules that expire objects below a prefix after some days are supported, not " + e.Name.Local + "."
		}
	}
	for _, r := range l.Rules {
		if r.Filter == nil && r.Prefix == nil { // S3 refuses such rules too
			return "MalformedXML", "A rule has neither a Filter nor a Prefix."
		}
		if r.Expiration != nil && r.Expiration.Days < 1 {
			return "InvalidArgument", "'Days' for Expiration action must be a positive integer"
		}
	}
	return "", ""
}

// expireEvery is the interval at which lifecycles are applied. S3 applies them once a day.
const expireEvery = time.Hour

// expire applies the lifecycles until ctx ends.
func (s *Server) expire(ctx context.Context) {
	tick := time.NewTicker(expireEvery)
	defer tick.Stop()
	for {
		if err := s.Ready(ctx); err == nil {
			if err := s.ExpireOnce(ctx, time.Now()); err != nil && ctx.Err() == nil {
				s.cfg.Logger.WarnContext(ctx, "expiring objects failed", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// ExpireOnce deletes the objects that have expired by the lifecycles of all buckets: those older than the
// rule's days, which end at midnight UTC as in S3.
func (s *Server) ExpireOnce(ctx context.Context, now time.Time) error {
	entries, err := os.ReadDir(s.root)
	if err != nil {
		return err
	}
	client := s.Client(s.cfg.Admin)
	var failed []error
	for _, e := range entries {
		s.settings.mu.Lock()
		have, err := s.settings.read(e.Name())
		s.settings.mu.Unlock()
		if err != nil {
			failed = append(failed, err)
			continue
		}
		var l lifecycle
		if have["lifecycle"] == "" || xml.Unmarshal([]byte(have["lifecycle"]), &l) != nil {
			continue // it was validated when it was set
		}
		for _, r := range l.Rules {
			if r.Status == "Enabled" && r.Expiration != nil {
				failed = append(failed, expireRule(ctx, client, e.Name(), r, now))
			}
		}
	}
	return errors.Join(failed...)
}

func expireRule(ctx context.Context, client *bucket.Client, name string, r lifecycleRule, now time.Time) error {
	// With one day, an object of yesterday 15:00 expires at the midnight after today 15:00.
	before := now.UTC().Truncate(24*time.Hour).AddDate(0, 0, -r.Expiration.Days)
	var old []string
	err := client.Bucket(name).List(ctx, r.prefix(), "", func(o record.Object) error {
		if o.Modified.Before(before) {
			old = append(old, o.Key)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("expire objects of bucket %s: %w", name, err)
	}
	for _, key := range old {
		if err := client.Bucket(name).Delete(ctx, key); err != nil {
			return fmt.Errorf("expire objects of bucket %s: %w", name, err)
		}
	}
	return nil
}
