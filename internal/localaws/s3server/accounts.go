package s3server

import (
	"regexp"

	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/s3err"
)

// accounts tells the S3 server who may sign and what a policy may name. The admin is
// root; every other account may do what a policy grants to its ARN. It does not change
// while the server runs.
type accounts struct {
	byKey map[string]auth.Account
	arn   *regexp.Regexp
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

// GetUserAccount finds who signs with the access key.
func (a *accounts) GetUserAccount(access string) (auth.Account, error) {
	acc, ok := a.byKey[access]
	if !ok {
		return auth.Account{}, auth.ErrNoSuchUser
	}
	return acc, nil
}

// ResolveAccounts returns the access keys that are not known.
func (a *accounts) ResolveAccounts(keys []string) ([]string, error) {
	var missing []string
	for _, k := range keys {
		if _, ok := a.byKey[k]; !ok {
			missing = append(missing, k)
		}
	}
	return missing, nil
}

// ResolvePrincipals returns the names that a policy may not name. Unlike AWS it does not
// ask whether the account exists: a policy written here is to work there.
func (a *accounts) ResolvePrincipals(principals []string) ([]string, error) {
	var invalid []string
	for _, p := range principals {
		if !a.arn.MatchString(p) {
			invalid = append(invalid, p)
		}
	}
	return invalid, nil
}

// ListUserAccounts lists nobody: the admin interface of the server is not ours.
func (a *accounts) ListUserAccounts() ([]auth.Account, error) { return nil, notOurs() }

// CreateAccount is refused.
func (a *accounts) CreateAccount(auth.Account) error { return notOurs() }

// UpdateUserAccount is refused.
func (a *accounts) UpdateUserAccount(string, auth.MutableProps) error { return notOurs() }

// DeleteUserAccount is refused.
func (a *accounts) DeleteUserAccount(string) error { return notOurs() }

// Shutdown has nothing to stop.
func (a *accounts) Shutdown() error { return nil }

func notOurs() error { return s3err.GetAPIError(s3err.ErrAdminMethodNotSupported) }
