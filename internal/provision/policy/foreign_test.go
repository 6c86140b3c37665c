package policy

import (
	"strings"
	"testing"
)

// Policies of chains that stagelog did not build, as found in practice.
const (
	// byHandBucket names the bucket but not its objects, and has a Sid that IAM would reject.
	byHandBucket = `{
  "Version": "2012-10-17",
  "Statement": [{
    "Sid": "Example permissions",
    "Effect": "Allow",
    "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
    "Action": ["s3:GetObject", "s3:ListBucket"],
    "Resource": ["arn:aws:s3:::acme-api-logs"]
  }]
}`
	byHandFunction = `{"Version":"2012-10-17","Statement":[{"Action":["apigateway:GET"],
		"Resource":["arn:aws:apigateway:*::/usageplans","arn:aws:apigateway:*::/usageplans/*/*"],"Effect":"Allow"}]}`
	// wholeBucket allows everything to the owner and to a reader's account.
	wholeBucket = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*",
		"Principal":{"AWS":["arn:aws:iam::123456789012:root","111122223333"]},"Resource":["arn:aws:s3:::acme-api-logs","arn:aws:s3:::acme-api-logs/*"]}}`
	anyAccountTrust = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"firehose.amazonaws.com"},"Action":"sts:AssumeRole"}}`
)

func TestEvaluateForeignPolicies(t *testing.T) {
	const reader, service = "arn:aws:iam::111122223333:root", "firehose.amazonaws.com"
	tests := []struct {
		name, text, who, call string
		want                  Decision
	}{
		{"by hand: list", byHandBucket, reader, "s3:ListBucket " + bucket, Allow},
		{"by hand: get", byHandBucket, reader, "s3:GetObject " + bucket + "/2026/x", NoMatch},
		{"by hand: all plans", byHandFunction, "", "apigateway:GET arn:aws:apigateway:eu-west-1::/usageplans", Allow},
		{"by hand: a plan's keys", byHandFunction, "", "apigateway:GET arn:aws:apigateway:eu-west-1::/usageplans/p1/keys", Allow},
		{"by hand: another Region's plans", byHandFunction, "", "apigateway:GET arn:aws:apigateway:us-east-1::/usageplans", Allow},
		{"by hand: a single key", byHandFunction, "", "apigateway:GET arn:aws:apigateway:eu-west-1::/apikeys/k1", NoMatch},
		{"by hand: the shared snapshot", byHandFunction, "", "s3:GetObject " + bucket + "/stagelog/directory.json", NoMatch},
		{"the whole bucket: get", wholeBucket, reader, "s3:GetObject " + bucket + "/x", Allow},
		{"the whole bucket: delete", wholeBucket, reader, "s3:DeleteObject " + bucket + "/x", Allow},
		{"the whole bucket: another account", wholeBucket, "arn:aws:iam::999999999999:root", "s3:GetObject " + bucket + "/x", NoMatch},
		{"a trust for every account", anyAccountTrust, service, "sts:AssumeRole arn:aws:iam::123456789012:role/x", Allow},
	}
	for _, tt := range tests {
		action, resource, _ := strings.Cut(tt.call, " ")
		got, _ := Evaluate([]Document{parse(t, tt.text)}, Request{Principal: tt.who, Action: action, Resource: resource})
		if got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestParseLocatesCurlyQuotes(t *testing.T) {
	curly := strings.NewReplacer(`"Effect"`, "“Effect”").Replace(byHandBucket)
	_, err := Parse(curly)
	if err == nil || !strings.Contains(err.Error(), "line 5, column 5") || !strings.Contains(err.Error(), "curly quotes") {
		t.Errorf("parse: got %v, want an error for curly quotes in line 5, column 5", err)
	}
}

func TestOwnStatementsAreAddedAndRemoved(t *testing.T) {
	before := parse(t, byHandBucket)
	own := Bucket(BucketPermissions{Partition: "aws", Bucket: "acme-api-logs", Prefix: "logs/", Readers: []string{"111122223333"}})
	with := before.With(own)
	get := Request{Principal: "arn:aws:iam::111122223333:root", Action: "s3:GetObject", Resource: bucket + "/logs/x.gz"}
	if got, by := Evaluate([]Document{with}, get); got != Allow || by.Sid != "StagelogReaderGet" {
		t.Errorf("get with own statements: got %v by %+v, want Allow by StagelogReaderGet", got, by)
	}
	if twice := with.With(own); twice.JSON() != with.JSON() {
		t.Errorf("adding own statements twice changes the policy:\n%s", twice.JSON())
	}
	if after := with.Others(); after.JSON() != before.JSON() {
		t.Errorf("after removing own statements: got\n%s\nwant\n%s", after.JSON(), before.JSON())
	}
}
