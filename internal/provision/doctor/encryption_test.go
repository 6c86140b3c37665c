package doctor_test

import (
	"debug/elf"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/provision/doctor"
	"github.com/stagelog/stagelog/internal/provision/moto"
)

const testKey = "arn:aws:kms:eu-west-1:123456789012:key/0a0a0a0a-1111-2222-3333-444444444444"

// keyring is an AWS KMS with one key.
type keyring struct {
	manager, state, policy string
	denied                 bool // GetKeyPolicy
}

func (k keyring) RoundTrip(req *http.Request) (*http.Response, error) {
	operation, ok := strings.CutPrefix(req.Header.Get("X-Amz-Target"), "TrentService.")
	if !ok {
		return http.DefaultTransport.RoundTrip(req)
	}
	if !strings.Contains(req.Header.Get("Authorization"), "/eu-west-1/kms/aws4_request") {
		return response(http.StatusForbidden, `{"__type":"AccessDeniedException","message":"not signed for KMS"}`), nil
	}
	var out any
	switch {
	case operation == "DescribeKey":
		out = map[string]any{"KeyMetadata": map[string]string{"Arn": testKey, "KeyManager": k.manager, "KeyState": k.state}}
	case k.denied:
		return response(http.StatusBadRequest, `{"__type":"AccessDeniedException","message":"not authorized"}`), nil
	default:
		out = map[string]string{"Policy": k.policy}
	}
	body, err := json.Marshal(out)
	return response(http.StatusOK, string(body)), err
}

func TestKeyPermissions(t *testing.T) {
	const (
		account  = `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:root"},"Action":"kms:*","Resource":"*"}`
		role     = `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:role/acme-firehose"},"Action":["kms:GenerateDataKey","kms:Decrypt"],"Resource":"*"}`
		reader   = `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"kms:Decrypt","Resource":"*"}`
		identity = `{"Effect":"Allow","Action":["kms:GenerateDataKey","kms:Decrypt"],"Resource":"` + testKey + `","Condition":{"StringLike":{"kms:EncryptionContext:aws:s3:arn":"arn:aws:s3:::acme-api-logs/*"}}}`
	)
	document := func(statements ...string) string {
		return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
	}
	s := moto.Start(t)
	for _, tc := range []struct {
		name                    string
		key                     keyring
		identity                bool // the role's own policies allow it
		bucketKey               bool
		failed, warned, skipped []string
		text                    []string
	}{
		{name: "both allow it", key: keyring{policy: document(account, reader)}, identity: true},
		{name: "key policy names the role", key: keyring{policy: document(role, reader)}},
		{name: "role does not allow it", key: keyring{policy: document(account, reader)}, failed: []string{"bucket: encryption"}, text: []string{"kms:GenerateDataKey on " + testKey, "put-role-policy"}},
		{name: "key policy does not allow it", key: keyring{policy: document(reader)}, identity: true, failed: []string{"bucket: encryption"}},
		{name: "reader not allowed", key: keyring{policy: document(account)}, identity: true, failed: []string{"readers: key"}, text: []string{"kms:Decrypt", "put-key-policy"}},
		{name: "bucket key uses bucket as context", key: keyring{policy: document(account, reader)}, identity: true, bucketKey: true, failed: []string{"bucket: encryption"}},
		{name: "disabled", key: keyring{state: "Disabled", policy: document(account, reader)}, identity: true, failed: []string{"bucket: encryption"}, text: []string{"is Disabled"}},
		{name: "AWS managed key", key: keyring{manager: "AWS"}, failed: []string{"readers: key"}, text: []string{"its policy cannot be edited"}},
		{name: "key policy unreadable", key: keyring{denied: true}, identity: true, skipped: []string{"bucket: encryption", "readers: key"}},
		{name: "key policy unreadable, role does not allow it", key: keyring{denied: true}, warned: []string{"bucket: encryption"}, skipped: []string{"readers: key"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s.Reset()
			b := good()
			if tc.identity {
				b.firehosePolicy = strings.Replace(b.firehosePolicy, `"Statement": [`, `"Statement": [`+identity+`,`, 1)
			}
			b.build(t, provision.NewClients(s.Config(nil)))
			must(b.c.S3.PutBucketEncryption(t.Context(), encryptionOf(s3types.ServerSideEncryptionByDefault{SSEAlgorithm: s3types.ServerSideEncryptionAwsKms, KMSMasterKeyID: aws.String(testKey)}, tc.bucketKey)))(t)
			if tc.key.state == "" {
				tc.key.state = "Enabled"
			}
			if tc.key.manager == "" {
				tc.key.manager = "CUSTOMER"
			}
			c := provision.NewClients(s.Config(tc.key))
			c.Lambda = withCode(t, s, programFor(t, elf.EM_AARCH64)).Lambda
			f := examine(t, c, b.own(), doctor.Options{})
			for status, want := range map[doctor.Status][]string{doctor.Failed: tc.failed, doctor.Warning: tc.warned, doctor.Skipped: tc.skipped} {
				if diff := cmp.Diff(want, f.withStatus(status)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", status, diff)
				}
			}
			if len(tc.failed) > 0 {
				f.expect(t, tc.failed[0], doctor.Failed, tc.text...)
			}
		})
	}
}
