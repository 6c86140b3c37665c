package provision

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/provision/moto"
	"github.com/stagelog/stagelog/internal/testenv"
)

// placed is the pipeline acme in one Region, with a bucket of its own and one stage.
type placed struct {
	*stageAccount
	t *testing.T
}

// place returns the pipeline with additional settings in YAML.
func place(t *testing.T, m *moto.Server, region, more string) *placed {
	t.Helper()
	cfg := m.Config(nil)
	cfg.Region = region
	a := &placed{&stageAccount{TB: t, Clients: NewClients(cfg)}, t}
	p, err := config.Parse("stagelog.yaml", []byte("name: acme\nbucket: acme-logs-"+region+"\nstages: ["+a.api("shop", "prod")+"/prod]\n"+more), func(string) string { return "" })
	a.ok(err)
	a.ref = p.Stages[0]
	a.s = &desired.Spec{Pipeline: p, Partition: "aws", Region: region, Account: moto.Account, Architecture: "arm64", Zip: someZip(t, "one")}
	return a
}

// plan returns the plan without flags, and what it does, like "create IAM role x".
func (a *placed) plan() (p *Plan, todo []string) {
	a.t.Helper()
	p, err := MakePlan(a.t.Context(), a.s, a.Clients, nil)
	a.ok(err)
	for _, s := range p.Steps {
		if s.Action != NoOp {
			todo = append(todo, string(s.Action)+" "+s.Kind+" "+s.Name)
		}
	}
	return p, todo
}

// deploy deploys without flags. Afterwards a plan has nothing to do.
func (a *placed) deploy() {
	a.t.Helper()
	p, _ := a.plan()
	a.ok(p.Execute(a.t.Context(), nil, func(Event) {}))
	if _, todo := a.plan(); todo != nil {
		a.t.Errorf("%s: after a deploy the plan has %q", a.s.Region, todo)
	}
}

// destroy removes everything, the bucket included.
func (a *placed) destroy() {
	a.t.Helper()
	removals, err := FindRemovals(a.t.Context(), a.s, a.Clients)
	a.ok(err)
	for _, r := range removals {
		switch r := r.Resource.(type) {
		case *Bucket:
			r.DeleteObjects = true
		case *Stream:
			r.Drain = 0
		}
	}
	a.ok(Remove(a.t.Context(), removals, func(Event) {}))
}

// states returns the state of every resource, with the names of the roles.
func (a *placed) states() (all []State) {
	a.t.Helper()
	s, err := KeepRoles(a.t.Context(), a.s, a.Clients)
	a.ok(err)
	for _, r := range Resources(wantOf(s), a.Clients) {
		state := readOf(a.t, r)
		if !state.Exists || state.RequiredFlag != NoFlag || len(state.Changed()) > 0 {
			a.t.Errorf("%s: %s %s has the state %+v", a.s.Region, r.Kind(), r.Name(), state)
		}
		state.Notes = append(state.Notes, r.Name())
		all = append(all, state)
	}
	return all
}

func (a *placed) roles() (names []string) {
	a.t.Helper()
	out, err := a.IAM.ListRoles(a.t.Context(), &iam.ListRolesInput{})
	a.ok(err)
	for _, r := range out.Roles {
		names = append(names, aws.ToString(r.RoleName))
	}
	slices.Sort(names)
	return names
}

// deployOld deploys as the versions of stagelog did that had no Region in the names of roles.
func (a *placed) deployOld() {
	a.t.Helper()
	old := *a.s
	old.KeptRoles = a.s.OldRoles()
	a.ok(Ensure(a.t.Context(), Resources(wantOf(&old), a.Clients)))
}

func (a *placed) tagRole(name, owner string) {
	a.t.Helper()
	_, err := a.IAM.TagRole(a.t.Context(), &iam.TagRoleInput{RoleName: &name, Tags: []types.Tag{{Key: aws.String(desired.OwnerTag), Value: &owner}}})
	a.ok(err)
}

// The first Region has the roles of an earlier version, which had the same name in every Region.
func TestTwoRegionsOneName(t *testing.T) {
	twoRegions(t, (*placed).deployOld, []string{"stagelog-acme-firehose", "stagelog-acme-function"})
}

func TestTwoRegionsOneNewName(t *testing.T) {
	testenv.Need(t, testenv.Interop)
	twoRegions(t, (*placed).deploy, []string{"stagelog-acme-firehose.eu-west-1", "stagelog-acme-function.eu-west-1"})
}

// twoRegions deploys a pipeline in two Regions without a flag and destroys the second. The first must stay as it is, with its roles.
func twoRegions(t *testing.T, deployFirst func(*placed), roles []string) {
	t.Helper()
	m := moto.Start(t)
	first, second := place(t, m, "eu-west-1", ""), place(t, m, "us-east-1", "")
	deployFirst(first)
	before := first.states()
	second.deploy()
	if _, todo := first.plan(); todo != nil {
		t.Errorf("after the second deploy the plan of the first Region has %q", todo)
	}
	second.destroy()
	if diff := cmp.Diff(before, first.states()); diff != "" {
		t.Errorf("the second Region changed the first (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(roles, first.roles()); diff != "" {
		t.Errorf("roles (-want +got):\n%s", diff)
	}
	first.destroy()
	if roles := first.roles(); roles != nil {
		t.Errorf("after both were destroyed there are roles: %v", roles)
	}
}

// A deploy of an earlier version that was killed after any call is completed without a flag, and both are destroyed as a whole.
func TestOldDeployResumesAfterKill(t *testing.T) {
	testenv.Need(t, testenv.Interop)
	m := moto.Start(t)
	for n := 1; ; n++ {
		m.Reset()
		a := place(t, m, "eu-west-1", "")
		old := *a.s
		old.KeptRoles = a.s.OldRoles()
		w := &wire{cut: n}
		cfg := m.Config(w)
		cfg.RetryMaxAttempts = 1
		if err := Ensure(t.Context(), Resources(wantOf(&old), NewClients(cfg))); err == nil {
			return
		}
		a.deploy()
		a.destroy()
		if roles := a.roles(); roles != nil {
			t.Errorf("killed after %v, completed and destroyed, there are roles: %v", w.writes, roles)
		}
	}
}

// A pipeline whose old roles were given to another Region gets roles of its own, without a flag.
func TestOldRolesOfAnotherRegion(t *testing.T) {
	a := place(t, moto.Start(t), "eu-west-1", "")
	a.deployOld()
	for _, name := range a.s.OldRoles() {
		a.tagRole(name, "us-east-1/acme")
	}
	p, todo := a.plan()
	want := []string{"create IAM role stagelog-acme-function.eu-west-1", "change Lambda function stagelog-acme",
		"create IAM role stagelog-acme-firehose.eu-west-1", "change Firehose delivery stream amazon-apigateway-acme"}
	if diff := cmp.Diff(want, todo); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	a.ok(p.Execute(t.Context(), nil, func(Event) {}))
	if _, todo := a.plan(); todo != nil {
		t.Errorf("after a deploy the plan has %q", todo)
	}
	a.destroy()
	if diff := cmp.Diff([]string{"stagelog-acme-firehose", "stagelog-acme-function"}, a.roles()); diff != "" {
		t.Errorf("roles after destroy (-want +got):\n%s", diff)
	}
}

// An old version was killed after it had made one role: the new one keeps it, and completes the pipeline.
func TestOldRolesAfterKill(t *testing.T) {
	testenv.Need(t, testenv.Interop)
	a := place(t, moto.Start(t), "eu-west-1", "")
	old := *a.s
	old.KeptRoles = a.s.OldRoles()
	a.ok(Ensure(t.Context(), PartsOf(wantOf(&old), a.Clients).Function))
	a.deploy()
	if diff := cmp.Diff([]string{"stagelog-acme-firehose.eu-west-1", "stagelog-acme-function"}, a.roles()); diff != "" {
		t.Errorf("roles (-want +got):\n%s", diff)
	}
	a.ok(DropOldRoles(t.Context(), a.s, a.Clients))
	if diff := cmp.Diff([]string{"stagelog-acme-firehose.eu-west-1"}, a.roles()); diff != "" {
		t.Errorf("roles after DropOldRoles (-want +got):\n%s", diff)
	}
	a.deploy()
	a.destroy()
	if roles := a.roles(); roles != nil {
		t.Errorf("after destroy there are roles: %v", roles)
	}
}

// Without permission to read the old roles, a plan must not create others.
func TestOldRolesUnknown(t *testing.T) {
	m := moto.Start(t)
	a := place(t, m, "eu-west-1", "")
	a.deployOld()
	a.Clients = NewClients(m.Config(roundTrip(func(r *http.Request) (*http.Response, error) {
		if !bodyContains(r, "Action=GetRole&RoleName=stagelog-acme-function&") {
			return http.DefaultTransport.RoundTrip(r)
		}
		return &http.Response{StatusCode: http.StatusForbidden, Header: http.Header{}, Request: r,
			Body: io.NopCloser(strings.NewReader("<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>"))}, nil
	})))
	if _, err := MakePlan(t.Context(), a.s, a.Clients, nil); err == nil || !strings.Contains(err.Error(), "may not iam:GetRole") {
		t.Errorf("MakePlan: %v, want an error about iam:GetRole", err)
	}
	a.s.Pipeline.AWS.FunctionRole = "arn:aws:iam::123456789012:role/given"
	if kept, err := KeepRoles(t.Context(), a.s, a.Clients); err != nil || !slices.Equal(kept.KeptRoles, []string{"stagelog-acme-firehose"}) {
		t.Errorf("KeepRoles with a given role: %v, %v, want no need to read the old one", kept.KeptRoles, err)
	}
}
