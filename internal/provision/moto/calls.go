package moto

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// Call is a call to AWS, as IAM authorizes it.
type Call struct {
	Operation string   // service ID and name, as in the SDK's errors; with "?" if it is not known
	Resources []string // ARNs, or "*"
	PassedTo  string   // service that gets the role Passed
	Passed    string   // ARN
}

// Recorder is a transport that records calls.
type Recorder struct {
	Next http.RoundTripper // nil means http.DefaultTransport

	mu    sync.Mutex // guards the fields below
	calls []Call
	paths map[string]string // of the created roles, by name
}

// RoundTrip implements http.RoundTripper.
func (r *Recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		var err error
		body, err = io.ReadAll(req.Body)
		if err := errors.Join(err, req.Body.Close()); err != nil {
			return nil, err
		}
		req = req.Clone(req.Context())
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	r.record(decode(req, body))
	if r.Next == nil {
		return http.DefaultTransport.RoundTrip(req)
	}
	return r.Next.RoundTrip(req)
}

// record adds the path of a role to the call: only the creation of a role has it.
func (r *Recorder) record(call Call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.paths == nil {
		r.paths = map[string]string{}
	}
	for i, arn := range call.Resources {
		account, role, isRole := strings.Cut(arn, ":role/")
		name := role[strings.LastIndexByte(role, '/')+1:]
		switch {
		case !isRole:
		case call.Operation == "IAM CreateRole":
			r.paths[name] = strings.TrimSuffix(role, name)
		default:
			call.Resources[i] = account + ":role/" + r.paths[name] + name
		}
	}
	r.calls = append(r.calls, call)
}

// Take returns the calls since the last Take.
func (r *Recorder) Take() []Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	calls := r.calls
	r.calls = nil
	return calls
}

// Proxy starts a proxy for s that sends requests through the transport, and returns its URL.
func (s *Server) Proxy(t *testing.T, through http.RoundTripper) string {
	t.Helper()
	target, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(&httputil.ReverseProxy{Transport: through, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
	}})
	t.Cleanup(server.Close)
	return server.URL
}

// signed finds the Region and the service that a request is signed for.
var signed = regexp.MustCompile(`Credential=[^/]+/[0-9]+/([^/]+)/([^/]+)/aws4_request`)

func decode(r *http.Request, body []byte) Call {
	m := signed.FindStringSubmatch(r.Header.Get("Authorization"))
	if m == nil {
		return Call{Operation: "unsigned " + r.Method + " " + r.URL.Path + " ?"}
	}
	q := request{r, body, m[1]}
	switch m[2] {
	case "s3":
		return q.s3()
	case "apigateway":
		return q.apigateway()
	case "lambda":
		return q.lambda()
	case "lakeformation":
		return Call{Operation: "LakeFormation " + strings.TrimPrefix(r.URL.Path, "/"), Resources: []string{"*"}}
	case "iam", "sts", "monitoring":
		return q.query()
	}
	return q.json()
}

// request is a signed request.
type request struct {
	*http.Request
	body   []byte
	region string
}

func (r *request) arn(service, resource string) string {
	return "arn:aws:" + service + ":" + r.region + ":" + Account + ":" + resource
}

// s3Settings names the settings of a bucket by their query parameter.
var s3Settings = map[string]string{
	"tagging": "BucketTagging", "publicAccessBlock": "PublicAccessBlock", "ownershipControls": "BucketOwnershipControls", "encryption": "BucketEncryption",
	"versioning": "BucketVersioning", "lifecycle": "BucketLifecycleConfiguration", "policy": "BucketPolicy",
	"object-lock": "ObjectLockConfiguration", "replication": "BucketReplication", "acl": "BucketAcl", "abac": "BucketAbac",
}

var s3Verbs = map[string]string{http.MethodGet: "Get", http.MethodPut: "Put", http.MethodDelete: "Delete", http.MethodHead: "Head"}

func (r *request) s3() Call {
	bucket, key, inBucket := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	verb, query := s3Verbs[r.Method], r.URL.Query()
	call := Call{Operation: "S3 ?" + r.Method + " " + r.URL.String(), Resources: []string{"arn:aws:s3:::" + bucket}}
	if inBucket && key != "" {
		call.Resources[0] += "/" + key
	}
	switch {
	case bucket == "":
		return Call{Operation: "S3 ListBuckets", Resources: []string{"*"}}
	case query.Has("delete"):
		var keys []string
		for _, m := range regexp.MustCompile(`<Key>([^<]*)</Key>`).FindAllSubmatch(r.body, -1) {
			keys = append(keys, "arn:aws:s3:::"+bucket+"/"+string(m[1]))
		}
		return Call{Operation: "S3 DeleteObjects", Resources: keys}
	case query.Get("list-type") == "2":
		call.Operation = "S3 ListObjectsV2"
	case query.Has("versions"):
		call.Operation = "S3 ListObjectVersions"
	case query.Has("uploads"):
		call.Operation = "S3 ListMultipartUploads"
	case query.Has("uploadId") && r.Method == http.MethodDelete:
		call.Operation = "S3 AbortMultipartUpload"
	case key != "":
		call.Operation = "S3 " + verb + "Object"
	case len(query) == 0:
		call.Operation = map[string]string{http.MethodHead: "S3 HeadBucket", http.MethodPut: "S3 CreateBucket", http.MethodDelete: "S3 DeleteBucket"}[r.Method]
	}
	for name, setting := range s3Settings {
		if query.Has(name) {
			call.Operation = "S3 " + verb + setting
		}
	}
	return call
}

// gatewayPaths name API Gateway's operations by method and path.
var gatewayPaths = []struct{ path, operation string }{
	{`GET /restapis/[^/]+/stages/[^/]+`, "API Gateway GetStage"}, {`PATCH /restapis/[^/]+/stages/[^/]+`, "API Gateway UpdateStage"},
	{`GET /restapis/[^/]+/stages`, "API Gateway GetStages"}, {`GET /restapis/[^/]+/resources`, "API Gateway GetResources"}, {`GET /restapis/[^/]+`, "API Gateway GetRestApi"}, {`GET /restapis`, "API Gateway GetRestApis"},
	{`GET /usageplans/[^/]+/keys`, "API Gateway GetUsagePlanKeys"}, {`GET /usageplans`, "API Gateway GetUsagePlans"},
	{`GET /v2/apis/[^/]+`, "ApiGatewayV2 GetApi"}, {`GET /v2/apis`, "ApiGatewayV2 GetApis"},
}

func (r *request) apigateway() Call {
	call := Call{Operation: "API Gateway ?" + r.Method + " " + r.URL.Path, Resources: []string{"arn:aws:apigateway:" + r.region + "::" + strings.TrimPrefix(r.URL.Path, "/v2")}}
	for _, p := range gatewayPaths {
		if regexp.MustCompile(`^` + p.path + `$`).MatchString(r.Method + " " + r.URL.Path) {
			call.Operation = p.operation
		}
	}
	return call
}

// lambdaPaths name Lambda's operations by method and path.
var lambdaPaths = []struct{ path, operation string }{
	{`POST /functions`, "CreateFunction"}, {`GET /functions/([^/]+)`, "GetFunction"}, {`DELETE /functions/([^/]+)`, "DeleteFunction"},
	{`PUT /functions/([^/]+)/code`, "UpdateFunctionCode"}, {`GET /functions/([^/]+)/configuration`, "GetFunctionConfiguration"},
	{`PUT /functions/([^/]+)/configuration`, "UpdateFunctionConfiguration"}, {`GET /functions/([^/]+)/concurrency`, "GetFunctionConcurrency"},
	{`POST /tags/([^/]+)`, "TagResource"}, {`DELETE /tags/([^/]+)`, "UntagResource"},
}

func (r *request) lambda() Call {
	_, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/") // without the API's version
	call := Call{Operation: "Lambda ?" + r.Method + " " + r.URL.Path}
	for _, p := range lambdaPaths {
		m := regexp.MustCompile(`^` + p.path + `$`).FindStringSubmatch(r.Method + " /" + path)
		if m == nil {
			continue
		}
		call.Operation = "Lambda " + p.operation
		in := r.members()
		name := in["FunctionName"]
		if len(m) > 1 {
			name = m[1]
		}
		if !strings.HasPrefix(name, "arn:") {
			name = r.arn("lambda", "function:"+name)
		}
		call.Resources = []string{name}
		if role := in["Role"]; role != "" {
			call.Passed, call.PassedTo = role, "lambda.amazonaws.com"
		}
	}
	return call
}

// members returns the members of the JSON body, those of objects as well, that are strings. Outer ones take precedence.
func (r *request) members() map[string]string {
	all := map[string]string{}
	var in map[string]any
	if err := json.Unmarshal(r.body, &in); err != nil {
		return all
	}
	for level := []map[string]any{in}; len(level) > 0; {
		var next []map[string]any
		for _, object := range level {
			for name, v := range object {
				switch v := v.(type) {
				case string:
					if _, has := all[name]; !has {
						all[name] = v
					}
				case map[string]any:
					next = append(next, v)
				}
			}
		}
		level = next
	}
	return all
}

// queryServices name the services of AWS's query protocol by their versions.
var queryServices = map[string]string{"2010-05-08": "IAM", "2011-06-15": "STS", "2010-08-01": "CloudWatch"}

func (r *request) query() Call {
	form, err := url.ParseQuery(string(r.body))
	if err != nil {
		return Call{Operation: "?" + err.Error()}
	}
	call := Call{Operation: queryServices[form.Get("Version")] + " " + form.Get("Action"), Resources: []string{"*"}}
	switch {
	case form.Get("Version") == "2010-08-01":
		call.Resources = r.cloudWatch(form)
	case form.Get("RoleName") != "":
		path := form.Get("Path") // of a role to create
		call.Resources[0] = "arn:aws:iam::" + Account + ":role" + cmp.Or(path, "/") + form.Get("RoleName")
	case form.Get("PolicyArn") != "":
		call.Resources[0] = form.Get("PolicyArn")
	}
	return call
}

// cloudWatch returns the alarms or dashboards of a call.
func (r *request) cloudWatch(form url.Values) (all []string) {
	for name, values := range form {
		switch member, _, _ := strings.Cut(name, "."); member {
		case "AlarmName", "AlarmNames":
			all = append(all, r.arn("cloudwatch", "alarm:"+values[0]))
		case "DashboardName", "DashboardNames":
			all = append(all, "arn:aws:cloudwatch::"+Account+":dashboard/"+values[0])
		case "ResourceARN":
			all = append(all, values[0])
		}
	}
	if len(all) == 0 {
		return []string{"*"}
	}
	return all
}

// jsonServices name the services of AWS's JSON protocols by the prefix of their operations.
var jsonServices = map[string]string{"Logs_20140328": "CloudWatch Logs", "Firehose_20150804": "Firehose", "AWSGlue": "Glue", "TrentService": "KMS"}

func (r *request) json() Call {
	target, name, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	service, ok := jsonServices[target]
	if !ok {
		return Call{Operation: fmt.Sprintf("?%s %s %s", r.Method, r.URL.Path, r.Header.Get("X-Amz-Target"))}
	}
	call := Call{Operation: service + " " + name, Resources: []string{"*"}}
	in := r.members()
	switch service {
	case "Firehose":
		call.Resources[0] = r.arn("firehose", "deliverystream/"+in["DeliveryStreamName"])
		if role := in["RoleARN"]; role != "" {
			call.Passed, call.PassedTo = role, "firehose.amazonaws.com"
		}
	case "CloudWatch Logs":
		switch {
		case in["resourceArn"] != "":
			call.Resources[0] = in["resourceArn"]
		case name == "DescribeLogGroups":
			call.Resources[0] = r.arn("logs", "log-group::log-stream:")
		default:
			call.Resources[0] = r.arn("logs", "log-group:"+in["logGroupName"]+":log-stream:"+in["logStreamName"])
		}
	case "KMS":
		if call.Resources[0] = in["KeyId"]; !strings.HasPrefix(in["KeyId"], "arn:") {
			call.Resources[0] = r.arn("kms", "key/"+in["KeyId"])
		}
	case "Glue":
		call.Resources = r.glue(name, in)
	}
	return call
}

// glue returns the resources that Glue authorizes an operation for: the table, the database that contains it, and the catalog.
func (r *request) glue(operation string, in map[string]string) []string {
	if in["ResourceArn"] != "" {
		return []string{in["ResourceArn"]}
	}
	database, table := in["DatabaseName"], in["Name"]
	if strings.HasSuffix(operation, "Database") {
		database, table = in["Name"], ""
	}
	all := []string{r.arn("glue", "catalog"), r.arn("glue", "database/"+database)}
	switch operation {
	case "DeleteDatabase":
		all = append(all, r.arn("glue", "table/"+database+"/any"), r.arn("glue", "userDefinedFunction/"+database+"/any"))
	case "GetTables":
		all = append(all, r.arn("glue", "table/"+database+"/any"))
	}
	if table != "" {
		all = append(all, r.arn("glue", "table/"+database+"/"+table))
	}
	return all
}
