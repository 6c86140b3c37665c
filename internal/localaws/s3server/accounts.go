package s3server

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"

	"github.com/versity/versitygw/auth"

	"github.com/stagelog/stagelog/internal/delivery/bucket"
	"github.com/stagelog/stagelog/internal/record"
)

// accounts defines for the S3 server which accounts may sign requests, and which principals a policy may name.
// The admin has all permissions; other accounts have those that a policy grants to their ARN. It is immutable.
type accounts struct {
	auth.IAMServiceSingle // its administration methods return errors: that interface is not supported
	byKey                 map[string]auth.Account
	arn                   *regexp.Regexp
}

var (
	_ auth.IAMService        = (*accounts)(nil)
	_ auth.PrincipalResolver = (*accounts)(nil)
)

func newAccounts(admin Account, readers []Account) *accounts {
	a := &accounts{
		byKey: map[string]auth.Account{},
		arn:   regexp.MustCompile(`^arn:aws:iam::[0-9]{12}:(root|(role|user)/[\w+=,.@/-]{1,512})$`),
	}
	for _, r := range readers {
		a.byKey[r.AccessKeyID] = auth.Account{Access: r.AccessKeyID, Secret: r.SecretAccessKey, Role: auth.RoleUser, Arn: r.ARN}
	}
	a.byKey[admin.AccessKeyID] = auth.Account{Access: admin.AccessKeyID, Secret: admin.SecretAccessKey, Role: auth.RoleAdmin, Arn: admin.ARN}
	return a
}

// GetUserAccount returns the account with the access key.
func (a *accounts) GetUserAccount(access string) (auth.Account, error) {
	acc, ok := a.byKey[access]
	if !ok {
		return auth.Account{}, auth.ErrNoSuchUser
	}
	return acc, nil
}

// ResolveAccounts returns the unknown access keys.
func (a *accounts) ResolveAccounts(keys []string) ([]string, error) {
	var missing []string
	for _, k := range keys {
		if _, ok := a.byKey[k]; !ok {
			missing = append(missing, k)
		}
	}
	return missing, nil
}

// ResolvePrincipals returns the principals that are invalid in a policy. Unlike AWS it does not check that the
// account exists, so that policies for AWS can be tested here.
func (a *accounts) ResolvePrincipals(principals []string) ([]string, error) {
	var invalid []string
	for _, p := range principals {
		if !a.arn.MatchString(p) {
			invalid = append(invalid, p)
		}
	}
	return invalid, nil
}

// isReaderPolicy reports whether text is a policy that consists only of statements that earlier versions of `up` wrote for readers.
func isReaderPolicy(text string) bool {
	var p struct{ Statement []struct{ Sid string } }
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return false
	}
	for _, s := range p.Statement {
		if s.Sid != "ReaderList" && s.Sid != "ReaderLocation" && s.Sid != "ReaderGet" {
			return false
		}
	}
	return len(p.Statement) > 0
}

// DropReaderPolicy deletes the policy of a bucket if an earlier version of `up` wrote it for readers. It keeps any other policy.
func DropReaderPolicy(ctx context.Context, objects *bucket.Client, name string) error {
	text, err := objects.Policy(ctx, name)
	switch {
	case errors.Is(err, record.ErrNotFound):
		return nil
	case err != nil:
		return err
	case !isReaderPolicy(text):
		return nil
	}
	return objects.DeletePolicy(ctx, name)
}
