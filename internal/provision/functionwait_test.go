package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/provision/moto"
)

// synctestRun runs a subtest with a fake clock.
func synctestRun(t *testing.T, name string, test func(*testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
}

// script is a fake Lambda with responses by call name, used in order; the last one is repeated. ""
// means success, "{…" is a body, anything else is "code: message".
type script struct {
	answers map[string][]string
	calls   []string // without reads
	bodies  map[string][]string
	read    int
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	name := r.Method
	if r.Method == http.MethodPost || r.Method == http.MethodPut {
		var err error
		if name, err = writeName(r); err != nil {
			return nil, err
		}
	}
	n := s.read
	if r.Method == http.MethodGet {
		s.read++
	} else {
		n = 0
		for _, call := range s.calls {
			if call == name {
				n++
			}
		}
		s.calls = append(s.calls, name)
		if r.Body != nil {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			if s.bodies == nil {
				s.bodies = map[string][]string{}
			}
			s.bodies[name] = append(s.bodies[name], string(body))
		}
	}
	all := s.answers[name]
	if len(all) == 0 {
		return jsonAnswer(r, http.StatusOK, `{}`), nil
	}
	answer := all[min(n, len(all)-1)]
	if answer == "" || strings.HasPrefix(answer, "{") {
		return jsonAnswer(r, http.StatusOK, answer), nil
	}
	code, message, _ := strings.Cut(answer, ": ")
	status := http.StatusBadRequest
	if code == "ResourceNotFoundException" {
		status = http.StatusNotFound
	}
	res := jsonAnswer(r, status, fmt.Sprintf(`{"Message":%q}`, message))
	res.Header.Set("X-Amzn-Errortype", code)
	return res, nil
}

func (s *script) function(t *testing.T) *function {
	t.Helper()
	m := moto.Server{URL: "http://127.0.0.1:1"} // never called
	c := NewClients(m.Config(s))
	r := newFunction(wantOf(functionSpec(t, nil)), c)
	r.role = newFunctionRole(r.s, c)
	r.role.created = true
	return r
}

// as returns a response of GetFunction with the given members in the configuration.
func as(more string) string {
	return `{"Configuration":{` + more + `},"Tags":{"stagelog":"eu-west-1/acme"}}`
}

const (
	callCreate, callCode, callConfigure, callDelete = "POST functions", "PUT code", "PUT configuration", "DELETE"

	roleIsNew = `InvalidParameterValueException: The role defined for the function cannot be assumed by Lambda.`
	keyIsNew  = `InvalidParameterValueException: Lambda was unable to configure access to your environment variables because the KMS key is invalid for CreateGrant. Please check your KMS key settings. KMS Exception: InvalidArnException KMS Message: ARN does not refer to a valid principal: arn:aws:sts::123456789012:assumed-role/r/f`
	busy      = `ResourceConflictException: The operation cannot be performed at this time. An update is in progress for resource: arn`
	exists    = `ResourceConflictException: Function already exist: stagelog-acme`
	notFound  = `ResourceNotFoundException: Function not found: arn`
)

var (
	isPending  = as(`"State":"Pending"`)
	isActive   = as(`"State":"Active","LastUpdateStatus":"Successful"`)
	isUpdating = as(`"State":"Active","LastUpdateStatus":"InProgress"`)
	isFailed   = as(`"State":"Failed","StateReason":"no capacity","StateReasonCode":"InternalError"`)
	isBroken   = as(`"State":"Active","LastUpdateStatus":"Failed","LastUpdateStatusReason":"no such runtime","LastUpdateStatusReasonCode":"InvalidRuntime"`)
)

// Lambda's behaviour that moto lacks: new roles are not usable at once, changes take time or fail.
func TestFunctionWaitsForLambda(t *testing.T) {
	tests := []struct {
		name    string
		found   State
		answers map[string][]string
		calls   []string
		reads   int
		waiting string
		wantErr string
	}{
		{name: "active at once", answers: map[string][]string{"GET": {isActive}}, calls: []string{callCreate}, reads: 1},
		{name: "new role", answers: map[string][]string{callCreate: {roleIsNew, roleIsNew, ""}, "GET": {isActive}},
			calls: []string{callCreate, callCreate, callCreate}, reads: 1, waiting: "new role"},
		{name: "KMS key without the new role", answers: map[string][]string{callCreate: {keyIsNew, ""}, "GET": {isActive}},
			calls: []string{callCreate, callCreate}, reads: 1, waiting: "new role"},
		{name: "slow creation", answers: map[string][]string{"GET": {isPending, isPending, isActive}},
			calls: []string{callCreate}, reads: 3, waiting: "until it is Active"},
		{name: "not visible at once", answers: map[string][]string{"GET": {notFound, isPending, notFound, isActive}},
			calls: []string{callCreate}, reads: 4, waiting: "until the new Lambda function is visible"},
		{name: "failed creation", answers: map[string][]string{"GET": {isPending, isFailed}},
			calls: []string{callCreate}, reads: 2, wantErr: "no capacity (InternalError)"},
		{name: "other invalid parameter", answers: map[string][]string{callCreate: {`InvalidParameterValueException: Unzipped size must be smaller`}},
			calls: []string{callCreate}, wantErr: "Unzipped size"},
		{name: "created by another process", answers: map[string][]string{callCreate: {exists}, "GET": {`{"Configuration":{"State":"Active"}}`}},
			calls: []string{callCreate}, reads: 1, wantErr: "run `stagelog plan` again"},
		{name: "lost response", answers: map[string][]string{callCreate: {exists}, "GET": {isPending, isPending, isActive}},
			calls: []string{callCreate}, reads: 3, waiting: "until it is Active"},
		{name: "code, then configuration", found: State{Exists: true, Fields: []Field{{fieldCode, "a", "b"}}},
			answers: map[string][]string{"GET": {isUpdating, isUpdating, isActive, isActive, isUpdating, isActive}},
			calls:   []string{callCode, callConfigure}, reads: 6, waiting: "until it is Active"},
		{name: "earlier change in progress", found: State{Exists: true, Fields: []Field{{fieldCode, "a", "b"}}},
			answers: map[string][]string{"GET": {isActive}, callCode: {busy, ""}, callConfigure: {busy, busy, ""}},
			calls:   []string{callCode, callCode, callConfigure, callConfigure, callConfigure}, reads: 3, waiting: "an earlier change"},
		{name: "failed update", found: State{Exists: true, Fields: []Field{{fieldMemory, "a", "b"}}},
			answers: map[string][]string{"GET": {isActive, isUpdating, isBroken}},
			calls:   []string{callConfigure}, reads: 3, wantErr: "no such runtime (InvalidRuntime)"},
		{name: "deleted by another process", found: State{Exists: true, Fields: []Field{{fieldCode, "a", "b"}}},
			answers: map[string][]string{"GET": {notFound}}, calls: []string{callCode}, reads: 1, wantErr: "deleted by another process"},
	}
	for _, tt := range tests {
		synctestRun(t, tt.name, func(t *testing.T) {
			s := &script{answers: tt.answers}
			var progress []string
			err := s.function(t).Apply(t.Context(), tt.found, func(s string) { progress = append(progress, s) })
			if tt.wantErr == "" && err != nil || tt.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tt.wantErr)) {
				t.Errorf("Apply: %v, want %q", err, tt.wantErr)
			}
			if diff := cmp.Diff(tt.calls, s.calls); diff != "" || s.read != tt.reads {
				t.Errorf("%d reads, want %d; other calls (-want +got):\n%s", s.read, tt.reads, diff)
			}
			if !strings.Contains(fmt.Sprint(progress), tt.waiting) || tt.waiting == "" && tt.wantErr == "" && progress != nil {
				t.Errorf("progress %q, want %q", progress, tt.waiting)
			}
		})
	}
}

// Every wait has a limit.
func TestFunctionWaitTimesOut(t *testing.T) {
	for _, tt := range []struct {
		name    string
		answers map[string][]string
		cancel  bool // cancel the context at the first wait
		least   time.Duration
		most    time.Duration
		wantErr func(error) bool
	}{
		{"settleTime for the role", map[string][]string{callCreate: {roleIsNew}}, false, settleTime - 8*time.Second, settleTime, awserr.RoleNotReady},
		{"functionWait for the function", map[string][]string{"GET": {isPending}}, false, functionWait, functionWait,
			func(err error) bool { return err != nil && strings.Contains(err.Error(), "state Pending") }},
		{"settleTime for a function that is not found", map[string][]string{"GET": {notFound}}, false, settleTime, settleTime, func(err error) bool { return errors.Is(err, ErrChanged) }},
		{"cancelled while waiting for the role", map[string][]string{callCreate: {roleIsNew}}, true, 0, 0, cancelled},
		{"cancelled while waiting for the function", map[string][]string{"GET": {isPending}}, true, 0, 0, cancelled},
	} {
		synctestRun(t, tt.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			began := time.Now()
			err := (&script{answers: tt.answers}).function(t).Apply(ctx, State{}, func(string) {
				if tt.cancel {
					cancel()
				}
			})
			if took := time.Since(began); !tt.wantErr(err) || took < tt.least || took > tt.most {
				t.Errorf("Apply: %v after %v, want it after %v to %v", err, took, tt.least, tt.most)
			}
		})
	}
}

func cancelled(err error) bool { return errors.Is(err, context.Canceled) }

// A Failed function is recreated with the same salt, so that key hashes stay the same.
func TestFailedFunctionIsRecreated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		withSalt := as(`"State":"Failed","StateReason":"no capacity","Environment":{"Variables":{"STAGELOG_HASH_SALT":"pepper","THEIRS":"1"}}`)
		s := &script{answers: map[string][]string{"GET": {withSalt, withSalt, isActive}}}
		r := s.function(t)
		r.s.Pipeline.APIKey = "hash"
		r.want = wantOf(r.s).Function
		found := mustRead(t, r)
		if !found.Differs(fieldState) {
			t.Fatalf("Read = %+v, want the state to differ", found)
		}
		zip := r.want.Zip
		r.want.Zip = nil
		if err := r.Apply(t.Context(), found, quiet); !errors.Is(err, ErrNoZip) || s.calls != nil {
			t.Errorf("Apply without a zip: %v after the calls %v, want ErrNoZip and no calls", err, s.calls)
		}
		r.want.Zip = zip
		if err := r.Apply(t.Context(), found, quiet); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{callDelete, callCreate}, s.calls); diff != "" {
			t.Fatalf("calls (-want +got):\n%s", diff)
		}
		var made struct {
			Environment struct{ Variables map[string]string }
		}
		if err := json.Unmarshal([]byte(s.bodies[callCreate][0]), &made); err != nil {
			t.Fatal(err)
		}
		if env := made.Environment.Variables; env[desired.SaltVariable] != "pepper" || env["THEIRS"] != "1" || env["STAGELOG_API_KEY"] != "hash" {
			t.Errorf("recreated with the variables %v, want the old salt and foreign variables", env)
		}
	})
}

func TestFunctionUnreadable(t *testing.T) {
	tests := []struct {
		name, answer string
		want         string
	}{
		{"a container image", as(`"PackageType":"Image","State":"Active"`), "delete-function --function-name stagelog-acme"},
		{"encrypted variables", as(`"State":"Active","KMSKeyArn":"arn:aws:kms:k","Environment":{"Error":{"ErrorCode":"AccessDeniedException","Message":"no"}}`), "kms:Decrypt on key arn:aws:kms:k"},
		{"tags not listed", `{"Configuration":{"State":"Active"},"TagsError":{"ErrorCode":"AccessDeniedException","Message":"no"}}`, "lambda:ListTags"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &script{answers: map[string][]string{"GET": {tt.answer}}}
			if _, err := s.function(t).Read(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Read: %v, want %q", err, tt.want)
			}
		})
	}
}

func TestFunctionUpdateFailedNote(t *testing.T) {
	s := &script{answers: map[string][]string{"GET": {isBroken}}}
	if found := mustRead(t, s.function(t)); len(found.Notes) != 1 || !strings.Contains(found.Notes[0], "no such runtime") {
		t.Errorf("Read has the notes %q, want the reason of the failed update", found.Notes)
	}
}

func TestFunctionDestroyWhenGone(t *testing.T) {
	s := &script{answers: map[string][]string{callDelete: {notFound}}}
	if did, err := s.function(t).Destroy(t.Context(), State{Exists: true}, quiet); err != nil || did != "deleted" {
		t.Errorf("Destroy of a deleted function = %q, %v", did, err)
	}
}

// moto ignores a change of the architecture, so the test checks the request.
func TestFunctionChangesArchitecture(t *testing.T) {
	configured := `"State":"Active","Runtime":"provided.al2023","Handler":"bootstrap","MemorySize":256,"Timeout":60,"Role":"arn:aws:iam::123456789012:role/stagelog-acme-function.eu-west-1"`
	s := &script{answers: map[string][]string{}}
	r := s.function(t)
	env, err := json.Marshal(r.want.Environment)
	if err != nil {
		t.Fatal(err)
	}
	s.answers["GET"] = []string{as(configured + `,"Architectures":["x86_64"],"CodeSha256":"` + r.codeSHA256() + `","Environment":{"Variables":` + string(env) + `}`)}
	found := mustRead(t, r)
	if diff := cmp.Diff([]string{fieldArch}, changedNames(found)); diff != "" {
		t.Fatalf("Read differs in (-want +got):\n%s", diff)
	}
	if err := r.Apply(t.Context(), found, quiet); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{callCode}, s.calls); diff != "" {
		t.Fatalf("calls (-want +got):\n%s", diff)
	}
	var sent struct {
		Architectures []string
		ZipFile       []byte
	}
	if err := json.Unmarshal([]byte(s.bodies[callCode][0]), &sent); err != nil || fmt.Sprint(sent.Architectures) != "[arm64]" || len(sent.ZipFile) == 0 {
		t.Errorf("sent %v and %d bytes of code (%v), want arm64 and its code", sent.Architectures, len(sent.ZipFile), err)
	}
}

// If a deploy was killed while the function was Pending, the next one waits for it.
func TestFunctionPendingIsAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: map[string][]string{"GET": {isPending, isPending, isActive}}}
		r := s.function(t)
		r.want.Zip = nil
		found := mustRead(t, r)
		if !found.Differs(fieldState) {
			t.Fatalf("Read = %+v, want the state to differ", found)
		}
		var progress []string
		if err := r.Apply(t.Context(), State{Exists: true, Fields: []Field{{fieldState, "Pending", "Active"}}}, func(text string) { progress = append(progress, text) }); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(fmt.Sprint(progress), "Active") || slices.Contains(s.calls, callDelete) {
			t.Errorf("progress %q and calls %v, want a wait and no deletion", progress, s.calls)
		}
	})
}
