package provision

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/testenv"
)

// planOf returns the plan for the bucket, its policy and the log groups only.
func planOf(t *testing.T, s *desired.Spec, c *Clients) *Plan {
	t.Helper()
	resources := storage(s, c)
	found, err := readAll(t.Context(), resources, nil)
	if err != nil {
		t.Fatal(err)
	}
	plan := &Plan{}
	for i, r := range resources {
		plan.Steps = append(plan.Steps, makeStep(r, found[i], nil))
	}
	return plan
}

func storage(s *desired.Spec, c *Clients) []Resource {
	return []Resource{newBucket(wantOf(s), c), newBucketPolicy(wantOf(s), c),
		newLogGroup(s, wantOf(s).StreamLog, c), newLogGroup(s, wantOf(s).FunctionLog, c)}
}

func actions(p *Plan) (lines []string) {
	for _, s := range p.Steps {
		lines = append(lines, string(s.Action)+" "+s.Kind)
	}
	return lines
}

func TestStorageResumesAfterKill(t *testing.T) {
	testenv.Need(t, testenv.Interop)
	a := newBucketAccount(t)
	clients := func(through http.RoundTripper) *Clients {
		cfg := a.Config(through)
		cfg.RetryMaxAttempts = 1
		return NewClients(cfg)
	}
	execute := func(c *Clients) error {
		return planOf(t, a.s, c).Execute(t.Context(), nil, func(Event) {})
	}
	states := func() (all []State) {
		for _, r := range storage(a.s, clients(nil)) {
			all = append(all, readOf(t, r))
		}
		return all
	}
	first := planOf(t, a.s, clients(nil))
	if diff := cmp.Diff([]string{"create S3 bucket", "create S3 bucket policy", "create CloudWatch log group", "create CloudWatch log group"}, actions(first)); diff != "" {
		t.Errorf("first plan (-want +got):\n%s", diff)
	}
	whole := &counter{next: http.DefaultTransport}
	a.ok(execute(clients(whole)))
	if todo := planOf(t, a.s, clients(nil)).ToDo(); todo != 0 {
		t.Errorf("after execution there are %d steps to do", todo)
	}
	want := states()
	for after := 1; after < len(whole.writes); after++ {
		a.Reset()
		if err := execute(clients(&counter{next: http.DefaultTransport, until: after})); err == nil {
			t.Fatalf("execution interrupted after %s succeeded", whole.writes[after-1])
		}
		if blocked := planOf(t, a.s, clients(nil)).Blocked(); len(blocked) > 0 {
			t.Errorf("interrupted after %s, the next plan has the blocked steps %v", whole.writes[after-1], blocked)
		}
		a.ok(execute(clients(nil)))
		if diff := cmp.Diff(want, states()); diff != "" {
			t.Errorf("interrupted after %s and repeated (-want +got):\n%s", whole.writes[after-1], diff)
		}
	}
}
