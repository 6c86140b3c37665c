package lake

import (
	"testing"

	"github.com/stagelog/stagelog/internal/accesslog"
)

// Only lines with at least two fields of an access log are requests. The rest of the JSON in a bucket is counted apart.
func TestOnlyAccessLogLinesAreRows(t *testing.T) {
	for name, c := range map[string]struct {
		format, line string
		row          bool
	}{
		"two fields":                     {"", `{"request_id":"r","status":"200"}`, true},
		"nothing set":                    {"", `{"requestId":"-","status":"-"}`, true},
		"id and address, nothing else":   {"", `{"requestId":"r","ip":"192.0.2.1"}`, true},
		"a field of no access log":       {"", `{"requestId":"r","status":"200","level":"INFO","message":"m"}`, true},
		"one field":                      {"", `{"status":"200"}`, false},
		"empty":                          {"", `{}`, false},
		"Firehose's manifest":            {"", `{"entries":[{"url":"s3://b/logs/2026/11/28/08/x.gz","mandatory":true}]}`, false},
		"a file of CloudTrail":           {"", `{"Records":[{"eventVersion":"1.11","requestID":"r","userAgent":"a","sourceIPAddress":"192.0.2.1","eventTime":"2026-11-28T08:30:00Z"}]}`, false},
		"an event of CloudTrail":         {"", `{"eventVersion":"1.11","userIdentity":{"type":"AWSService"},"eventTime":"2026-11-28T08:30:00Z","eventSource":"apigateway.amazonaws.com","eventName":"GetRestApis","awsRegion":"eu-central-1","sourceIPAddress":"192.0.2.1","userAgent":"aws-cli/2","errorCode":"AccessDenied","errorMessage":"denied","requestID":"r","eventID":"e"}`, false},
		"Lambda's log":                   {"", `{"timestamp":"2026-11-28T08:30:00Z","level":"INFO","requestId":"r","message":"done"}`, false},
		"a load balancer's log":          {"", `{"type":"https","time":"2026-11-28T08:30:00Z","elb":"app/a/1","client_ip":"192.0.2.1","elb_status_code":"200","user_agent":"a","request_verb":"GET"}`, false},
		"a flow log":                     {"", `{"version":2,"account-id":"1","interface-id":"eni-1","srcaddr":"192.0.2.1","dstaddr":"192.0.2.2","bytes":840,"start":1795854600,"action":"ACCEPT","log-status":"OK"}`, false},
		"AWS Config":                     {"", `{"fileVersion":"1.0","configSnapshotId":"c","configurationItems":[{"resourceType":"AWS::ApiGateway::Stage"}]}`, false},
		"S3's inventory":                 {"", `{"sourceBucket":"b","destinationBucket":"arn:aws:s3:::c","version":"2016-11-30","creationTimestamp":"1795854600000","fileFormat":"CSV","files":[]}`, false},
		"an event of EventBridge":        {"", `{"version":"0","id":"i","detail-type":"t","source":"aws.health","account":"1","time":"2026-11-28T08:30:00Z","region":"eu-central-1","resources":[],"detail":{}}`, false},
		"a status that is a word":        {"", `{"time":"2026-11-28T08:30:00Z","status":"info","service":"s","host":"h","source":"x"}`, false},
		"all of a format without a name": {`{"a":"$context.protocol"}`, `{"a":"HTTP/1.1"}`, true},
		"all of a format of common ones": {`{"requestId":"$context.requestId","x":"$context.domainName","y":"$context.accountId","z":"$context.protocol"}`, `{"requestId":"r","x":"-","y":"-","z":"-"}`, true},
		"part of a format":               {`{"requestId":"$context.requestId","x":"$context.domainName","y":"$context.accountId","z":"$context.protocol"}`, `{"requestId":"r","a":1,"b":2,"c":3}`, false},
		"another format":                 {`{"a":"$context.protocol","b":"$context.requestId"}`, `{"requestId":"r","status":"200"}`, true},
	} {
		m := Mapping{}
		if c.format != "" {
			m = MappingOf(accesslog.Parse(c.format), "", "", "")
		}
		r := m.reader(1)
		r.line([]byte(c.line))
		if r.count.bad > 0 || r.count.rows+r.count.other != 1 || (r.count.rows == 1) != c.row {
			t.Errorf("%s: got %+v; want row = %v", name, r.count, c.row)
		}
	}
}
