package provision

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/provision/policy"
)

const testKey = "arn:aws:kms:eu-west-1:123456789012:key/0a0a0a0a-1111-2222-3333-444444444444"

// keyring is an AWS KMS with one key.
type keyring struct {
	manager, state, spec, policy string
	code                         string // error of every call
}

func (k keyring) RoundTrip(req *http.Request) (*http.Response, error) {
	operation, ok := strings.CutPrefix(req.Header.Get("X-Amz-Target"), "TrentService.")
	switch {
	case !ok:
		return http.DefaultTransport.RoundTrip(req)
	case k.code != "":
		return jsonAnswer(req, http.StatusBadRequest, `{"__type":"`+k.code+`","message":"no"}`), nil
	case operation == "DescribeKey":
		body, err := json.Marshal(map[string]any{"KeyMetadata": map[string]string{"Arn": testKey, "KeyManager": k.manager, "KeyState": k.state, "KeySpec": k.spec, "KeyId": "0a0a0a0a"}})
		return jsonAnswer(req, http.StatusOK, string(body)), err
	}
	body, err := json.Marshal(map[string]string{"Policy": k.policy})
	return jsonAnswer(req, http.StatusOK, string(body)), err
}

const accountUsesKey = `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:root"},"Action":"kms:*","Resource":"*"}`

// Plan checks that the roles and the readers may use a key, refuses one that cannot work, and prints the statements that lack.
func TestKeyJudgedByPlan(t *testing.T) {
	a := newBucketAccount(t)
	a.create()
	document := func(statements ...string) string {
		return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
	}
	statements := wantOf(a.s).KeyPolicy.JSON()
	for _, tt := range []struct {
		name                    string
		key                     keyring
		keep                    bool // otherwise the key is in stagelog.yaml
		refused, warns, unknown string
	}{
		{name: "all may use it", key: keyring{policy: statements}},
		{name: "readers may not", key: keyring{policy: document(accountUsesKey)},
			warns: "the policy of the key " + testKey + " does not allow the reader 111122223333 to use it; its owner must add these statements, or remove the ones that deny it:\n[\n  {\n    \"Sid\": \"StagelogKeyRoles\","},
		{name: "no principal may", key: keyring{policy: document()}, warns: "does not allow the role " + a.s.FirehoseRole() + ", the role " + a.s.FunctionRole() + ", the reader 111122223333 to use it"},
		{name: "denied", key: keyring{policy: document(accountUsesKey, `{"Effect":"Deny","Principal":"*","Action":"kms:GenerateDataKey","Resource":"*"}`)}, warns: "does not allow the role " + a.s.FirehoseRole()},
		{name: "disabled", key: keyring{state: "Disabled"}, refused: "the KMS key " + testKey + " is Disabled, so no object could be put: change encryption: in stagelog.yaml, or enable the key"},
		{name: "deleted", key: keyring{code: "NotFoundException"}, refused: "the KMS key " + testKey + " does not exist in eu-west-1, so no object could be put: change encryption: in stagelog.yaml"},
		{name: "asymmetric", key: keyring{spec: "RSA_2048", policy: statements}, refused: "is asymmetric or for HMAC, and S3 uses only symmetric encryption keys"},
		{name: "unreadable", key: keyring{code: "AccessDeniedException"}, unknown: "whether the policy of the key " + testKey + " allows its use is unknown: these credentials lack kms:DescribeKey; it must have these statements, or allow the same:\n[\n"},
		{name: "kept and disabled", keep: true, key: keyring{state: "PendingDeletion"}, warns: "is PendingDeletion, so no object could be put"},
		{name: "kept and managed by AWS", keep: true, key: keyring{manager: "AWS"}, warns: "objects are encrypted with the AWS managed key aws/s3, which only the bucket's account can use, so 111122223333 cannot use them"},
	} {
		settings := &a.s.Pipeline.AWS
		settings.KMSKey, settings.KeepEncryption = testKey, tt.keep
		if tt.keep {
			settings.KMSKey = ""
			a.ok(a.encrypt(testKey))
		}
		if tt.key.manager == "" {
			tt.key.manager = "CUSTOMER"
		}
		if tt.key.state == "" {
			tt.key.state = "Enabled"
		}
		found := readOf(t, a.resource(tt.key))
		refused := ""
		if found.Refusal != nil {
			refused = found.Refusal.Error()
		}
		warnings, notes := strings.Join(found.Warnings, "\n"), strings.Join(found.Notes, "\n")
		for what, texts := range map[string][2]string{"refusal": {tt.refused, refused}, "warnings": {tt.warns, warnings}} {
			if (texts[0] == "") != (texts[1] == "") || !strings.Contains(texts[1], texts[0]) {
				t.Errorf("%s: %s %q, want %q", tt.name, what, texts[1], texts[0])
			}
		}
		if !strings.Contains(notes, tt.unknown) {
			t.Errorf("%s: notes %q, want %q", tt.name, notes, tt.unknown)
		}
	}
	a.s.Pipeline.AWS.KMSKey, a.s.Pipeline.AWS.KeepEncryption = strings.Replace(testKey, "eu-west-1", "us-east-1", 1), false
	if found := readOf(t, a.resource(nil)); found.Refusal == nil || !strings.Contains(found.Refusal.Error(), "is in us-east-1, and S3 accepts only keys in the bucket's Region, eu-west-1") {
		t.Errorf("a key in another Region: %v", found.Refusal)
	}
}

// With a key in stagelog.yaml, the bucket's default is that key, Firehose names it, and both roles may use it.
func TestBucketWithKey(t *testing.T) {
	a := newBucketAccount(t)
	a.s.Pipeline.AWS.KMSKey = testKey
	enabled := keyring{manager: "CUSTOMER", state: "Enabled", policy: wantOf(a.s).KeyPolicy.JSON()}
	r := a.resource(enabled)
	applyTo(t, r)
	if found := readOf(t, r); len(found.Changed()) > 0 || len(found.Warnings) > 0 {
		t.Errorf("Read after Apply differs in %v, warnings %q", found.Changed(), found.Warnings)
	}
	rule, err := r.encryptionRule(t.Context())
	if err != nil || encryptedText(*rule.ApplyServerSideEncryptionByDefault) != "aws:kms, key "+testKey || rule.BucketKeyEnabled == nil || !*rule.BucketKeyEnabled {
		t.Errorf("encryption of the bucket: %+v, %v", rule, err)
	}
	d := wantOf(a.s)
	if e := d.Destination.EncryptionConfiguration; e == nil || *e.KMSEncryptionConfig.AWSKMSKeyARN != testKey {
		t.Errorf("encryption of the destination: %+v", e)
	}
	for _, role := range []string{a.s.FirehoseRole(), a.s.FunctionRole()} {
		permissions := d.FirehoseRole.Permissions
		if role == a.s.FunctionRole() {
			permissions = d.FunctionRole.Permissions
		}
		for _, encrypted := range []string{a.s.BucketARN(), a.s.BucketARN() + "/logs/object"} {
			use := KeyUse(t.Context(), "eu-west-1", "123456789012", encrypted)
			if diff := cmp.Diff("s3.eu-west-1.amazonaws.com", use["kms:ViaService"][0]); diff != "" {
				t.Errorf("service of the key's use (-want +got):\n%s", diff)
			}
			for _, action := range []string{"kms:GenerateDataKey", "kms:Decrypt"} {
				req := policy.Request{Principal: a.s.RoleARN(role), Action: action, Resource: testKey, Context: use}
				if decision, _ := policy.Evaluate([]policy.Document{permissions}, req); decision != policy.Allow {
					t.Errorf("%s may not use %s for %s", role, action, encrypted)
				}
				req.Context = KeyUse(t.Context(), "eu-west-1", "123456789012", "arn:aws:s3:::another/object")
				if decision, _ := policy.Evaluate([]policy.Document{permissions}, req); decision == policy.Allow {
					t.Errorf("%s may use %s for another bucket", role, action)
				}
			}
		}
	}
}
