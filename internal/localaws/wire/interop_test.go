package wire_test

import (
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stagelog/stagelog/internal/localaws/wire"
	"github.com/stagelog/stagelog/internal/testenv"
)

func nowReally() time.Time { return time.Now() }

// boto3Script makes one request per protocol and prints what the handlers were given.
const boto3Script = `
import json, os, sys, urllib.request
import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError
url = sys.argv[1]
s = botocore.session.Session()
def client(name, **kw):
    return s.create_client(name, region_name='us-east-1', endpoint_url=url, aws_access_key_id='AKIAIOSFODNN7EXAMPLE',
        aws_secret_access_key=kw.pop('secret', 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'), config=Config(retries={'max_attempts': 0}, proxies={}), **kw)
print('sts', client('sts').get_caller_identity()['Account'])
client('firehose').put_record(DeliveryStreamName='x', Record={'Data': b'\x00\xff' * 200000})
print('firehose ok')
client('apigateway').get_usage(usagePlanId='a b/c', startDate='2026-01-01', endDate='2026-01-02', position='=+/&', keyId='k~*')
client('apigateway').get_tags(resourceArn='arn:aws:apigateway:us-east-1::/restapis/abc')
print('apigateway ok')
client('lambda').get_function(FunctionName='arn:aws:lambda:us-east-1:000000000000:function:f', Qualifier='$LATEST')
print('lambda ok')
with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(client('sts').generate_presigned_url('get_caller_identity', HttpMethod='GET')) as r:
    print('presigned', r.status)
try:
    client('firehose', secret='wrong').list_delivery_streams()
except ClientError as e:
    print(e.response['Error']['Code'], e.response['ResponseMetadata']['HTTPStatusCode'])
`

func emptyJSON(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte("{}"))
}

func interopServer(t *testing.T) *httptest.Server {
	t.Helper()
	services := map[string]http.Handler{"sts": wire.STS()}
	for _, name := range []string{"firehose", "apigateway", "lambda"} {
		services[name] = http.HandlerFunc(emptyJSON)
	}
	server := httptest.NewServer(wire.NewMux(wire.Config{Verifier: wire.NewVerifier(oneKey{}, nowReally), Region: testRegion}, services))
	t.Cleanup(server.Close)
	return server
}

// environment returns one without AWS settings but those given, and without proxies.
func environment(t *testing.T, more ...string) []string {
	t.Helper()
	noProxies := []string{"HTTP_PROXY=", "HTTPS_PROXY=", "ALL_PROXY=", "http_proxy=", "https_proxy=", "all_proxy="}
	return testenv.Environ(t.TempDir(), append(noProxies, more...)...)
}

func TestBotocoreSignaturesAccepted(t *testing.T) {
	testenv.Need(t, testenv.Interop)
	testenv.NeedTool(t, "botocore", "python3", "-c", "import botocore.session")
	cmd := exec.Command("python3", "-c", boto3Script, interopServer(t).URL)
	cmd.Env = environment(t)
	out, err := cmd.CombinedOutput()
	const want = "sts 000000000000\nfirehose ok\napigateway ok\nlambda ok\npresigned 200\nInvalidSignatureException 400\n"
	if err != nil || string(out) != want {
		t.Errorf("botocore: %v\n%s\nwant\n%s", err, out, want)
	}
}

func TestAWSCLISignaturesAccepted(t *testing.T) {
	testenv.Need(t, testenv.Interop)
	testenv.NeedTool(t, "AWS CLI", "aws", "--version")
	cmd := exec.Command("aws", "sts", "get-caller-identity", "--output", "text", "--query", "Arn", "--endpoint-url", interopServer(t).URL)
	cmd.Env = environment(t, "AWS_ACCESS_KEY_ID="+testKey, "AWS_SECRET_ACCESS_KEY="+testSecret, "AWS_DEFAULT_REGION="+testRegion)
	if out, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "arn:aws:iam::000000000000:root" {
		t.Errorf("aws: %v\n%s", err, out)
	}
}
