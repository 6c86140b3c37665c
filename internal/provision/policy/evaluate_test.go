package policy

import (
	"strings"
	"testing"
)

func TestEvaluate(t *testing.T) {
	get := Request{Principal: "arn:aws:sts::111122223333:assumed-role/analyst/eva", Action: "s3:GetObject", Resource: "arn:aws:s3:::b/logs/x",
		Context: map[string][]string{"aws:SourceIp": {"10.1.2.3"}, "s3:x-amz-acl": {"private"}}}
	tests := []struct {
		name string
		d    string // the statement
		want Decision
	}{
		{"role of the session", `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:role/team/analyst"},"Action":"s3:Get*","Resource":"arn:aws:s3:::b/*"}`, Allow},
		{"another role", `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:role/admin"},"Action":"s3:Get*","Resource":"arn:aws:s3:::b/*"}`, NoMatch},
		{"bucket, not its objects", `{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b"}`, NoMatch},
		{"NotPrincipal, caller and account", `{"Effect":"Deny","NotPrincipal":{"AWS":["111122223333","arn:aws:iam::111122223333:role/team/analyst"]},"Action":"s3:*","Resource":"*"}`, NoMatch},
		{"NotPrincipal, account only", `{"Effect":"Deny","NotPrincipal":{"AWS":"111122223333"},"Action":"s3:*","Resource":"*"}`, Deny},
		{"NotPrincipal, caller only", `{"Effect":"Deny","NotPrincipal":{"AWS":"arn:aws:iam::111122223333:role/analyst"},"Action":"s3:*","Resource":"*"}`, Deny},
		{"allow with NotPrincipal of the account", `{"Effect":"Allow","NotPrincipal":{"AWS":"111122223333"},"Action":"s3:*","Resource":"*"}`, NoMatch},
		{"*:*", `{"Effect":"Allow","Principal":"*","Action":"*:*","Resource":"*"}`, Allow},
		{"all partitions", `{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws*:s3:::b/*"}`, Deny},
		{"another partition", `{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws-*:s3:::b/*"}`, NoMatch},
		{"NotPrincipal of another account", `{"Effect":"Deny","NotPrincipal":{"AWS":"999999999999"},"Action":"s3:*","Resource":"*"}`, Deny},
		{"NotAction", `{"Effect":"Allow","Principal":"*","NotAction":"s3:Put*","Resource":"*"}`, Allow},
		{"NotResource", `{"Effect":"Allow","Principal":"*","Action":"s3:*","NotResource":"arn:aws:s3:::b/logs/*"}`, NoMatch},
		{"IpAddress", `{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}`, Allow},
		{"NotIpAddress", `{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*","Condition":{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}`, NoMatch},
		{"required ACL", `{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*","Condition":{"StringNotEquals":{"s3:x-amz-acl":"bucket-owner-full-control"}}}`, Deny},
		{"unknown condition on a deny", `{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*","Condition":{"StringSounds":{"a":"b"}}}`, Deny},
		{"unknown condition on an allow", `{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*","Condition":{"StringSounds":{"a":"b"}}}`, NoMatch},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, _ := Evaluate([]Document{parse(t, `{"Version":"2012-10-17","Statement":[`+tt.d+`]}`)}, get)
			if got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
	star := get
	star.Resource = "arn:aws:s3:::b/logs/*x"
	for pattern, want := range map[string]Decision{"arn:aws:s3:::b/*": Deny, "arn:aws:s3:::b/logs/?x": Deny, "*": Deny, "arn:aws:s3:::b/errors/*": NoMatch} {
		d := parse(t, `{"Statement":{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"`+pattern+`"}}`)
		if got, _ := Evaluate([]Document{d}, star); got != want {
			t.Errorf("an object with * in its name, denied on %s: got %v, want %v", pattern, got, want)
		}
	}
	allow, deny := parse(t, `{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*"}}`), parse(t, `{"Statement":{"Sid":"No","Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*"}}`)
	if got, by := Evaluate([]Document{allow, deny}, get); got != Deny || by.Sid != "No" {
		t.Errorf("a deny after an allow: got %v by %+v, want Deny", got, by)
	}
}

func parse(t *testing.T, text string) Document {
	t.Helper()
	d, err := Parse(text)
	if err != nil {
		t.Fatalf("parse %s: %v", text, err)
	}
	return d
}

// Conditions that are often used in bucket and role policies.
func TestEvaluateConditions(t *testing.T) {
	role := map[string][]string{"aws:PrincipalArn": {"arn:aws:iam::111122223333:role/team/analyst"}}
	tests := []struct {
		name, condition string
		given           map[string][]string
		want            bool
	}{
		{"TLS required, present", `{"Bool":{"aws:SecureTransport":"true"}}`, map[string][]string{"aws:SecureTransport": {"true"}}, true},
		{"TLS required, absent", `{"Bool":{"aws:SecureTransport":true}}`, map[string][]string{"aws:SecureTransport": {"false"}}, false},
		{"TLS unknown", `{"Bool":{"aws:SecureTransport":"false"}}`, nil, false},
		{"TLS unknown, IfExists", `{"BoolIfExists":{"aws:SecureTransport":"false"}}`, nil, true},
		{"external id", `{"StringEquals":{"sts:ExternalId":"123456789012"}}`, map[string][]string{"sts:ExternalId": {"123456789012"}}, true},
		{"another external id", `{"StringEquals":{"sts:ExternalId":"123456789012"}}`, map[string][]string{"sts:ExternalId": {"999999999999"}}, false},
		{"source account", `{"StringEquals":{"aws:SourceAccount":"123456789012"}}`, map[string][]string{"aws:SourceAccount": {"123456789012"}}, true},
		{"other case of the key", `{"StringEquals":{"AWS:sourceaccount":"123456789012"}}`, map[string][]string{"aws:SourceAccount": {"123456789012"}}, true},
		{"other case of the value", `{"StringEquals":{"aws:PrincipalOrgID":"o-ABC"}}`, map[string][]string{"aws:PrincipalOrgID": {"o-abc"}}, false},
		{"IgnoreCase", `{"StringEqualsIgnoreCase":{"aws:PrincipalOrgID":"o-ABC"}}`, map[string][]string{"aws:PrincipalOrgID": {"o-abc"}}, true},
		{"not in the organisation", `{"StringNotEquals":{"aws:PrincipalOrgID":"o-abc"}}`, map[string][]string{"aws:PrincipalOrgID": {"o-xyz"}}, true},
		{"in no organisation", `{"StringNotEquals":{"aws:PrincipalOrgID":"o-abc"}}`, nil, true},
		{"list below the prefix", `{"StringLike":{"s3:prefix":["logs/*","logs/"]}}`, map[string][]string{"s3:prefix": {"logs/2026/"}}, true},
		{"list of another prefix", `{"StringLike":{"s3:prefix":"logs/*"}}`, map[string][]string{"s3:prefix": {"errors/"}}, false},
		{"list without a prefix", `{"StringLike":{"s3:prefix":"logs/*"}}`, nil, false},
		{"required ACL", `{"StringEquals":{"s3:x-amz-acl":"bucket-owner-full-control"}}`, map[string][]string{"s3:x-amz-acl": {"bucket-owner-full-control"}}, true},
		{"no ACL", `{"StringEquals":{"s3:x-amz-acl":"bucket-owner-full-control"}}`, nil, false},
		{"no encryption header", `{"Null":{"s3:x-amz-server-side-encryption":"true"}}`, nil, true},
		{"encryption header", `{"Null":{"s3:x-amz-server-side-encryption":"true"}}`, map[string][]string{"s3:x-amz-server-side-encryption": {"AES256"}}, false},
		{"in the network", `{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","2001:db8::/32"]}}`, map[string][]string{"aws:SourceIp": {"2001:db8::7"}}, true},
		{"outside the network", `{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`, map[string][]string{"aws:SourceIp": {"192.0.2.1"}}, false},
		{"the role", `{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::111122223333:role/team/*"}}`, role, true},
		{"another role", `{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::111122223333:role/admin"}}`, role, false},
		{"not the role", `{"ArnNotLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/team/analyst"}}`, role, false},
		{"not the ARN", `{"StringNotLike":{"aws:PrincipalArn":"*admin"}}`, role, true},
		{"one of several", `{"ForAnyValue:StringLike":{"aws:PrincipalOrgPaths":"o-abc/*"}}`, map[string][]string{"aws:PrincipalOrgPaths": {"o-xyz/r/", "o-abc/r/"}}, true},
		{"all of several", `{"ForAllValues:StringEquals":{"aws:TagKeys":["a","b"]}}`, map[string][]string{"aws:TagKeys": {"a", "c"}}, false},
		{"number", `{"NumericLessThanEquals":{"s3:max-keys":1000}}`, map[string][]string{"s3:max-keys": {"500"}}, true},
		{"date", `{"DateLessThan":{"aws:CurrentTime":"2026-12-01T00:00:00Z"}}`, map[string][]string{"aws:CurrentTime": {"2026-11-23T00:00:00Z"}}, true},
		{"two operators, one not met", `{"Bool":{"aws:SecureTransport":"true"},"StringEquals":{"aws:PrincipalOrgID":"o-abc"}}`, map[string][]string{"aws:SecureTransport": {"true"}}, false},
		{"variable", `{"StringEquals":{"s3:prefix":"home/${aws:username}"}}`, map[string][]string{"aws:username": {"eva"}, "s3:prefix": {"home/eva"}}, true},
	}
	for _, tt := range tests {
		for effect, matched := range map[string]Decision{"Allow": Allow, "Deny": Deny} {
			d := parse(t, `{"Version":"2012-10-17","Statement":{"Effect":"`+effect+`","Principal":"*","Action":"s3:*","Resource":"*","Condition":`+tt.condition+`}}`)
			want := NoMatch
			if tt.want {
				want = matched
			}
			if got, _ := Evaluate([]Document{d}, Request{Action: "s3:ListBucket", Resource: bucket, Context: tt.given}); got != want {
				t.Errorf("%s, %s: got %v, want %v", tt.name, effect, got, want)
			}
		}
	}
}

// The S3 server's engine supports one partition; the others must give the same results.
func TestEvaluateInEachPartition(t *testing.T) {
	for _, partition := range []string{"aws", "aws-cn", "aws-us-gov", "aws-iso-b"} {
		arn := func(of string) string { return "arn:" + of + ":s3:::acme-api-logs/logs/x.gz" }
		tests := []struct {
			name, statement, resource string
			want                      Decision
		}{
			{"allowed", `"Effect":"Allow","Action":"s3:GetObject","Resource":"ARN"`, arn(partition), Allow},
			{"allowed, another object", `"Effect":"Allow","Action":"s3:GetObject","Resource":"ARN2"`, arn(partition), NoMatch},
			{"allowed, another partition", `"Effect":"Allow","Action":"s3:GetObject","Resource":"ARN"`, arn("aws-other"), NoMatch},
			{"allowed in any partition", `"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:*:s3:::acme-api-logs/*"`, arn(partition), Allow},
			{"denied", `"Effect":"Deny","Action":"s3:*","Resource":"ARN"`, arn(partition), Deny},
			{"denied, another object", `"Effect":"Deny","Action":"s3:*","Resource":"ARN2"`, arn(partition), NoMatch},
			{"denied, another partition", `"Effect":"Deny","Action":"s3:*","Resource":"ARN"`, arn("aws-other"), NoMatch},
			{"denied except for it", `"Effect":"Deny","Action":"s3:*","NotResource":"ARN"`, arn(partition), NoMatch},
			{"denied except for another partition", `"Effect":"Deny","Action":"s3:*","NotResource":"ARN"`, arn("aws-other"), Deny},
		}
		for _, tt := range tests {
			d := parse(t, `{"Version":"2012-10-17","Statement":{`+strings.ReplaceAll(tt.statement, "ARN", arn(partition))+`}}`)
			if got, _ := Evaluate([]Document{d}, Request{Action: "s3:GetObject", Resource: tt.resource}); got != tt.want {
				t.Errorf("%s: %s: got %v, want %v", partition, tt.name, got, tt.want)
			}
		}
		roles := Firehose(FirehosePermissions{Partition: partition, Region: "r", Account: account, Bucket: "b", Function: "f", LogGroup: "g"})
		if got := decide(roles, "s3:PutObject arn:"+partition+":s3:::b/logs/x.gz"); got != Allow {
			t.Errorf("%s: Firehose putting an object: got %v, want Allow", partition, got)
		}
	}
}
