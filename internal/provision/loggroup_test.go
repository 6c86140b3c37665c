package provision

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/provision/moto"
)

func TestLogGroupLifecycle(t *testing.T) {
	m := moto.Start(t)
	c := NewClients(m.Config(nil))
	s := streamSpec(t)
	r := newLogGroup(s, wantOf(s).StreamLog, c)
	longer := newLogGroup(s, desired.LogGroup{Name: s.StreamLogGroup() + "-longer", Days: 30}, c)
	applyTo(t, longer)
	if found := readOf(t, r); found.Exists {
		t.Fatalf("Read finds a group with a longer name: %+v", found)
	}
	applyTo(t, r)
	settled := readOf(t, r)
	want := State{Exists: true, Fields: []Field{
		{"tag stagelog", "eu-west-1/acme", "eu-west-1/acme"}, {"retention", "30 days", "30 days"}, {"log stream", "S3Delivery", "S3Delivery"}}}
	if diff := cmp.Diff(want, settled); diff != "" {
		t.Fatalf("Read after creation (-want +got):\n%s", diff)
	}
	ctx, name := t.Context(), aws.String(r.Name())
	for _, tt := range []struct {
		field string
		by    func() error
	}{
		{"retention", func() error {
			_, err := c.Logs.DeleteRetentionPolicy(ctx, &cloudwatchlogs.DeleteRetentionPolicyInput{LogGroupName: name})
			return err
		}},
		{"retention", func() error {
			_, err := c.Logs.PutRetentionPolicy(ctx, &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: name, RetentionInDays: aws.Int32(1)})
			return err
		}},
		{"log stream", func() error {
			_, err := c.Logs.DeleteLogStream(ctx, &cloudwatchlogs.DeleteLogStreamInput{LogGroupName: name, LogStreamName: aws.String(desired.DeliveryLogStream)})
			return err
		}},
	} {
		if err := tt.by(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{tt.field}, changedNames(readOf(t, r))); diff != "" {
			t.Errorf("after a manual change of its %s, Read differs in (-want +got):\n%s", tt.field, diff)
		}
		counted := &counter{next: http.DefaultTransport}
		applyTo(t, newLogGroup(s, wantOf(s).StreamLog, NewClients(m.Config(counted))))
		if diff := cmp.Diff(settled, readOf(t, r)); diff != "" || len(counted.writes) != 1 {
			t.Errorf("%s was repaired with the calls %v; Read afterwards (-want +got):\n%s", tt.field, counted.writes, diff)
		}
	}
	if did, err := r.Destroy(ctx, settled, quiet); did != "deleted" || err != nil || readOf(t, r).Exists {
		t.Errorf("Destroy = %q, %v", did, err)
	}
	if did, err := r.Destroy(ctx, settled, quiet); did != "" || err != nil {
		t.Errorf("Destroy again = %q, %v", did, err)
	}
	if !readOf(t, longer).Exists {
		t.Error("the group with a longer name was deleted, too")
	}
}

func TestLogGroupResumesAfterKill(t *testing.T) {
	m := moto.Start(t)
	s := streamSpec(t)
	resource := func(through http.RoundTripper) Resource {
		cfg := m.Config(through)
		cfg.RetryMaxAttempts = 1
		return newLogGroup(s, wantOf(s).StreamLog, NewClients(cfg))
	}
	whole := &counter{next: http.DefaultTransport}
	applyTo(t, resource(whole))
	want := readOf(t, resource(nil))
	for after := 1; after < len(whole.writes); after++ {
		m.Reset()
		cut := resource(&counter{next: http.DefaultTransport, until: after})
		if err := cut.Apply(t.Context(), State{Fields: []Field{{Name: fieldRetention, Want: "x"}, {Name: fieldLogStream, Want: "x"}}}, quiet); !errors.Is(err, errCut) {
			t.Fatalf("Apply interrupted after %s: %v", whole.writes[after-1], err)
		}
		if found := readOf(t, resource(nil)); found.RequiredFlag != NoFlag {
			t.Errorf("interrupted after %s, Read requires a flag: %+v", whole.writes[after-1], found)
		}
		applyTo(t, resource(nil))
		if diff := cmp.Diff(want, readOf(t, resource(nil))); diff != "" {
			t.Errorf("interrupted after %s and repeated (-want +got):\n%s", whole.writes[after-1], diff)
		}
	}
}

func TestLogGroupAdoption(t *testing.T) {
	m := moto.Start(t)
	c := NewClients(m.Config(nil))
	s := streamSpec(t)
	r := newLogGroup(s, wantOf(s).FunctionLog, c)
	for _, tt := range []struct {
		tags map[string]string
		flag Flag
		why  string
	}{
		{nil, AdoptFlag, "not created by stagelog"},
		{map[string]string{desired.OwnerTag: "eu-west-1/other"}, TakeFrom("eu-west-1/other"), "the pipeline eu-west-1/other"},
	} {
		m.Reset()
		if _, err := c.Logs.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String(r.Name()), Tags: tt.tags}); err != nil {
			t.Fatal(err)
		}
		found := readOf(t, r)
		if found.RequiredFlag != tt.flag || !strings.Contains(found.Reason, tt.why) {
			t.Errorf("Read of a group with the tags %v requires %q because %q, want %s because %q", tt.tags, found.RequiredFlag, found.Reason, tt.flag, tt.why)
		}
		if did, err := r.Destroy(t.Context(), found, quiet); did != "" || err != nil {
			t.Errorf("Destroy of it = %q, %v, want nothing done", did, err)
		}
		// A group created between plan and execution is not adopted without the flag.
		if err := r.Apply(t.Context(), State{}, quiet); !errors.Is(err, ErrChanged) {
			t.Errorf("Apply to a group that was not there = %v, want ErrChanged", err)
		}
		applyTo(t, r)
		if found := readOf(t, r); found.RequiredFlag != NoFlag || len(found.Changed()) > 0 {
			t.Errorf("after adoption Read = %+v", found)
		}
	}
}
