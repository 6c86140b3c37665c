package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stagelog/stagelog/internal/lake"
)

// Objects deleted from the bucket stay in the lake unless --forget is given.
func TestForgetDeletedObjects(t *testing.T) {
	now := time.Now().UTC()
	key := func(ago time.Duration, name string) string {
		return "logs/" + now.Add(-ago).Format("2006/01/02/15/") + name
	}
	line := func(id string, ago time.Duration) string {
		return fmt.Sprintf(`{"request_id":%q,"customer":"Acme","request_time_epoch":"%d"}`, id, now.Add(-ago).UnixMilli())
	}
	const day = 24 * time.Hour
	old, gone, stays := key(40*day, "old"), key(20*day, "gone"), key(time.Hour, "stays")
	s3 := newFakeS3(t, "acme-logs", map[string]string{old: line("r1", 40*day), gone: line("r2", 20*day), stays: line("r3", time.Hour), "other/x": line("r4", 0)})
	const count = "SELECT count(*) AS n FROM requests"
	steps := []struct {
		name   string
		remove []string
		args   []string
		n      int
		text   string // "" for no message about dropped objects
	}{
		{name: "all objects", args: []string{"--bucket", "s3://acme-logs", "--from", "60d"}, n: 4},
		{name: "a prefix only", args: []string{"--bucket", "s3://acme-logs/logs/", "--from", "60d"}, n: 3},
		{name: "kept by default", remove: []string{old, gone}, args: []string{"--bucket", "s3://acme-logs/logs/", "--from", "60d"}, n: 3},
		{name: "another prefix", args: []string{"--bucket", "s3://acme-logs/lgos/", "--from", "60d", "--forget"}, n: 0},
		{name: "the last 30 days", args: []string{"--bucket", "s3://acme-logs/logs/", "--forget"}, n: 2, text: "dropped 1 object no longer in the bucket\n"},
		{name: "again", args: []string{"--bucket", "s3://acme-logs/logs/", "--forget"}, n: 2},
		{name: "an earlier start", args: []string{"--bucket", "s3://acme-logs/logs/", "--from", "60d", "--forget"}, n: 1, text: "dropped 1 object no longer in the bucket\n"},
		{name: "no objects left", remove: []string{stays}, args: []string{"--bucket", "s3://acme-logs/logs/", "--forget"}, n: 1,
			text: "dropped nothing: no objects are left below s3://acme-logs/logs/, so the imported ones are kept (1 object); to drop them, delete " + s3.lake(t, "logs/")},
	}
	for _, step := range steps {
		s3.remove(step.remove...)
		stdout, stderr, code := s3.run(t, append([]string{"query", count, "--json"}, step.args...)...)
		if want := fmt.Sprintf("[\n{\"n\":%d}\n]\n", step.n); code != exitOK || stdout != want {
			t.Errorf("%s = %d: %q, want %q\n%s", step.name, code, stdout, want, stderr)
		}
		if step.text == "" && strings.Contains(stderr, "dropped") || !strings.Contains(stderr, step.text) {
			t.Errorf("%s prints %q, want %q", step.name, stderr, step.text)
		}
	}
	for _, args := range [][]string{{"report"}, {"report", "invoice", "--month", "2026-10", "--prices", "p"}, {"report", "coverage"}, {"report", "reattribute"}, {"console"}, {"query", count}} {
		if _, stderr, code := s3.run(t, append(args, "--no-import", "--forget")...); code == exitOK || !strings.Contains(stderr, "no-import") {
			t.Errorf("%v --no-import --forget = %d: %s", args, code, stderr)
		}
	}
}

// A bucket of another pipeline is imported into the user's cache directory, for the owner only; nothing is left where the command ran.
func TestForeignLakeIsInUserCache(t *testing.T) {
	f := newFakeS3(t, "acme-logs", map[string]string{"logs/a": fmt.Sprintf(`{"request_id":"r1","customer":"Acme","request_time_epoch":"%d"}`, time.Now().UnixMilli())})
	work := t.TempDir()
	t.Chdir(work)
	for name, file := range map[string]string{"no pipeline": "", "another pipeline": "name: other\nbucket: other-logs\n", "another prefix": "name: acme\nbucket: acme-logs\ndeliver: {prefix: delivered/}\n"} {
		if file != "" {
			write(t, "stagelog.yaml", file)
		}
		stdout, stderr, code := f.run(t, "report", "--csv", "--bucket", "s3://acme-logs/logs/")
		if code != exitOK || !strings.Contains(stdout, "Acme") {
			t.Errorf("%s: report = %d: %s%s", name, code, stdout, stderr)
		}
		if err := os.RemoveAll("stagelog.yaml"); err != nil {
			t.Fatal(err)
		}
		if left, err := os.ReadDir("."); err != nil || len(left) > 0 {
			t.Errorf("%s: report left %v (%v)", name, left, err)
		}
		for path, want := range map[string]os.FileMode{f.lake(t, "logs/"): 0o600, filepath.Dir(f.lake(t, "logs/")): os.ModeDir | 0o700} {
			if info, err := os.Stat(path); err != nil || info.Mode() != want {
				t.Errorf("%s: %s: %v (%v), want mode %v", name, path, info.Mode(), err, want)
			}
		}
	}
}

// The lake of the pipeline in this directory is in its state directory. It has the name of the endpoint unless that is AWS's.
func TestPipelineLakeIsInStateDirectory(t *testing.T) {
	f := newFakeS3(t, "acme-logs", map[string]string{"logs/a": fmt.Sprintf(`{"request_id":"r1","customer":"Acme","request_time_epoch":"%d"}`, time.Now().UnixMilli())})
	write(t, "stagelog.yaml", "name: acme\nbucket: acme-logs\n")
	report := func(want string) {
		t.Helper()
		if stdout, stderr, code := f.run(t, "report", "--csv"); code != exitOK || !strings.Contains(stdout, "Acme") {
			t.Errorf("report = %d: %s%s", code, stdout, stderr)
		}
		if _, err := os.Stat(filepath.Join(".stagelog", "lake", want)); err != nil {
			t.Error(err)
		}
	}
	report(lake.FileName("acme-logs", "", f.endpoint))
	write(t, filepath.Join(".stagelog", "credentials"), "[stagelog]\naws_access_key_id = AKIAFAKEFAKEFAKEFAKE\n") // as `up` writes it
	report("acme-logs@local.duckdb")
	if _, err := os.Stat(f.lake(t, "logs/")); err == nil {
		t.Error("the pipeline's lake is in the user's cache directory too")
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}
