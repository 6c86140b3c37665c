package provision

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/provision/moto"
	"github.com/stagelog/stagelog/internal/testenv"
)

// AdoptFlag suffices only if the other pipeline is known not to exist. Its stream is looked up once, in its own Region.
func TestOtherPipelineExists(t *testing.T) {
	const owner = "us-east-1/other"
	for _, tt := range []struct {
		name   string
		status int // 0 for no connection
		body   string
		flag   Flag
		reason string
	}{
		{"exists", 200, `{"Tags":[{"Key":"stagelog","Value":"us-east-1/other"}],"HasMoreTags":false}`, TakeFrom(owner), "its delivery stream is amazon-apigateway-other in us-east-1"},
		{"gone", 400, `{"__type":"ResourceNotFoundException"}`, AdoptFlag, "no longer exists"},
		{"its stream was taken", 200, `{"Tags":[{"Key":"stagelog","Value":"us-east-1/third"}],"HasMoreTags":false}`, AdoptFlag, "has another owner"},
		{"denied", 400, `{"__type":"AccessDeniedException","message":"User: arn:aws:iam::1:user/x is not authorized to perform: firehose:ListTagsForDeliveryStream"}`, TakeFrom(owner), "unknown whether"},
		{"no connection", 0, "", TakeFrom(owner), "unknown whether"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			calls := 0
			c := NewClients(aws.Config{Region: "eu-west-1", RetryMaxAttempts: 1, Credentials: credentials.NewStaticCredentialsProvider("AKIA", "x", ""),
				HTTPClient: testenv.SDKClient(roundTrip(func(r *http.Request) (*http.Response, error) {
					calls++
					if !strings.Contains(r.Host+r.URL.Host, "firehose.us-east-1.") {
						t.Errorf("asked %s", r.URL.Host)
					}
					if tt.status == 0 {
						return nil, errors.New("no route to host")
					}
					return jsonAnswer(r, tt.status, tt.body), nil
				}))})
			others := &otherPipelines{c: c}
			for range 2 {
				state := State{Exists: true}
				state.ownedBy(owner, "eu-west-1/acme")
				others.judge(t.Context(), &state)
				if state.RequiredFlag != tt.flag || !strings.Contains(state.Reason, owner) || !strings.Contains(state.Reason, tt.reason) || strings.Contains(state.Reason, "\n") {
					t.Errorf("requires %q because %q, want %s because of %q", state.RequiredFlag, state.Reason, tt.flag, tt.reason)
				}
			}
			if calls != 1 {
				t.Errorf("%d calls, want one", calls)
			}
		})
	}
}

// giveTo gives every resource of the pipeline the tag of another one.
func (a *placed) giveTo(owner string) {
	a.t.Helper()
	ctx := a.t.Context()
	for _, r := range Resources(wantOf(a.s), a.Clients) {
		switch r := r.(type) {
		case taggable:
			a.ok(r.tag(ctx, map[string]string{desired.OwnerTag: owner}))
		case *Bucket:
			_, err := a.S3.PutBucketTagging(ctx, &s3.PutBucketTaggingInput{Bucket: aws.String(r.Name()),
				Tagging: &s3types.Tagging{TagSet: []s3types.Tag{{Key: aws.String(desired.OwnerTag), Value: &owner}}}})
			a.ok(err)
		}
	}
	d := wantOf(a.s)
	d.Database.Parameters[desired.OwnerTag], d.Table.Parameters[desired.OwnerTag] = owner, owner
	_, err := a.Glue.UpdateDatabase(ctx, &glue.UpdateDatabaseInput{Name: d.Database.Name, DatabaseInput: d.Database})
	a.ok(err)
	_, err = a.Glue.UpdateTable(ctx, &glue.UpdateTableInput{DatabaseName: d.Database.Name, TableInput: d.Table})
	a.ok(err)
}

// No resource of another pipeline that exists is changed without the flag that names that pipeline.
func TestResourcesOfAnotherPipeline(t *testing.T) {
	testenv.Need(t, testenv.Interop)
	m := moto.Start(t)
	a, other := place(t, m, "eu-west-1", "readers: [\"111122223333\"]\ndeliver: {format: parquet}\n"), place(t, m, "us-east-1", "")
	a.deploy()
	a.ok(newStream(wantOf(other.s), other.Clients).Apply(t.Context(), State{}, quiet))
	a.giveTo(other.s.Owner())
	for _, tt := range []struct {
		name  string
		given []Flag
		want  Action
	}{
		{"no flag", nil, Blocked},
		{"the name of a third pipeline", []Flag{AdoptFlag, ReplaceFlag, TakeFrom("us-east-1/third")}, Blocked},
		{"the name of the pipeline", []Flag{TakeFrom(other.s.Owner())}, Adopt},
	} {
		p, err := MakePlan(t.Context(), a.s, a.Clients, tt.given)
		a.ok(err)
		for _, s := range p.Steps {
			if s.Action != tt.want || tt.want == Blocked && s.RequiredFlag != TakeFrom("us-east-1/acme") {
				t.Errorf("with %s the step for %s %s is %s, requires %q; want %s", tt.name, s.Kind, s.Name, s.Action, s.RequiredFlag, tt.want)
			}
		}
		if tt.want == Adopt {
			a.ok(p.Execute(t.Context(), tt.given, func(Event) {}))
		}
	}
	if _, todo := a.plan(); todo != nil {
		t.Errorf("after the takeover the plan has %q", todo)
	}
	a.giveTo(other.s.Owner())
	_, err := other.Firehose.DeleteDeliveryStream(t.Context(), &firehose.DeleteDeliveryStreamInput{DeliveryStreamName: aws.String(other.s.Stream())})
	a.ok(err)
	p, err := MakePlan(t.Context(), a.s, a.Clients, []Flag{AdoptFlag})
	a.ok(err)
	for _, s := range p.Steps {
		if s.Action != Adopt {
			t.Errorf("after the other pipeline is gone, with --adopt the step for %s %s is %s: %s", s.Kind, s.Name, s.Action, s.Reason)
		}
	}
}

// A bucket is in one Region, so pipelines in two Regions cannot share it, and its tag stays.
func TestBucketOfAnotherRegion(t *testing.T) {
	m := moto.Start(t)
	first, second := place(t, m, "eu-west-1", ""), place(t, m, "us-east-1", "")
	applyTo(t, newBucket(wantOf(first.s), first.Clients))
	before := readOf(t, newBucket(wantOf(first.s), first.Clients))
	second.s.Pipeline.Bucket = first.s.Bucket()
	_, err := MakePlan(t.Context(), second.s, second.Clients, []Flag{AdoptFlag, TakeFrom(first.s.Owner())})
	if !errors.Is(err, ErrElsewhere) || !strings.Contains(err.Error(), "is in eu-west-1, but the pipeline is in us-east-1") {
		t.Errorf("MakePlan: %v, want an error that names both Regions", err)
	}
	if after := readOf(t, newBucket(wantOf(first.s), first.Clients)); len(after.Changed()) > 0 || after.RequiredFlag != before.RequiredFlag {
		t.Errorf("the bucket was changed: %+v", after)
	}
}
