package doctor_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/provision/doctor"
	"github.com/stagelog/stagelog/internal/provision/moto"
)

// partnerS3 behaves like S3 for a reader: it allows listing and getting below the given prefixes,
// and denies everything else with the message denial.
type partnerS3 struct {
	list, get []string // prefixes
	denial    string
	redirect  string // the bucket's Region, if it differs
	empty     bool
}

func (p partnerS3) RoundTrip(req *http.Request) (*http.Response, error) {
	below := func(name string, prefixes []string) bool {
		for _, prefix := range prefixes {
			if strings.HasPrefix(name, prefix) {
				return true
			}
		}
		return false
	}
	_, key, _ := strings.Cut(strings.TrimPrefix(req.URL.Path, "/"), "/")
	prefix := req.URL.Query().Get("prefix")
	switch isList := req.URL.Query().Has("list-type"); {
	case p.redirect != "":
		res := xmlResponse(http.StatusMovedPermanently, "<Error><Code>PermanentRedirect</Code><Message>elsewhere</Message></Error>")
		res.Header.Set("X-Amz-Bucket-Region", p.redirect)
		return res, nil
	case isList && below(prefix, p.list) && p.empty:
		return xmlResponse(http.StatusOK, "<ListBucketResult></ListBucketResult>"), nil
	case isList && below(prefix, p.list):
		return xmlResponse(http.StatusOK, fmt.Sprintf("<ListBucketResult><Contents><Key>%sone</Key><Size>9</Size></Contents></ListBucketResult>", prefix)), nil
	case !isList && below(key, p.get):
		return xmlResponse(http.StatusOK, "x"), nil
	}
	return xmlResponse(http.StatusForbidden, "<Error><Code>AccessDenied</Code><Message>"+p.denial+"</Message></Error>"), nil
}

func xmlResponse(status int, body string) *http.Response {
	res := response(status, body)
	res.Header = http.Header{"Content-Type": {"application/xml"}}
	return res
}

func (p partnerS3) client() *s3.Client {
	return provision.NewClients(aws.Config{Region: moto.Region, BaseEndpoint: aws.String("http://s3.test"), HTTPClient: &http.Client{Transport: p},
		Credentials: credentials.NewStaticCredentialsProvider("AKIAREADER", "reader", "")}).S3
}

func TestReaderCredentials(t *testing.T) {
	const list, get, errs, own = "readers: list with its credentials", "readers: get with its credentials", "readers: error output with its credentials", "readers: stagelog's objects with its credentials"
	for _, tc := range []struct {
		name            string
		s3              partnerS3
		failed, skipped []string
		text            []string
	}{
		{name: "valid", s3: partnerS3{list: []string{"logs/"}, get: []string{"logs/"}}},
		{name: "lists everything", s3: partnerS3{list: []string{""}, get: []string{"logs/"}}},
		{name: "nothing delivered yet", s3: partnerS3{list: []string{""}, get: []string{"logs/"}, empty: true}, skipped: []string{get}},
		{name: "cannot list", s3: partnerS3{get: []string{"logs/"}, denial: "User: arn:aws:iam::1:user/x is not authorized to perform: s3:ListBucket because no resource-based policy allows the s3:ListBucket action"},
			failed: []string{list}, text: []string{"the bucket policy does not allow the reader", "stagelog deploy"}},
		{name: "denied by its own account", s3: partnerS3{denial: "… because no identity-based policy allows the s3:ListBucket action"},
			failed: []string{list}, text: []string{"the reader's own account"}},
		{name: "cannot get", s3: partnerS3{list: []string{""}, denial: "Access Denied"}, failed: []string{get}, text: []string{"S3 needs both"}},
		{name: "cannot decrypt", s3: partnerS3{list: []string{""}, denial: "User: x is not authorized to perform: kms:Decrypt on the resource associated with this ciphertext"},
			failed: []string{get}, text: []string{"KMS key"}},
		{name: "reads everything", s3: partnerS3{list: []string{""}, get: []string{""}}, failed: []string{errs, own}, text: []string{"s3://" + testBucket + "/errors/"}},
		{name: "another Region", s3: partnerS3{redirect: "us-east-1"}, failed: []string{list}, skipped: []string{errs, own}, text: []string{"the bucket is in us-east-1", "--region us-east-1"}},
	} {
		f := found{}
		report, err := doctor.Reader(t.Context(), tc.s3.client(), doctor.Delivery{Bucket: testBucket, Prefix: "logs/!{timestamp:yyyy}/", ErrorPrefix: "errors/!{firehose:error-output-type}/"}, func(c doctor.Check) {
			f[c.Link+": "+c.Name] = append(f[c.Link+": "+c.Name], c)
		})
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		if diff := cmp.Diff(tc.failed, f.withStatus(doctor.Failed)); diff != "" || report.Failed != len(tc.failed) {
			t.Errorf("%s: failed checks (-want +got):\n%s%s", tc.name, diff, text(report))
		}
		if diff := cmp.Diff(tc.skipped, f.withStatus(doctor.Skipped)); diff != "" {
			t.Errorf("%s: skipped checks (-want +got):\n%s", tc.name, diff)
		}
		if len(tc.failed) > 0 {
			f.expect(t, tc.failed[0], doctor.Failed, tc.text...)
		}
	}
}

func TestUnreachableAWSIsAnError(t *testing.T) {
	c := s3.New(s3.Options{Region: "eu-west-1", BaseEndpoint: aws.String("http://127.0.0.1:1"), UsePathStyle: true, RetryMaxAttempts: 1, Credentials: credentials.NewStaticCredentialsProvider("A", "B", "")})
	if report, err := doctor.Reader(t.Context(), c, doctor.Delivery{Bucket: testBucket, Prefix: "logs/", ErrorPrefix: "errors/"}, nil); err == nil {
		t.Errorf("doctor.Reader without S3: got %s, want an error", text(report))
	}
	nowhere := provision.NewClients(aws.Config{Region: "eu-west-1", BaseEndpoint: aws.String("http://127.0.0.1:1"), RetryMaxAttempts: 1, Credentials: credentials.NewStaticCredentialsProvider("A", "B", "")})
	if report, err := doctor.Run(t.Context(), nowhere, good().target(), doctor.Options{}, nil); err == nil {
		t.Errorf("doctor.Run without AWS: got %s, want an error", text(report))
	}
}

func TestRunIncludesReaderChecks(t *testing.T) {
	s := moto.Start(t)
	b := recordable().build(t, provision.NewClients(s.Config(nil)))
	f := examineRecord(t, s, b, b.own(), doctor.Options{ReaderS3: partnerS3{list: []string{"logs/"}, get: []string{"logs/"}}.client()}, func(r []byte) (string, []byte) {
		return nameAt("logs/", ".gz"), gzipped(enriched(`"usage_plan":"Gold","customer":"Acme Corp"`)(r))
	})
	f.expect(t, "readers: get with its credentials", doctor.OK, "logs/20")
	if failed := f.withStatus(doctor.Failed); failed != nil {
		t.Errorf("failed: %v", failed)
	}
}
