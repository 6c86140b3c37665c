// Package credentials manages the accounts of one machine: the administrator, whose key signs every request
// to `stagelog up`, and one reader per AWS account in the pipeline, which may only list and read the bucket.
//
// The accounts are stored in the two files that every AWS SDK and the AWS CLI read, `credentials` and
// `config`. They are generated once and kept, so that configured clients keep working. Both files have mode
// 0600.
package credentials

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"

	"github.com/stagelog/stagelog/internal/durable/atomicfile"
)

// AdminProfile is the AWS profile of the administrator.
const AdminProfile = "stagelog"

// Account is one pair of credentials and the AWS account that they belong to.
type Account struct {
	Profile         string // the AWS profile that holds the credentials
	AccessKeyID     string // 20 characters, like AWS's
	SecretAccessKey string // 40 characters, like AWS's
	AccountID       string // 12 digits
	Admin           bool   // has all permissions; a reader has those of the bucket policy
}

// ARN returns the ARN of the account's root user, as in the Principal of a bucket policy.
func (a Account) ARN() string { return "arn:aws:iam::" + a.AccountID + ":root" }

// String describes the account without its secret.
func (a Account) String() string {
	return fmt.Sprintf("%s (%s, account %s)", a.Profile, a.AccessKeyID, a.AccountID)
}

// Config configures the accounts and how their clients reach the machine.
type Config struct {
	Dir       string   // of the two files; created if missing
	AccountID string   // the administrator's account
	Region    string   // written to the profiles
	Endpoint  string   // written to the profiles as endpoint_url
	Readers   []string // account ids, 12 digits each
}

// Accounts holds the accounts of one machine. It is immutable.
type Accounts struct {
	Admin   Account
	Readers []Account // in the order of Config.Readers
	byKey   map[string]Account
}

// Open reads the accounts from cfg.Dir, generates the missing ones, and writes both files if anything
// changed.
func Open(cfg Config) (*Accounts, error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("create folder for credentials: %w", err)
	}
	known, err := readCredentials(filepath.Join(cfg.Dir, "credentials"))
	if err != nil {
		return nil, err
	}
	a := &Accounts{byKey: map[string]Account{}}
	a.Admin = account(known, AdminProfile, cfg.AccountID)
	a.Admin.Admin = true
	a.byKey[a.Admin.AccessKeyID] = a.Admin
	for _, id := range cfg.Readers {
		r := account(known, ReaderProfile(id), id)
		a.Readers = append(a.Readers, r)
		a.byKey[r.AccessKeyID] = r
	}
	if err := a.write(cfg); err != nil {
		return nil, err
	}
	return a, nil
}

// ReaderProfile returns the AWS profile of the reader of an account.
func ReaderProfile(accountID string) string { return "reader-" + accountID }

// ByAccessKey returns the account with the access key id.
func (a *Accounts) ByAccessKey(id string) (Account, bool) {
	acc, ok := a.byKey[id]
	return acc, ok
}

func account(known map[string][2]string, profile, accountID string) Account {
	acc := Account{Profile: profile, AccountID: accountID}
	if pair, ok := known[profile]; ok && pair[0] != "" && pair[1] != "" {
		acc.AccessKeyID, acc.SecretAccessKey = pair[0], pair[1]
		return acc
	}
	// AWS's access key ids are AKIA and 16 characters of base 32.
	acc.AccessKeyID = "AKIA" + random(16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
	acc.SecretAccessKey = random(40, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
	return acc
}

func random(n int, alphabet string) string {
	var b strings.Builder
	for range n {
		i, err := rand.Int(rand.Reader, big.NewInt(int64(len(alphabet))))
		if err != nil {
			panic("BUG: crypto/rand failed: " + err.Error())
		}
		b.WriteByte(alphabet[i.Int64()])
	}
	return b.String()
}

// readCredentials reads the pairs of key id and secret by profile. A missing file has none.
func readCredentials(path string) (map[string][2]string, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read credentials: %w", err)
	}
	pairs := map[string][2]string{}
	profile := ""
	for n, line := range strings.Split(string(data), "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[' && line[len(line)-1] == ']':
			profile = line[1 : len(line)-1]
		default:
			key, value, ok := strings.Cut(line, "=")
			if !ok || profile == "" {
				return nil, fmt.Errorf("%s:%d: expected [profile] or key = value; remove the file to generate new credentials", path, n+1)
			}
			pair := pairs[profile]
			switch strings.TrimSpace(key) {
			case "aws_access_key_id":
				pair[0] = strings.TrimSpace(value)
			case "aws_secret_access_key":
				pair[1] = strings.TrimSpace(value)
			}
			pairs[profile] = pair
		}
	}
	return pairs, nil
}

func (a *Accounts) write(cfg Config) error {
	var credentials, config strings.Builder
	credentials.WriteString("# Generated by stagelog for this machine only. Keep it private.\n")
	config.WriteString("# Generated by stagelog. Use it with AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE.\n")
	for _, acc := range append([]Account{a.Admin}, a.Readers...) {
		fmt.Fprintf(&credentials, "\n[%s]\naws_access_key_id = %s\naws_secret_access_key = %s\n", acc.Profile, acc.AccessKeyID, acc.SecretAccessKey)
		fmt.Fprintf(&config, "\n[profile %s]\nregion = %s\nendpoint_url = %s\noutput = json\ns3 =\n  addressing_style = path\n", acc.Profile, cfg.Region, cfg.Endpoint)
	}
	for name, content := range map[string]string{"credentials": credentials.String(), "config": config.String()} {
		path := filepath.Join(cfg.Dir, name)
		if old, err := os.ReadFile(path); err == nil && string(old) == content {
			continue
		}
		if err := atomicfile.WriteFile(path, []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}
