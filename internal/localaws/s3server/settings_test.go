package s3server_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/localaws/s3server"
)

func TestBucketSettings(t *testing.T) {
	_, name := newBucket(t)
	c, ctx := raw(admin), t.Context()
	check := func(what string, err error, want string) {
		t.Helper()
		if want == "" && err != nil || want != "" && code(err) != want {
			t.Errorf("%s: %v, want %q", what, err, want)
		}
	}
	in := func() *string { return aws.String(name) }

	block, err := c.GetPublicAccessBlock(ctx, &s3.GetPublicAccessBlockInput{Bucket: in()})
	check("get the public access block of a new bucket", err, "")
	if b := block.PublicAccessBlockConfiguration; !aws.ToBool(b.BlockPublicAcls) || !aws.ToBool(b.RestrictPublicBuckets) {
		t.Errorf("a new bucket's public access block is %+v", b)
	}
	_, err = c.DeletePublicAccessBlock(ctx, &s3.DeletePublicAccessBlockInput{Bucket: in()})
	check("delete it", err, "")
	_, err = c.GetPublicAccessBlock(ctx, &s3.GetPublicAccessBlockInput{Bucket: in()})
	check("get it then", err, "NoSuchPublicAccessBlockConfiguration")
	_, err = c.PutPublicAccessBlock(ctx, &s3.PutPublicAccessBlockInput{Bucket: in(), PublicAccessBlockConfiguration: &types.PublicAccessBlockConfiguration{BlockPublicAcls: aws.Bool(true)}})
	check("put it", err, "")
	block, err = c.GetPublicAccessBlock(ctx, &s3.GetPublicAccessBlockInput{Bucket: in()})
	check("get it again", err, "")
	if b := block.PublicAccessBlockConfiguration; !aws.ToBool(b.BlockPublicAcls) || aws.ToBool(b.RestrictPublicBuckets) {
		t.Errorf("what was put comes back as %+v", b)
	}

	encryption, err := c.GetBucketEncryption(ctx, &s3.GetBucketEncryptionInput{Bucket: in()})
	check("get encryption", err, "")
	if rules := encryption.ServerSideEncryptionConfiguration.Rules; len(rules) != 1 || rules[0].ApplyServerSideEncryptionByDefault.SSEAlgorithm != types.ServerSideEncryptionAes256 {
		t.Errorf("a new bucket's encryption is %+v", rules)
	}
	kms := types.ServerSideEncryptionRule{ApplyServerSideEncryptionByDefault: &types.ServerSideEncryptionByDefault{SSEAlgorithm: types.ServerSideEncryptionAwsKms}}
	_, err = c.PutBucketEncryption(ctx, &s3.PutBucketEncryptionInput{Bucket: in(), ServerSideEncryptionConfiguration: &types.ServerSideEncryptionConfiguration{Rules: []types.ServerSideEncryptionRule{kms}}})
	check("encryption with KMS, which is not here", err, "NotImplemented")

	_, err = c.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: in()})
	check("get a lifecycle of none", err, "NoSuchLifecycleConfiguration")
	transition := types.LifecycleRule{ID: aws.String("a"), Status: types.ExpirationStatusEnabled, Filter: &types.LifecycleRuleFilter{Prefix: aws.String("")},
		Transitions: []types.Transition{{Days: aws.Int32(30), StorageClass: types.TransitionStorageClassGlacier}}}
	_, err = c.PutBucketLifecycleConfiguration(ctx, &s3.PutBucketLifecycleConfigurationInput{Bucket: in(), LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: []types.LifecycleRule{transition}}})
	check("a transition, which is not carried out", err, "NotImplemented")

	for what, as := range map[string]s3server.Account{"a reader": reader, "a stranger": stranger} {
		_, err = raw(as).PutPublicAccessBlock(ctx, &s3.PutPublicAccessBlockInput{Bucket: in(), PublicAccessBlockConfiguration: &types.PublicAccessBlockConfiguration{}})
		check("put as "+what, err, "AccessDenied")
	}
	forged := admin
	forged.SecretAccessKey = "wrong"
	_, err = raw(forged).DeleteBucketLifecycle(ctx, &s3.DeleteBucketLifecycleInput{Bucket: in()})
	check("delete with a wrong secret", err, "SignatureDoesNotMatch")
	_, err = c.GetBucketEncryption(ctx, &s3.GetBucketEncryptionInput{Bucket: aws.String("no-such-bucket-here")})
	check("of no bucket", err, "NoSuchBucket")

	_, err = c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: in()})
	check("delete the bucket", err, "")
	if err := server.Client(admin).EnsureBucket(ctx, name); err != nil {
		t.Fatal(err)
	}
	block, err = c.GetPublicAccessBlock(ctx, &s3.GetPublicAccessBlockInput{Bucket: in()})
	check("get the public access block of a recreated bucket", err, "")
	if !aws.ToBool(block.PublicAccessBlockConfiguration.RestrictPublicBuckets) {
		t.Error("a recreated bucket has the settings of the old one")
	}
}

// The signature in a query determines the signer, regardless of the header.
func TestSettingsRequireAdministrator(t *testing.T) {
	_, name := newBucket(t)
	const body = `<LifecycleConfiguration><Rule><ID>all</ID><Status>Enabled</Status><Filter><Prefix></Prefix></Filter><Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>`
	today := time.Now().UTC()
	named := "AWS4-HMAC-SHA256 Credential=" + admin.AccessKeyID + today.Format("/20060102/") + "us-east-1/s3/aws4_request, SignedHeaders=host, Signature=" + strings.Repeat("0", 64)
	for _, tt := range []struct {
		what    string
		as      s3server.Account
		headers []string // Authorization
		query   string   // beside the setting's name and the signature
	}{
		{"presigned by a reader", reader, nil, ""},
		{"presigned by a reader, and a header that names the administrator", reader, []string{named}, ""},
		{"the same with a query that Go cannot parse", reader, []string{named}, "a;b&"},
		{"presigned by a stranger, and two headers", stranger, []string{named, named}, ""},
		{"presigned by the administrator, with a header", admin, []string{named}, ""},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, front.URL+"/"+name+"?lifecycle=&"+tt.query+"X-Amz-Expires=60", nil)
		if err != nil {
			t.Fatal(err)
		}
		signed, _, err := v4.NewSigner().PresignHTTP(t.Context(), aws.Credentials{AccessKeyID: tt.as.AccessKeyID, SecretAccessKey: tt.as.SecretAccessKey}, req, "UNSIGNED-PAYLOAD", "s3", "us-east-1", today)
		if err != nil {
			t.Fatal(err)
		}
		if req, err = http.NewRequestWithContext(t.Context(), http.MethodPut, signed, strings.NewReader(body)); err != nil {
			t.Fatal(err)
		}
		req.Header["Authorization"] = tt.headers
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(res.Body)
		if err := errors.Join(err, res.Body.Close()); err != nil {
			t.Fatal(err)
		}
		if res.StatusCode == http.StatusOK {
			t.Errorf("a lifecycle that is %s: %s %s, want a refusal", tt.what, res.Status, answer)
		}
		if _, err = raw(admin).GetBucketLifecycleConfiguration(t.Context(), &s3.GetBucketLifecycleConfigurationInput{Bucket: &name}); code(err) != "NoSuchLifecycleConfiguration" {
			t.Fatalf("after a lifecycle that is %s the bucket has one: %v", tt.what, err)
		}
	}
}

func TestObjectsExpire(t *testing.T) {
	c, name := newBucket(t, "logs/a", "logs/b", "errors/c", "other/d")
	rule := func(id, prefix string, days int32, status types.ExpirationStatus) types.LifecycleRule {
		return types.LifecycleRule{ID: &id, Status: status, Filter: &types.LifecycleRuleFilter{Prefix: &prefix}, Expiration: &types.LifecycleExpiration{Days: &days}}
	}
	_, err := raw(admin).PutBucketLifecycleConfiguration(t.Context(), &s3.PutBucketLifecycleConfigurationInput{Bucket: &name, LifecycleConfiguration: &types.BucketLifecycleConfiguration{
		Rules: []types.LifecycleRule{rule("logs", "logs/", 400, types.ExpirationStatusEnabled), rule("errors", "errors/", 30, types.ExpirationStatusEnabled),
			rule("off", "other/", 1, types.ExpirationStatusDisabled)}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		days int
		want []string
	}{
		{0, []string{"errors/c", "logs/a", "logs/b", "other/d"}},
		{30, []string{"errors/c", "logs/a", "logs/b", "other/d"}}, // until midnight
		{32, []string{"logs/a", "logs/b", "other/d"}},
		{402, []string{"other/d"}},
	} {
		if err := server.ExpireOnce(t.Context(), time.Now().AddDate(0, 0, tt.days)); err != nil {
			t.Fatal(err)
		}
		got, err := list(t, c, name, "")
		if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
			t.Errorf("after %d days (-want +got): %v\n%s", tt.days, err, diff)
		}
	}
}

// A rule that is narrower than what is carried out here is refused, in whatever way its XML is
// written: it would delete more than it says.
func TestUnsupportedLifecycleRefused(t *testing.T) {
	_, name := newBucket(t, "logs/a")
	for filter, want := range map[string]int{
		"<Filter><Prefix>logs/</Prefix></Filter>": http.StatusOK,
		"<Prefix>logs/</Prefix>":                  http.StatusOK,
		"<Filter/>":                               http.StatusOK,
		"":                                        http.StatusBadRequest,
		"<Filter><Tag ><Key>k</Key><Value>v</Value></Tag></Filter>":                          http.StatusNotImplemented,
		`<Filter><a:And xmlns:a="http://s3.amazonaws.com/doc/2006-03-01/"></a:And></Filter>`: http.StatusNotImplemented,
		"<Filter><ObjectSizeLessThan\n>1</ObjectSizeLessThan></Filter>":                      http.StatusNotImplemented,
	} {
		body := "<LifecycleConfiguration><Rule><ID>all</ID><Status>Enabled</Status>" + filter + "<Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>"
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, front.URL+"/"+name+"?lifecycle", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		sum := fmt.Sprintf("%x", sha256.Sum256([]byte(body)))
		req.Header.Set("X-Amz-Content-Sha256", sum)
		if err := v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: admin.AccessKeyID, SecretAccessKey: admin.SecretAccessKey}, req, sum, "s3", "us-east-1", time.Now()); err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(res.Body)
		if err := errors.Join(err, res.Body.Close()); err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != want {
			t.Errorf("a rule for %q: %s %s, want %d", filter, res.Status, answer, want)
		}
	}
}
