package lake

import (
	"strings"
	"testing"

	"github.com/stagelog/stagelog/internal/accesslog"
)

// columnNames names the columns in rows of these tests, in the order of type column.
var columnNames = [columns]string{"time", "id", "api", "stage", "key", "customer", "plan", "plan_id", "method", "route", "path",
	"status", "latency", "integration", "bytes", "ip", "agent", "error", "extra", "extended"}

// rowOf returns the row of a line: the columns that have a value, by name.
func rowOf(t *testing.T, m Mapping, line string) string {
	t.Helper()
	r := m.reader(1)
	r.begin()
	if _, bad := r.objectOf([]byte(line), 0); bad != nil {
		t.Fatalf("%s: %s", line, bad.Reason)
	}
	r.fill()
	for _, f := range r.replaced {
		r.keep(f.path, f.value)
	}
	if len(r.extra) > 0 {
		r.row[colExtra] = append(r.extra, '}')
	}
	var all []string
	for c, name := range columnNames {
		if r.row[c] != nil {
			all = append(all, name+"="+string(r.row[c]))
		}
	}
	return strings.Join(all, " ")
}

// values are what API Gateway writes for the variables of these formats.
var values = map[string]string{
	"$context.requestId": "r1", "$context.extendedRequestId": "e1", "$context.requestTime": "28/Nov/2026:08:30:00 +0000", "$context.requestTimeEpoch": "1795854600123",
	"$context.apiId": "a1", "$context.stage": "prod", "$context.identity.apiKeyId": "k1", "$context.identity.apiKey": "SECRETSECRETSECRET",
	"$context.httpMethod": "GET", "$context.resourcePath": "/x/{id}", "$context.routeKey": "GET /x/{id}", "$context.path": "/prod/x/1",
	"$context.status": "504", "$context.responseLatency": "29", "$context.responseLength": "17", "$context.protocol": "HTTP/1.1",
	"$context.integration.status": "502", "$context.integration.latency": "28", "$context.integration.error": "boom", "$context.integration.requestId": "i1",
	"$context.integrationStatus": "502", "$context.integrationLatency": "28", "$context.integrationErrorMessage": "boom", "$context.integration.integrationStatus": "200",
	"$context.identity.sourceIp": "192.0.2.1", "$context.identity.userAgent": "curl/8", "$context.identity.caller": "-", "$context.identity.user": "-", "$context.identity.userArn": "arn:u",
	"$context.error.message": "late", "$context.error.messageString": "late", "$context.error.responseType": "TIMEOUT",
	"$context.authorizer.status": "401", "$context.authorizer.latency": "7", "$context.authorizer.error": "no", "$context.authorizer.principalId": "p1",
	"$context.waf.status": "403", "$context.waf.latency": "3", "$context.waf.error": "-", "$context.wafResponseCode": "WAF_ALLOW",
	"$context.xrayTraceId": "1-5", "$context.domainName": "d1", "$context.dataProcessed": "-",
}

// The formats of AWS's documentation and of public templates have the same rows with and without the knowledge of the format.
func TestFormatsInTheWorldHaveTheirRows(t *testing.T) {
	for name, c := range map[string]struct{ format, want string }{
		"AWS's documentation, AccessLogFormat.jsonWithStandardFields of CDK": {
			`{"requestId":"$context.requestId","ip":"$context.identity.sourceIp","user":"$context.identity.user","caller":"$context.identity.caller","requestTime":"$context.requestTime","httpMethod":"$context.httpMethod","resourcePath":"$context.resourcePath","status":"$context.status","protocol":"$context.protocol","responseLength":"$context.responseLength"}`,
			`time=28/Nov/2026:08:30:00 +0000 id=r1 method=GET route=/x/{id} status=504 bytes=17 ip=192.0.2.1 extra={"protocol":"HTTP/1.1"}`,
		},
		"Serverless Framework, HTTP APIs": {
			`{"requestId":"$context.requestId","ip":"$context.identity.sourceIp","requestTime":"$context.requestTime","httpMethod":"$context.httpMethod","routeKey":"$context.routeKey","status":"$context.status","protocol":"$context.protocol","responseLength":"$context.responseLength"}`,
			`time=28/Nov/2026:08:30:00 +0000 id=r1 method=GET route=GET /x/{id} status=504 bytes=17 ip=192.0.2.1 extra={"protocol":"HTTP/1.1"}`,
		},
		"AWS's blog about the phases of a request, SAM and Terraform examples": {
			`{"requestId":"$context.requestId","waf-error":"$context.waf.error","waf-status":"$context.waf.status","waf-latency":"$context.waf.latency","authorizer-error":"$context.authorizer.error","authorizer-status":"$context.authorizer.status","authorizer-latency":"$context.authorizer.latency","integration-error":"$context.integration.error","integration-status":"$context.integration.status","integration-latency":"$context.integration.latency","integration-requestId":"$context.integration.requestId","integration-integrationStatus":"$context.integration.integrationStatus","response-latency":"$context.responseLatency","status":"$context.status"}`,
			`id=r1 status=504 latency=29 integration=28 error=boom extra={"waf-status":"403","waf-latency":"3","authorizer-error":"no","authorizer-status":"401","authorizer-latency":"7","integration-status":"502","integration-requestId":"i1","integration-integrationStatus":"200"}`,
		},
		"the guide of alexdebrie.com": {
			`{"requestTime":"$context.requestTime","requestId":"$context.requestId","httpMethod":"$context.httpMethod","path":"$context.path","resourcePath":"$context.resourcePath","status":$context.status,"responseLatency":$context.responseLatency,"xrayTraceId":"$context.xrayTraceId","integrationRequestId":"$context.integration.requestId","functionResponseStatus":"$context.integration.status","integrationLatency":"$context.integration.latency","integrationServiceStatus":"$context.integration.integrationStatus","authorizerStatus":"$context.authorizer.status","authorizerLatency":"$context.authorizer.latency","ip":"$context.identity.sourceIp","userAgent":"$context.identity.userAgent","principalId":"$context.authorizer.principalId"}`,
			`time=28/Nov/2026:08:30:00 +0000 id=r1 method=GET route=/x/{id} path=/prod/x/1 status=504 latency=29 integration=28 ip=192.0.2.1 agent=curl/8 extra={"xrayTraceId":"1-5","integrationRequestId":"i1","functionResponseStatus":"502","integrationServiceStatus":"200","authorizerStatus":"401","authorizerLatency":"7","principalId":"p1"}`,
		},
		"an object identity, in Terraform": {
			`{"requestId":"$context.requestId","identity":{"ip":"$context.identity.sourceIp","caller":"$context.identity.caller","user":"$context.identity.user"},"requestTime":"$context.requestTime","requestTimeEpoch":"$context.requestTimeEpoch","httpMethod":"$context.httpMethod","resourcePath":"$context.resourcePath","status":"$context.status","protocol":"$context.protocol","responseLength":"$context.responseLength","xrayTraceId":"$context.xrayTraceId"}`,
			`time=1795854600123 id=r1 method=GET route=/x/{id} status=504 bytes=17 ip=192.0.2.1 extra={"protocol":"HTTP/1.1","xrayTraceId":"1-5"}`,
		},
		"an object for each part, in a Terraform module": {
			`{"request":{"requestId":"$context.requestId","requestTime":"$context.requestTime","extendedRequestId":"$context.extendedRequestId"},"api":{"apiId":"$context.apiId","stage":"$context.stage","domainName":"$context.domainName"},"client":{"sourceIp":"$context.identity.sourceIp","userAgent":"$context.identity.userAgent"},"http":{"path":"$context.path","routeKey":"$context.routeKey","protocol":"$context.protocol","httpMethod":"$context.httpMethod"},"integration":{"integrationStatus":"$context.integrationStatus","integrationLatency":"$context.integrationLatency","integrationErrorMessage":"$context.integrationErrorMessage"},"error":{"responseType":"$context.error.responseType","errorMessage":"$context.error.message"},"response":{"status":"$context.status","dataProcessed":"$context.dataProcessed","responseLength":"$context.responseLength","responseLatency":"$context.responseLatency"}}`,
			`time=28/Nov/2026:08:30:00 +0000 id=r1 api=a1 stage=prod method=GET route=GET /x/{id} path=/prod/x/1 status=504 latency=29 integration=28 bytes=17 ip=192.0.2.1 agent=curl/8 error=late extra={"api":{"domainName":"d1"},"http":{"protocol":"HTTP/1.1"},"integration":{"integrationStatus":"502"},"error":{"responseType":"TIMEOUT"},"integration.integrationErrorMessage":"boom"} extended=e1`,
		},
		"an object error, in CDK": {
			`{"requestId":"$context.requestId","requestTime":"$context.requestTime","httpMethod":"$context.httpMethod","path":"$context.path","status":"$context.status","error":{"message":"$context.error.message","messageString":$context.error.messageString},"responseLength":"$context.responseLength","responseLatency":"$context.responseLatency","sourceIp":"$context.identity.sourceIp","userAgent":"$context.identity.userAgent","integrationError":"-","integrationStatus":"$context.integration.status","integrationLatency":"$context.integration.latency"}`,
			`time=28/Nov/2026:08:30:00 +0000 id=r1 method=GET path=/prod/x/1 status=504 latency=29 integration=28 bytes=17 ip=192.0.2.1 agent=curl/8 error=late extra={"error":{"messageString":"late"},"integrationStatus":"502"}`,
		},
		"names with dots, in CDK": {
			`{"requestId":"$context.requestId","ip":"$context.identity.sourceIp","responseLatency":"$context.responseLatency","integrationLatency":"$context.integrationLatency","httpMethod":"$context.httpMethod","resourcePath":"$context.resourcePath","status":"$context.status","error.message":"$context.error.message","error.responseType":"$context.error.responseType","authorizer.error":"$context.authorizer.error"}`,
			`id=r1 method=GET route=/x/{id} status=504 latency=29 integration=28 ip=192.0.2.1 error=late extra={"error.responseType":"TIMEOUT","authorizer.error":"no"}`,
		},
		"the tree of the variables": {
			`{"context":{"requestId":"$context.requestId","requestTimeEpoch":"$context.requestTimeEpoch","apiId":"$context.apiId","stage":"$context.stage","httpMethod":"$context.httpMethod","path":"$context.path","status":"$context.status","identity":{"apiKeyId":"$context.identity.apiKeyId","apiKey":"$context.identity.apiKey","sourceIp":"$context.identity.sourceIp","userArn":"$context.identity.userArn"},"integration":{"status":"$context.integration.status","latency":"$context.integration.latency","error":"$context.integration.error"},"authorizer":{"status":"$context.authorizer.status","latency":"$context.authorizer.latency","error":"$context.authorizer.error"},"waf":{"status":"$context.waf.status","latency":"$context.waf.latency","error":"$context.waf.error"}}}`,
			`time=1795854600123 id=r1 api=a1 stage=prod key=k1 method=GET path=/prod/x/1 status=504 integration=28 ip=192.0.2.1 error=boom extra={"context":{"identity":{"userArn":"arn:u"},"integration":{"status":"502"},"authorizer":{"status":"401","latency":"7","error":"no"},"waf":{"status":"403","latency":"3"}}}`,
		},
		"a list": {
			`{"request":{"id":"$context.requestId","at":["$context.domainName",{"apiKey":"$context.identity.apiKey"},"$context.identity.user"]},"http":{"method":"$context.httpMethod","status":"$context.status"}}`,
			`id=r1 method=GET status=504 extra={"request":{"at":["d1",null,"-"]}}`,
		},
		"requestContext, as events have it": {
			`{"requestContext":{"requestId":"$context.requestId","apiId":"$context.apiId","stage":"$context.stage","timeEpoch":$context.requestTimeEpoch,"time":"$context.requestTime","http":{"method":"$context.httpMethod","path":"$context.path","protocol":"$context.protocol","sourceIp":"$context.identity.sourceIp","userAgent":"$context.identity.userAgent"}},"userIdentity":{"apiKeyId":"$context.identity.apiKeyId"}}`,
			`time=1795854600123 id=r1 api=a1 stage=prod key=k1 method=GET path=/prod/x/1 ip=192.0.2.1 agent=curl/8 extra={"requestContext":{"http":{"protocol":"HTTP/1.1"}}}`,
		},
		"Datadog's attributes": {
			`{"requestId":"$context.requestId","http":{"method":"$context.httpMethod","status_code":"$context.status","useragent":"$context.identity.userAgent","url_details":{"path":"$context.path"}},"network":{"client":{"ip":"$context.identity.sourceIp"}}}`,
			`id=r1 method=GET path=/prod/x/1 status=504 ip=192.0.2.1 agent=curl/8`,
		},
		"names of Elastic and OpenTelemetry": {
			`{"http":{"request":{"id":"$context.requestId","method":"$context.httpMethod","bytes":"12"},"response":{"status_code":"$context.status","body":{"bytes":"$context.responseLength"}},"route":"$context.resourcePath"},"url":{"path":"$context.path"},"client":{"address":"$context.identity.sourceIp"},"user_agent":{"original":"$context.identity.userAgent"}}`,
			`id=r1 method=GET route=/x/{id} path=/prod/x/1 status=504 bytes=17 ip=192.0.2.1 agent=curl/8 extra={"http":{"request":{"bytes":"12"}}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			format := accesslog.Parse(c.format)
			line := string(format.AppendLine(nil, func(variable string) (string, bool) {
				v, ok := values[variable]
				if !ok {
					t.Fatalf("no value of %s", variable)
				}
				return v, ok
			}))
			for what, m := range map[string]Mapping{"by name": {}, "by variable": MappingOf(format, "", "", "")} {
				if got := rowOf(t, m, line); got != c.want {
					t.Errorf("%s:\n got %s\nwant %s", what, got, c.want)
				}
			}
		})
	}
}

// A field in an object is the same as that field alone, unless the object changes its meaning. The rest stays where it was.
func TestNestedFieldsKeepTheirMeaning(t *testing.T) {
	deep := strings.Repeat(`{"http":`, maxNested+1)
	for line, want := range map[string]string{
		`{"integration":{"status":"502","latency":"7","error":"boom"}}`:                                                                `integration=7 error=boom extra={"integration":{"status":"502"}}`,
		`{"authorizer":{"error":"no","latency":"7"},"waf":{"status":"403","path":"/"}}`:                                                `extra={"authorizer":{"error":"no","latency":"7"},"waf":{"status":"403","path":"/"}}`,
		`{"request":{"bytes":1,"time":"1795854600"},"response":{"bytes":2,"time":3}}`:                                                  `time=1795854600 bytes=2 extra={"request":{"bytes":1},"response":{"time":3}}`,
		`{"Identity":{"Source_IP":"::1","more":{"x":[1, {"y":"-"}],"":"z"}},"a.b":1}`:                                                  `ip=::1 extra={"Identity":{"more":{"x":[1,null],"":"z"}},"a.b":1}`,
		`{"customer":{"name":"Acme","id":"c1"},"usage_plan":{"id":"p1","name":"Gold"}}`:                                                `customer=Acme plan=Gold plan_id=p1 extra={"customer":{"id":"c1"}}`,
		`{"a":{},"b":[],"c":{"d":{"e":"-"},"f":null},"g":[null,"-",[]]}`:                                                               `extra={"a":{},"b":[],"g":[null,"-",[]]}`,
		`{"n\u0061\"me":{"st\u0061tus":1,"\ud800":{"x\n":"\ud800"}},"http":{"st\u0061tus":2}}`:                                         "status=2 extra={\"na\\\"me\":{\"status\":1,\"\uFFFD\":{\"x\\u000a\":\"\\ufffd\"}}}",
		`{"integration":{"error":"bo\"om"},"x":{"y":1},"error":{"message":"late"}}`:                                                    `error=late extra={"x":{"y":1},"integration.error":"bo\"om"}`,
		`{"error":"late","integration":{"error":"boom"}}`:                                                                              `error=late extra={"integration":{"error":"boom"}}`,
		`{"plan_id":"p","usage_plan":"p","usagePlanName":"q","request_time":"1795854600","timestamp":"1"}`:                             `time=1795854600 plan=p extra={"usagePlanName":"q"}`,
		`{"http":{"status":"200"},"status":"200","response":{"status":"404"}}`:                                                         `status=200 extra={"response":{"status":"404"}}`,
		`{"apiKey":{"id":"k1","value":"SECRET"},"x":{"y":[{"api_key":"SECRET"}]}}`:                                                     `key=k1 extra={"x":{"y":[null]}}`,
		`{"x":{"identity.apiKey":"SECRET","api-key":"****abcd","X-Api-Key":["SECRET"]}}`:                                               `extra={"x":{"api-key":"****abcd","X-Api-Key":[null]}}`,
		deep + `{"status":1}` + strings.Repeat("}", maxNested+1):                                                                       `extra=` + deep + `{"status":1}` + strings.Repeat("}", maxNested+1),
		`{"identity":"{\"sourceip\":\"::1\",\"x\":\"\\u0041\"}","note":"{\"x\":1}","more":"{\"x\":","error":"{\"message\":\"late\"}"}`: `ip=::1 error=late extra={"identity":{"x":"\u0041"},"note":"{\"x\":1}","more":"{\"x\":"}`,
		`{"error":"{\"reason\":\"x\"}","identity":"{\"apiKey\":\"SECRET\"}"}`:                                                          `error={"reason":"x"}`,
		deep[8:] + `{"status":1}` + strings.Repeat("}", maxNested):                                                                     `status=1`,
	} {
		if got := rowOf(t, Mapping{}, line); got != want {
			t.Errorf("%s:\n got %s\nwant %s", line, got, want)
		}
	}
}

// A format decides on a field by its variable, whatever its path is.
func TestNestedFieldsFollowTheirVariables(t *testing.T) {
	format := accesslog.Parse(`{"who":{"id":"$context.identity.apiKeyId","Key":"$context.identity.apiKey"},"http":{"status":"$context.integration.status","code":$context.status},` +
		`"list":["$context.identity.apiKey",{"r":"$context.requestId"}],"b":"$context.identity.apiKey"}`)
	for line, want := range map[string]string{
		`{"who":{"id":"k1","Key":"SECRET"},"http":{"status":"502","code":504},"list":["SECRET",{"r":"r1"}],"b":"SECRET"}`:                    `id=r1 key=k1 status=504 extra={"http":{"status":"502"},"list":[null,null]}`,
		`{"who":{"id":"k1","key":"SECRET"},"http":{"status":"502","code":504},"list":["****abcd",{"r":"r1"}],"b":{"value":["SECRET"]}}`:      `id=r1 key=k1 status=504 extra={"http":{"status":"502"},"list":["****abcd",null],"b":{"value":[null]}}`,
		`{"who":"{\"id\":\"k1\",\"key\":\"SECRET\"}","http":"{\"status\":\"502\",\"code\":504}","list":"[\"SECRET\"]"}`:                      `key=k1 status=504 extra={"http":{"status":"502"},"list":[null]}`,
		`{"WHO":"{\"id\":\"k1\",\"KEY\":\"SECRET\"}","http":{"code":504}}`:                                                                   `key=k1 status=504`,
		`{"who.id":"k1","who.key":"SECRET","http.status":"502","http.code":504,"customer":"Acme","unknown":{"sourceIp":"x"},"path":{"x":1}}`: `key=k1 customer=Acme status=504 extra={"http.status":"502","unknown":{"sourceIp":"x"},"path":{"x":1}}`,
	} {
		if got := rowOf(t, MappingOf(format, "", "customer", ""), line); got != want {
			t.Errorf("%s:\n got %s\nwant %s", line, got, want)
		}
	}
}

// A line in the object of a log shipper is read by its format, although its names say something else.
func TestWrappedFieldsFollowTheirVariables(t *testing.T) {
	format := accesslog.Parse(`{"status":"$context.integration.status","method":"$context.stage","code":"$context.status","id":"$context.requestId"}`)
	const line = `{"status":"502","method":"prod","code":"504","id":"r1"}`
	for _, wrapped := range []string{line, `{"log":` + line + `}`, `{"body":` + line + `,"time":"1795854600"}`, `{"log":"{\"status\":\"502\",\"method\":\"prod\",\"code\":\"504\",\"id\":\"r1\"}"}`} {
		r := MappingOf(format, "", "", "").reader(1)
		r.line([]byte(wrapped))
		if r.count.rows != 1 || string(r.row[colStatus]) != "504" || string(r.row[colStage]) != "prod" || r.row[colMethod] != nil {
			t.Errorf("%s: %d rows, the last with status %s, stage %s, method %s", wrapped, r.count.rows, r.row[colStatus], r.row[colStage], r.row[colMethod])
		}
	}
}
