package doctor

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go"

	"github.com/stagelog/stagelog/internal/provision/policy"
)

// kmsKey holds the present state of an AWS KMS key.
type kmsKey struct {
	arn     string
	managed bool // by AWS, for this account only; its policy cannot be edited
	state   string
	policy  []policy.Document
	err     error // reading the key or its policy failed
	need    need
}

// readKMSKey describes a key by its id, ARN or alias. Doctor needs only two KMS operations, so
// it uses the SDK's signer instead of adding the KMS client.
func (r *run) readKMSKey(ctx context.Context, region, id string) *kmsKey {
	k := &kmsKey{arn: id}
	var described struct {
		KeyMetadata struct{ Arn, KeyManager, KeyState string }
	}
	if err := r.kms(ctx, region, "DescribeKey", map[string]string{"KeyId": id}, &described); err != nil {
		k.err, k.need = err, need{"kms:DescribeKey", id}
		return k
	}
	k.arn, k.state = described.KeyMetadata.Arn, described.KeyMetadata.KeyState
	k.managed = described.KeyMetadata.KeyManager == "AWS"
	if k.managed {
		return k
	}
	var has struct{ Policy string }
	if err := r.kms(ctx, region, "GetKeyPolicy", map[string]string{"KeyId": k.arn, "PolicyName": "default"}, &has); err != nil {
		k.err, k.need = err, need{"kms:GetKeyPolicy", k.arn}
		return k
	}
	doc, err := policy.Parse(has.Policy)
	if err != nil {
		k.err, k.need = &smithy.GenericAPIError{Code: "MalformedPolicyDocument", Message: err.Error()}, need{"kms:GetKeyPolicy", k.arn}
		return k
	}
	k.policy = []policy.Document{doc}
	return k
}

// allows evaluates the key policy for a principal. delegated reports whether the key policy
// leaves the decision to IAM policies of the principal's account.
func (k *kmsKey) allows(principal, action string, context map[string][]string) (decision policy.Decision, delegated bool) {
	decision, by := policy.Evaluate(k.policy, policy.Request{Principal: principal, Action: action, Resource: k.arn, Context: context})
	if decision != policy.Allow {
		return decision, false
	}
	for _, p := range by.Principal.AWS {
		if p == principal {
			return decision, false
		}
	}
	return decision, !by.Principal.Any
}

// kms calls an AWS KMS operation.
func (r *run) kms(ctx context.Context, region, operation string, in, out any) error {
	o := r.c.STS.Options()
	if o.Credentials == nil {
		return errors.New("no credentials for AWS KMS")
	}
	endpoint := "https://kms." + region + "." + dnsSuffix(r.t.Partition) + "/"
	if o.BaseEndpoint != nil {
		endpoint = *o.BaseEndpoint
	}
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "TrentService."+operation)
	creds, err := o.Credentials.Retrieve(ctx)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(ctx, creds, req, hex.EncodeToString(sum[:]), "kms", region, time.Now()); err != nil {
		return err
	}
	client := o.HTTPClient
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	const largest = 1 << 20
	response, err := io.ReadAll(io.LimitReader(res.Body, largest))
	if err := errors.Join(err, res.Body.Close()); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return kmsError(operation, res.StatusCode, response)
	}
	if err := json.Unmarshal(response, out); err != nil {
		return kmsError(operation, res.StatusCode, nil)
	}
	return nil
}

// kmsError converts an error response of KMS to the SDK's error type.
func kmsError(operation string, status int, response []byte) error {
	var e struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal(response, &e); err != nil || e.Type == "" {
		e.Type, e.Message = "UnknownOperation", fmt.Sprintf("KMS %s returned status %d", operation, status)
	}
	code := e.Type[strings.LastIndexByte(e.Type, '#')+1:]
	return &smithy.OperationError{ServiceID: "KMS", OperationName: operation, Err: &smithy.GenericAPIError{Code: code, Message: e.Message}}
}

func dnsSuffix(partition string) string {
	if partition == "aws-cn" {
		return "amazonaws.com.cn"
	}
	return "amazonaws.com"
}

// keyUse returns the condition keys that S3 sends when it uses a key for an object on behalf of
// account. With a bucket key the encryption context is the bucket's ARN.
func (s *stream) keyUse(account string, bucketKey bool) map[string][]string {
	at := s.objectARN()
	if bucketKey {
		at = s.bucketARN()
	}
	return map[string][]string{
		"kms:ViaService":                   {"s3." + s.region + "." + dnsSuffix(partition(s.arn))},
		"kms:EncryptionContext:aws:s3:arn": {at},
		"kms:CallerAccount":                {account},
		"aws:SecureTransport":              {"true"},
	}
}
