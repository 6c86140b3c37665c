package provision

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// S3 refuses PutBucketTagging in a bucket that uses tags for access control; its tags are set by S3 Control.
func TestABACBucketTagged(t *testing.T) {
	a := newBucketAccount(t)
	a.create()
	a.tags("team", "theirs")
	var sent, host string
	through := roundTrip(func(req *http.Request) (*http.Response, error) {
		switch {
		case req.URL.Query().Has("abac"):
			return xmlAnswer(req, http.StatusOK, `<AbacStatus><Status>Enabled</Status></AbacStatus>`), nil
		case req.URL.Query().Has("tagging") && req.Method == http.MethodPut:
			return xmlAnswer(req, http.StatusMethodNotAllowed, `<Error><Code>MethodNotAllowed</Code><Message>no</Message></Error>`), nil
		case strings.Contains(req.URL.Path, "/tags/"):
			body, err := io.ReadAll(req.Body)
			sent, host = sent+req.Method+" "+string(body), req.URL.Host
			return xmlAnswer(req, http.StatusNoContent, ""), err
		}
		return http.DefaultTransport.RoundTrip(req)
	})
	r := a.resource(through)
	found := readOf(t, r)
	if notes := strings.Join(found.Notes, "\n"); !strings.Contains(notes, "setting tags needs s3:TagResource instead of s3:PutBucketTagging") {
		t.Errorf("notes of Read: %s", notes)
	}
	if err := r.Apply(t.Context(), found, quiet); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(host, "123456789012.") || !strings.Contains(sent, "<Key>stagelog</Key><Value>eu-west-1/acme</Value>") || strings.Contains(sent, "team") || strings.Count(sent, "POST") != 1 {
		t.Errorf("S3 Control at %s received %s, want one POST with the pipeline's tag only", host, sent)
	}
}
