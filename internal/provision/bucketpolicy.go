package provision

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/provision/policy"
)

// bucketPolicy is the pipeline's statements in the bucket policy: they deny requests without TLS
// and allow the readers to read. Other statements are neither compared nor changed.
type bucketPolicy struct {
	bucket *Bucket
	s      *desired.Spec
	want   policy.Document
	c      *s3.Client
}

func newBucketPolicy(d *desired.Resources, c *Clients) *bucketPolicy {
	return &bucketPolicy{bucket: newBucket(d, c), s: d.Spec, want: d.BucketPolicy, c: c.S3}
}

func (r *bucketPolicy) Kind() string { return "S3 bucket policy" }
func (r *bucketPolicy) Name() string { return r.s.Bucket() }

const (
	fieldPolicy = "policy"
	maxPolicy   = 20 << 10 // S3's limit, spaces included
)

// wanted returns the pipeline's statements. It omits the one that requires TLS if the S3 endpoint
// has none, as on one machine: the statement would deny every request.
func (r *bucketPolicy) wanted() policy.Document {
	d := r.want
	if r.withoutTLS() {
		d.Statements = slices.DeleteFunc(slices.Clone(d.Statements), func(s policy.Statement) bool { return s.Sid == policy.SidTLS })
	}
	return d
}

func (r *bucketPolicy) withoutTLS() bool {
	return strings.HasPrefix(aws.ToString(r.c.Options().BaseEndpoint), "http://")
}

// Read compares the pipeline's statements. The resource exists if the policy has at least one of
// them, or none is wanted.
func (r *bucketPolicy) Read(ctx context.Context) (State, error) {
	field := Field{Name: fieldPolicy, Want: r.wanted().Show()}
	exists, err := r.bucket.look(ctx)
	if err != nil {
		return State{}, err
	}
	if !exists {
		return State{Fields: []Field{field}}, nil
	}
	now, err := r.read(ctx)
	if err != nil {
		return State{}, err
	}
	field.Have = r.wanted().ShowOther(now.Own().JSON())
	state := State{Exists: field.Have != "" || field.Want == "", Notes: r.notes(now.Others()), Warnings: denials(r.s, now.Others())}
	if field.Have != "" {
		if err := r.owned(ctx, &state); err != nil {
			return State{}, err
		}
	}
	state.Fields = []Field{field}
	return state, nil
}

// owned sets the required flag in state from the bucket's owner tag, as a policy has no tags.
func (r *bucketPolicy) owned(ctx context.Context, state *State) error {
	tags, err := r.bucket.tags(ctx)
	if err != nil {
		return err
	}
	state.adopt(bucketTags(tags)[desired.OwnerTag], r.s.Owner(), "it has stagelog statements, but its bucket belongs to no pipeline", "its bucket belongs to the pipeline ")
	return nil
}

// read returns the current policy, without statements if there is none.
func (r *bucketPolicy) read(ctx context.Context) (policy.Document, error) {
	out, err := r.c.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: aws.String(r.Name())})
	if awserr.Is(err, "NoSuchBucketPolicy", "NoSuchBucket") {
		return policy.Document{}, nil
	}
	if err != nil {
		return policy.Document{}, err
	}
	return policy.Parse(aws.ToString(out.Policy))
}

func (r *bucketPolicy) Apply(ctx context.Context, _ State, progress func(string)) error {
	now, err := r.read(ctx)
	if err != nil {
		return err
	}
	return r.put(ctx, now.With(r.wanted()), progress)
}

// Destroy removes the pipeline's statements.
func (r *bucketPolicy) Destroy(ctx context.Context, found State, progress func(string)) (string, error) {
	if !found.Exists || found.RequiredFlag != NoFlag {
		return "", nil
	}
	now, err := r.read(ctx)
	if err != nil {
		return "", err
	}
	others := now.Others()
	switch {
	case len(now.Own().Statements) == 0:
		return "", nil
	case len(others.Statements) > 0:
		return "stagelog's statements removed, others kept", r.put(ctx, others, progress)
	}
	return "deleted", r.put(ctx, others, progress)
}

// put replaces the bucket policy by d, or deletes it if d has no statements.
func (r *bucketPolicy) put(ctx context.Context, d policy.Document, progress func(string)) error {
	if len(d.Statements) == 0 {
		_, err := r.c.DeleteBucketPolicy(ctx, &s3.DeleteBucketPolicyInput{Bucket: aws.String(r.Name())})
		if awserr.Is(err, "NoSuchBucket", "NoSuchBucketPolicy") {
			return nil
		}
		return err
	}
	text := d.JSON()
	if len(text) > maxPolicy {
		var short bytes.Buffer
		if err := json.Compact(&short, []byte(text)); err != nil {
			return err
		}
		text = short.String()
	}
	if len(text) > maxPolicy {
		return fmt.Errorf("policy with the pipeline's statements is too large: %d bytes, S3 allows %d; remove readers from stagelog.yaml or other statements from the policy", len(text), maxPolicy)
	}
	var answer answerBody
	err := repeat(ctx, progress, func() error {
		_, err := r.c.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: aws.String(r.Name()), Policy: &text}, answer.keep)
		return err
	})
	if awserr.Is(err, "MalformedPolicy") {
		return r.malformed(err, answer.detail())
	}
	return err
}

// malformed explains which principal S3 rejected. S3 checks all statements, so it may be in one
// that is not the pipeline's.
func (r *bucketPolicy) malformed(err error, detail string) error {
	readers := r.s.Pipeline.Readers
	i := slices.IndexFunc(readers, func(id string) bool { return strings.Contains(detail, id) })
	switch {
	case i >= 0:
		return &explained{fmt.Sprintf("AWS account %s, listed under readers: in stagelog.yaml, does not exist or was closed: correct or remove it", readers[i]), err}
	case detail != "":
		return &explained{fmt.Sprintf("S3 rejected the policy because of the principal %s in a statement that is not stagelog's (the ID of a deleted principal looks like that): correct that statement first (`aws s3api get-bucket-policy --bucket %s`)", detail, r.Name()), err}
	case len(readers) > 0:
		return &explained{fmt.Sprintf("S3 rejected the policy, most likely because AWS has no account %s: check readers: in stagelog.yaml\nAWS error: %v", strings.Join(readers, " or "), Explain(err)), err}
	}
	return err
}

// notes describes how statements that are not the pipeline's affect it.
func (r *bucketPolicy) notes(others policy.Document) []string {
	var notes []string
	if r.withoutTLS() {
		notes = append(notes, "the endpoint does not use TLS, so the statement that denies requests without TLS is left out")
	}
	if n := len(others.Statements); n > 0 {
		notes = append(notes, fmt.Sprintf("statements not managed by stagelog, kept: %s", Listed(sids(others))))
	}
	denied := map[string][]string{}
	var order []string
	for _, reader := range r.s.Pipeline.Readers {
		for _, q := range r.needs(reader) {
			decision, by := policy.Evaluate([]policy.Document{others}, q)
			if decision != policy.Deny {
				continue
			}
			what := fmt.Sprintf("%s denies %s to", sidOf(by), q.Action)
			if denied[what] == nil {
				order = append(order, what)
			}
			denied[what] = append(denied[what], reader)
		}
	}
	for _, what := range order {
		notes = append(notes, what+" "+Listed(denied[what])+", which overrides what the pipeline allows")
	}
	return notes
}

// needs returns the requests that a reader must be allowed to make.
func (r *bucketPolicy) needs(reader string) []policy.Request {
	who := "arn:" + r.s.Partition + ":iam::" + reader + ":root"
	secure := map[string][]string{"aws:SecureTransport": {"true"}, "aws:PrincipalAccount": {reader}}
	below, _, _ := strings.Cut(r.s.Pipeline.Deliver.Prefix, "!{")
	return []policy.Request{
		{Principal: who, Action: "s3:ListBucket", Resource: r.s.BucketARN(), Context: secure},
		{Principal: who, Action: "s3:GetObject", Resource: r.s.BucketARN() + "/" + below + "object", Context: secure},
	}
}

func sids(d policy.Document) []string {
	var all []string
	for i := range d.Statements {
		all = append(all, sidOf(&d.Statements[i]))
	}
	return all
}

func sidOf(s *policy.Statement) string {
	if s == nil || s.Sid == "" {
		return "a statement without a Sid"
	}
	return s.Sid
}

// answerBody holds the body of an S3 error response. The SDK drops its <Detail> element.
type answerBody struct{ text []byte }

// maxAnswer is far more than an S3 error response needs.
const maxAnswer = 64 << 10

func (a *answerBody) keep(o *s3.Options) { o.HTTPClient = keepAnswer{o.HTTPClient, a} }

func (a *answerBody) detail() string {
	var parsed struct{ Detail string }
	if err := xml.Unmarshal(a.text, &parsed); err != nil {
		return ""
	}
	return strings.TrimSpace(parsed.Detail)
}

type keepAnswer struct {
	s3.HTTPClient
	answer *answerBody
}

func (k keepAnswer) Do(r *http.Request) (*http.Response, error) {
	res, err := k.HTTPClient.Do(r)
	if err != nil || res.StatusCode < http.StatusBadRequest {
		return res, err
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if closing := res.Body.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return nil, err
	}
	k.answer.text = text
	res.Body = io.NopCloser(bytes.NewReader(text))
	return res, nil
}
