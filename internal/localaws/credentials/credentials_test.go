package credentials_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stagelog/stagelog/internal/localaws/credentials"
)

func open(t *testing.T, dir string, readers ...string) *credentials.Accounts {
	t.Helper()
	a, err := credentials.Open(credentials.Config{Dir: dir, AccountID: "000000000000", Region: "us-east-1", Endpoint: "http://127.0.0.1:4580", Readers: readers})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAccountsPersist(t *testing.T) {
	dir := t.TempDir()
	first := open(t, dir, "111122223333")
	second := open(t, dir, "111122223333", "444455556666")
	if first.Admin != second.Admin {
		t.Error("the administrator's credentials changed on the second start")
	}
	if first.Readers[0] != second.Readers[0] {
		t.Error("the reader's credentials changed on the second start")
	}
	if second.Readers[1].AccessKeyID == second.Readers[0].AccessKeyID {
		t.Error("two readers share one key")
	}
	got, ok := second.ByAccessKey(second.Readers[1].AccessKeyID)
	if !ok || got.ARN() != "arn:aws:iam::444455556666:root" || got.Admin {
		t.Errorf("ByAccessKey = %v, %v; want the reader of 444455556666", got, ok)
	}
}

func TestCredentialFilesPrivateAndSecretHidden(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir, "111122223333")
	for _, name := range []string{"credentials", "config"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", name, info.Mode().Perm())
		}
	}
	if s := fmt.Sprintf("%v %s", a.Admin, a.Readers[0]); strings.Contains(s, a.Admin.SecretAccessKey) || strings.Contains(s, a.Readers[0].SecretAccessKey) {
		t.Errorf("printing an account shows its secret: %s", s)
	}
}

func TestInvalidCredentialsNameFileAndLine(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "credentials"), []byte("[stagelog]\nnonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := credentials.Open(credentials.Config{Dir: dir, AccountID: "000000000000"})
	if err == nil || !strings.Contains(err.Error(), "credentials:2:") {
		t.Errorf("Open = %v, want the line of the mistake", err)
	}
}
