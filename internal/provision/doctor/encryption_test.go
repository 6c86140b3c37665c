package doctor_test

import (
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

// A keyring is an AWS KMS with one key.
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
		return answer(http.StatusForbidden, `{"__type":"AccessDeniedException","message":"not signed for KMS"}`), nil
	}
	var out any
	switch {
	case operation == "DescribeKey":
		out = map[string]any{"KeyMetadata": map[string]string{"Arn": testKey, "KeyManager": k.manager, "KeyState": k.state}}
	case k.denied:
		return answer(http.StatusBadRequest, `{"__type":"AccessDeniedException","message":"not authorized"}`), nil
	default:
		out = map[string]string{"Policy": k.policy}
	}
	body, err := json.Marshal(out)
	return answer(http.StatusOK, string(body)), err
}

func TestWhoMayUseTheKey(t *testing.T) {
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
		says                    []string
	}{
		{name: "both may", key: keyring{policy: document(account, reader)}, identity: true},
		{name: "the key's policy names the role", key: keyring{policy: document(role, reader)}},
		{name: "the account may, and the role not", key: keyring{policy: document(account, reader)}, failed: []string{"bucket: encryption"}, says: []string{"kms:GenerateDataKey on " + testKey, "put-role-policy"}},
		{name: "the role may, and the key's policy not", key: keyring{policy: document(reader)}, identity: true, failed: []string{"bucket: encryption"}},
		{name: "the reader may not", key: keyring{policy: document(account)}, identity: true, failed: []string{"readers: key"}, says: []string{"kms:Decrypt", "put-key-policy"}},
		{name: "a bucket key has the bucket as its context", key: keyring{policy: document(account, reader)}, identity: true, bucketKey: true, failed: []string{"bucket: encryption"}},
		{name: "disabled", key: keyring{state: "Disabled", policy: document(account, reader)}, identity: true, failed: []string{"bucket: encryption"}, says: []string{"is Disabled"}},
		{name: "AWS's own", key: keyring{manager: "AWS"}, failed: []string{"readers: key"}, says: []string{"nobody can edit its policy"}},
		{name: "its policy may not be read", key: keyring{denied: true}, identity: true, skipped: []string{"bucket: encryption", "readers: key"}},
		{name: "nor does the role's allow it", key: keyring{denied: true}, warned: []string{"bucket: encryption"}, skipped: []string{"readers: key"}},
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
			f := examine(t, provision.NewClients(s.Config(tc.key)), b.own(), doctor.Options{})
			for status, want := range map[doctor.Status][]string{doctor.Failed: tc.failed, doctor.Warning: tc.warned, doctor.Skipped: tc.skipped} {
				if diff := cmp.Diff(want, f.with(status)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", status, diff)
				}
			}
			if len(tc.failed) > 0 {
				f.wants(t, tc.failed[0], doctor.Failed, tc.says...)
			}
		})
	}
}
