package doctor

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"

	"github.com/stagelog/stagelog/internal/accesslog"
)

// Marker is the prefix of the request id and the extended request id of every record that
// doctor sends. Reports exclude such records.
const Marker = "stagelog-doctor-"

// marked is a record that can be recognized in the bucket by its id.
type marked struct {
	id       string
	line     []byte
	customer *customer // owner of the key in the record; nil if the key does not exist
}

// customer is an API key with its usage plan for the stage.
type customer struct{ keyID, name, plan string }

// newMarked renders a line in the format of the stream's first stage, as API Gateway would. It
// looks like a rejected preflight request, which is the least likely to be counted.
func (r *run) newMarked(ctx context.Context, s *stream) (*marked, bool) {
	const name = "accepted"
	st := r.stageToMark(s)
	if st == nil {
		r.out.problem(Skipped, linkRecord, name, finding{found: "not sent: no stage with a format logs to " + s.name, cause: "a record is rendered in the stage's format", fix: "fix the stage, then run doctor again"})
		return nil, false
	}
	format, err := accesslog.Parse(st.format)
	if err != nil {
		r.out.problem(Skipped, linkRecord, name, finding{found: "not sent: the format of " + st.ref.String() + " cannot be parsed", cause: err.Error()})
		return nil, false
	}
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		r.fatal = err
		return nil, false
	}
	m := &marked{id: Marker + hex.EncodeToString(random[:])}
	key := "stagelog-doctor" // no real key, because another party's chain may bill for it
	if r.ours(s) {
		m.customer = r.anyCustomer(ctx, st)
		if key = "-"; m.customer != nil {
			key = m.customer.keyID
		}
	}
	now := time.Now().UTC()
	values := map[string]string{
		"apiId": st.ref.API, "stage": st.ref.Stage, "accountId": r.t.Account, "identity.apiKeyId": key,
		"requestId": m.id, "extendedRequestId": m.id,
		"requestTime": now.Format("02/Jan/2006:15:04:05 +0000"), "requestTimeEpoch": strconv.FormatInt(now.UnixMilli(), 10),
		"httpMethod": "OPTIONS", "path": "/" + st.ref.Stage + "/stagelog-doctor", "resourcePath": "/stagelog-doctor", "protocol": "HTTP/1.1",
		"status": "403", "responseLength": "0", "responseLatency": "0", "identity.sourceIp": "127.0.0.1", "identity.userAgent": "stagelog doctor",
	}
	m.line = format.AppendLine(nil, func(variable string) (string, bool) {
		const before = len("$context.")
		v, ok := values[variable[before:]]
		return v, ok
	})
	return m, true
}

// stageToMark returns the first stage that has a format; without any stages, a placeholder with the pipeline's format.
func (r *run) stageToMark(s *stream) *stage {
	for _, st := range s.stages {
		if st.format != "" {
			return st
		}
	}
	if len(r.t.Stages) == 0 && r.t.Spec != nil {
		st := &stage{format: r.t.Spec.Pipeline.Format}
		st.ref.API, st.ref.Stage = "stagelog-doctor", "none"
		return st
	}
	return nil
}

// anyCustomer returns a key from a usage plan of the stage; nil if none is found. The key's value
// in the response is discarded.
func (r *run) anyCustomer(ctx context.Context, st *stage) *customer {
	plans, err := r.plansOf(ctx, &stream{stages: []*stage{st}})
	if err != nil {
		return nil
	}
	for _, p := range plans {
		out, err := r.c.APIGateway.GetUsagePlanKeys(ctx, &apigateway.GetUsagePlanKeysInput{UsagePlanId: &p.id, Limit: aws.Int32(1)})
		if err == nil && len(out.Items) > 0 {
			return &customer{keyID: aws.ToString(out.Items[0].Id), name: aws.ToString(out.Items[0].Name), plan: p.name}
		}
	}
	return nil
}
