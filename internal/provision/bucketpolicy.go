package provision

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/provision/policy"
)

// bucketPolicy is the pipeline's statements in the bucket's policy: that nobody comes without
// TLS, and what readers may do. Others' statements are not compared, and stay.
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

	// tlsStatement is the Sid of the statement that denies requests without TLS.
	tlsStatement = "StagelogDenyInsecureTransport"
)

// wanted are the pipeline's statements. Where S3's endpoint has no TLS, as on one machine, the
// statement that asks for it would deny everybody everything, and is left out.
func (r *bucketPolicy) wanted() policy.Document {
	d := r.want
	if r.withoutTLS() {
		d.Statements = slices.DeleteFunc(slices.Clone(d.Statements), func(s policy.Statement) bool { return s.Sid == tlsStatement })
	}
	return d
}

func (r *bucketPolicy) withoutTLS() bool {
	return strings.HasPrefix(aws.ToString(r.c.Options().BaseEndpoint), "http://")
}

// Read compares the pipeline's statements. They exist when at least one of them does, or
// none is wanted.
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
	state := State{Exists: field.Have != "" || field.Want == "", Notes: r.notes(now.Others())}
	if field.Have != "" {
		if err := r.owned(ctx, &state); err != nil {
			return State{}, err
		}
	}
	state.Fields = []Field{field}
	return state, nil
}

// owned says whose the statements are: the bucket's owner's, as a policy carries no tag.
func (r *bucketPolicy) owned(ctx context.Context, state *State) error {
	tags, err := r.bucket.tags(ctx)
	if err != nil {
		return err
	}
	switch owner := ownerOf(tags); owner {
	case r.s.Owner():
	case "":
		state.RequiredFlag, state.Reason = AdoptFlag, "it has statements of stagelog's, and its bucket is no pipeline's"
	default:
		state.RequiredFlag, state.Reason = AdoptFlag, "its bucket belongs to the pipeline "+owner
	}
	return nil
}

// read is the policy as it is; one without statements where there is none.
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

// Destroy takes the pipeline's statements out.
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
		return "its own statements taken out, those of others kept", r.put(ctx, others, progress)
	}
	return "deleted", r.put(ctx, others, progress)
}

// put makes d the bucket's policy. S3 has no policy without a statement: that is none.
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
		return fmt.Errorf("with the pipeline's statements it would have %d bytes, and S3 takes %d: take readers out of stagelog.yaml, or statements of others out of the policy", len(text), maxPolicy)
	}
	var answer answerBody
	err := repeatWhile(ctx, notSettled, progress, func() error {
		_, err := r.c.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: aws.String(r.Name()), Policy: &text}, answer.keep)
		return err
	})
	if awserr.Is(err, "MalformedPolicy") {
		return r.malformed(err, answer.detail())
	}
	return err
}

// malformed names the principal that S3 does not know. It checks those of all statements, so
// it may be one of somebody else's.
func (r *bucketPolicy) malformed(err error, detail string) error {
	readers := r.s.Pipeline.Readers
	i := slices.IndexFunc(readers, func(id string) bool { return strings.Contains(detail, id) })
	switch {
	case i >= 0:
		return &explained{fmt.Sprintf("AWS knows no account %s, which readers: in stagelog.yaml has: correct it or take it out; an account that was closed counts as none", readers[i]), err}
	case detail != "":
		return &explained{fmt.Sprintf("S3 does not take the policy because of %s, which is in a statement of somebody else's: a principal that was deleted stands there as an id of letters and digits; correct that statement first (`aws s3api get-bucket-policy --bucket %s`)", detail, r.Name()), err}
	case len(readers) > 0:
		return &explained{fmt.Sprintf("S3 does not take the policy, most likely because it knows no account %s: look at readers: in stagelog.yaml\nAWS says: %s", strings.Join(readers, " or "), plain(err)), err}
	}
	return err
}

func plain(err error) string { return Explain(err).Error() }

// notes say what others' statements mean for the pipeline.
func (r *bucketPolicy) notes(others policy.Document) []string {
	var notes []string
	if r.withoutTLS() {
		notes = append(notes, "the endpoint has no TLS, so the statement that denies requests without it is left out")
	}
	if n := len(others.Statements); n > 0 {
		notes = append(notes, fmt.Sprintf("statements of somebody else's, which stay: %s", listed(sids(others))))
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
		notes = append(notes, what+" "+listed(denied[what])+", and a deny counts more than what the pipeline allows")
	}
	return notes
}

// needs are what a reader asks S3 for.
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
		return "one without a Sid"
	}
	return s.Sid
}
