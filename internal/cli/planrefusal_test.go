package cli

import (
	"strings"
	"testing"

	"github.com/stagelog/stagelog/internal/provision"
)

func TestRefusalNamesFlagsAndEffects(t *testing.T) {
	take := provision.TakeFrom("eu-west-1/acme")
	f := planFlags{adopt: true, takeFrom: []string{"us-east-1/third"}}
	err := f.refusal(&env{file: "stagelog.yaml"}, []provision.Step{
		{Kind: "S3 bucket", Name: "acme-logs", RequiredFlag: take, Reason: "it belongs to the pipeline eu-west-1/acme"},
		{Kind: "S3 bucket policy", Name: "acme-logs", RequiredFlag: take, Reason: "its bucket belongs to the pipeline eu-west-1/acme"},
	})
	for want, times := range map[string]int{"(--take-from eu-west-1/acme)": 2, "eu-west-1/acme may stop delivering": 1, "`stagelog deploy --adopt --take-from us-east-1/third`": 1, "bucket: in stagelog.yaml": 1} {
		if got := strings.Count(err.Error(), want); got != times {
			t.Errorf("the error contains %q %d times, want %d:\n%v", want, got, times, err)
		}
	}
}

func TestTakeFromNeedsRegionAndName(t *testing.T) {
	for _, owner := range []string{"*", "acme", ""} {
		if _, stderr, code := call(t, nil, "", "plan", "--take-from", owner); code != exitUsage || !strings.Contains(stderr, "like eu-west-1/acme") {
			t.Errorf("plan --take-from %q ended with %d, want %d\n%s", owner, code, exitUsage, stderr)
		}
	}
}
