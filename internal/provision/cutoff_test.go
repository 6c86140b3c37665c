package provision

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/aws-sdk-go-v2/service/glue/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/provision/moto"
	"github.com/stagelog/stagelog/internal/testenv"
)

// wire is a transport that records the calls to IAM, Lambda and Glue that change something.
type wire struct {
	cut  int // number of writes after which all calls fail; 0 for no limit
	lose int // number of the write whose response is lost, from 1

	mu     sync.Mutex // held during a call, because plan reads resources in parallel
	writes []string
}

var errLost = errors.New("the response was lost")

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut > 0 && len(w.writes) == w.cut {
		return nil, errCut
	}
	name, err := writeName(r)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || name == "" {
		return res, err
	}
	w.writes = append(w.writes, name)
	if len(w.writes) == w.lose {
		return nil, errors.Join(errLost, res.Body.Close())
	}
	return res, nil
}

// writeName returns the name of a call that changes something, like "CreateRole" or "PUT code",
// and "" for one that reads. The request body can still be read afterwards.
func writeName(r *http.Request) (string, error) {
	if r.Header.Get("Content-Type") == "application/x-www-form-urlencoded" {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return "", err
		}
		r.Body = io.NopCloser(bytes.NewReader(text))
		form, err := url.ParseQuery(string(text))
		if action := form.Get("Action"); !strings.HasPrefix(action, "Get") && !strings.HasPrefix(action, "List") && !strings.HasPrefix(action, "Describe") {
			return action, err
		}
		return "", err
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return "", nil
	}
	if _, action, _ := strings.Cut(r.Header.Get("X-Amz-Target"), "."); strings.HasPrefix(action, "Describe") || strings.HasPrefix(action, "List") {
		return "", nil
	}
	if _, action, ok := strings.Cut(r.Header.Get("X-Amz-Target"), "AWSGlue."); ok {
		if strings.HasPrefix(action, "Get") {
			return "", nil
		}
		return action, nil
	}
	if strings.Contains(r.URL.Path, "/tags/") {
		return r.Method + " tags", nil
	}
	return r.Method + " " + path.Base(r.URL.Path), nil
}

// computing returns the roles, the function and the catalog, in the order of Resources.
func computing(s *desired.Spec, c *Clients) []Resource {
	return []Resource{newFunctionRole(s, c), newFunction(wantOf(s), c), newDatabase(wantOf(s), c), newTable(wantOf(s), c), newFirehoseRole(s, c)}
}

// deployComputing deploys with AdoptFlag.
func deployComputing(t *testing.T, s *desired.Spec, c *Clients) error {
	t.Helper()
	given := []Flag{AdoptFlag}
	plan := &Plan{}
	for _, r := range computing(s, c) {
		found, err := r.Read(t.Context())
		if err != nil {
			return err
		}
		plan.Steps = append(plan.Steps, makeStep(r, found, given))
	}
	return plan.Execute(t.Context(), given, func(Event) {})
}

func destroyComputing(t *testing.T, s *desired.Spec, c *Clients) error {
	t.Helper()
	var removals []Removal
	for _, r := range slices.Backward(computing(s, c)) {
		found, err := r.Read(t.Context())
		if err != nil {
			return err
		}
		if found.Exists {
			removals = append(removals, Removal{Kind: r.Kind(), Name: r.Name(), Ours: found.RequiredFlag == NoFlag, Resource: r})
		}
	}
	return Remove(t.Context(), removals, func(Event) {})
}

// spoil changes everything that can be changed by hand, including tags.
func spoil(t *testing.T, s *desired.Spec, c *Clients) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{s.FunctionRole(), s.FirehoseRole()} {
		_, err := c.IAM.DeleteRolePolicy(t.Context(), &iam.DeleteRolePolicyInput{RoleName: &name, PolicyName: aws.String(desired.RolePolicy)})
		must(err)
		_, err = c.IAM.UpdateAssumeRolePolicy(t.Context(), &iam.UpdateAssumeRolePolicyInput{RoleName: &name, PolicyDocument: aws.String(theirTrust)})
		must(err)
		_, err = c.IAM.UntagRole(t.Context(), &iam.UntagRoleInput{RoleName: &name, TagKeys: []string{desired.OwnerTag}})
		must(err)
	}
	_, err := c.Lambda.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String(s.Function()), MemorySize: aws.Int32(1024), Timeout: aws.Int32(3)})
	must(err)
	_, err = c.Lambda.UpdateFunctionCode(t.Context(), &lambda.UpdateFunctionCodeInput{FunctionName: aws.String(s.Function()), ZipFile: someZip(t, "theirs")})
	must(err)
	_, err = c.Lambda.UntagResource(t.Context(), &lambda.UntagResourceInput{Resource: aws.String(s.FunctionARN()), TagKeys: []string{desired.OwnerTag}})
	must(err)
	database := aws.String(s.Pipeline.Database())
	_, err = c.Glue.UpdateDatabase(t.Context(), &glue.UpdateDatabaseInput{Name: database, DatabaseInput: &types.DatabaseInput{Name: database}})
	must(err)
	table := wantOf(s).Table
	table.Parameters, table.StorageDescriptor.Columns = nil, table.StorageDescriptor.Columns[1:]
	_, err = c.Glue.UpdateTable(t.Context(), &glue.UpdateTableInput{DatabaseName: database, TableInput: table})
	must(err)
}

// A deploy or destroy that is killed after any of its calls and then repeated has the same result
// as an uninterrupted one. So has one that loses a response and retries.
func TestComputingResumesAfterKill(t *testing.T) {
	testenv.Need(t, testenv.Interop)
	m := moto.Start(t)
	s := parquetSpec(t, "")
	s.Zip = someZip(t, "one")
	clients := func(through http.RoundTripper) *Clients {
		cfg := m.Config(through)
		cfg.Retryer = func() aws.Retryer { return retry.AddWithMaxBackoffDelay(retry.NewStandard(), time.Millisecond) }
		return NewClients(cfg)
	}
	mortal := func(w *wire) *Clients {
		cfg := m.Config(w)
		cfg.RetryMaxAttempts = 1
		return NewClients(cfg)
	}
	states := func() (all []State) {
		for _, r := range computing(s, clients(nil)) {
			all = append(all, mustRead(t, r))
		}
		return all
	}
	tests := []struct {
		name   string
		before []func(*testing.T, *desired.Spec, *Clients) error
		run    func(*testing.T, *desired.Spec, *Clients) error
		calls  int // minimum
	}{
		{"create", nil, deployComputing, 7},
		{"repair", []func(*testing.T, *desired.Spec, *Clients) error{deployComputing, func(t *testing.T, s *desired.Spec, c *Clients) error { spoil(t, s, c); return nil }}, deployComputing, 11},
		{"remove", []func(*testing.T, *desired.Spec, *Clients) error{deployComputing}, destroyComputing, 7},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			run := func(what func(*testing.T, *desired.Spec, *Clients) error, c *Clients) {
				t.Helper()
				if err := what(t, s, c); err != nil {
					t.Fatal(err)
				}
			}
			prepare := func() {
				m.Reset()
				for _, before := range tt.before {
					run(before, clients(nil))
				}
			}
			prepare()
			whole := &wire{}
			run(tt.run, clients(whole))
			want := states()
			if len(whole.writes) < tt.calls {
				t.Fatalf("calls %v, want %d or more", whole.writes, tt.calls)
			}
			for i, call := range whole.writes {
				if n := i + 1; n < len(whole.writes) {
					prepare()
					if err := tt.run(t, s, mortal(&wire{cut: n})); !errors.Is(err, errCut) {
						t.Fatalf("killed after %s (call %d): %v, want errCut", call, n, err)
					}
					run(tt.run, clients(nil))
					if diff := cmp.Diff(want, states()); diff != "" {
						t.Errorf("killed after %s (call %d) and repeated (-want +got):\n%s", call, n, diff)
					}
				}
				prepare()
				run(tt.run, clients(&wire{lose: i + 1}))
				if diff := cmp.Diff(want, states()); diff != "" {
					t.Errorf("without the response to %s (call %d) (-want +got):\n%s", call, i+1, diff)
				}
			}
		})
	}
}

// After a killed first deploy the next one needs no flag.
func TestComputingNeedsNoFlagAfterKill(t *testing.T) {
	m := moto.Start(t)
	s := parquetSpec(t, "")
	s.Zip = someZip(t, "one")
	for n := 1; ; n++ {
		m.Reset()
		cfg := m.Config(&wire{cut: n})
		cfg.RetryMaxAttempts = 1
		err := deployComputing(t, s, NewClients(cfg))
		for _, r := range computing(s, NewClients(m.Config(nil))) {
			if found := mustRead(t, r); found.RequiredFlag != NoFlag {
				t.Errorf("killed after call %d, %s %s requires the flag %s: %s", n, r.Kind(), r.Name(), found.RequiredFlag, found.Reason)
			}
		}
		if err == nil {
			return
		}
	}
}
