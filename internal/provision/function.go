package provision

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/durable/retry"
	"github.com/stagelog/stagelog/internal/provision/desired"
)

// function is the enrichment function.
type function struct {
	s    *desired.Spec
	want desired.Function
	c    *lambda.Client
	role *role // that it runs with; nil if deploy does not manage it
}

func newFunction(d *desired.Resources, c *Clients) *function {
	return &function{s: d.Spec, want: d.Function, c: c.Lambda}
}

func (r *function) Kind() string { return "Lambda function" }
func (r *function) Name() string { return r.s.Function() }

const (
	fieldCode   = "code"
	fieldArch   = "architecture"
	fieldMemory = "memory"
	fieldState  = "state"
)

// ErrNoZip means that the function must be created or updated, but the plan has no code for it.
var ErrNoZip = errors.New("the function's zip is missing: install Go to build it, or pass --function-zip")

// Read compares the function. It does not compare the code if the Spec has no zip.
func (r *function) Read(ctx context.Context) (State, error) {
	now, err := r.get(ctx)
	if err != nil {
		return State{}, err
	}
	state := State{Exists: now != nil}
	have := &types.FunctionConfiguration{}
	if now != nil {
		if have = now.Configuration; have.PackageType == types.PackageTypeImage {
			return State{}, &refusal{ErrOtherKind, fmt.Sprintf("a function with that name exists as a container image, which Lambda cannot convert to a zip: choose another name: in stagelog.yaml, or delete it with `aws lambda delete-function --function-name %s --region %s`", r.Name(), r.s.Region)}
		}
		state.ownedBy(now.Tags[desired.OwnerTag], r.s.Owner())
		state.Fields = append(state.Fields, tagFields(now.Tags, r.s.Tags())...)
		if have.LastUpdateStatus == types.LastUpdateStatusFailed {
			state.Notes = []string{fmt.Sprintf("its last update failed and the earlier version still runs: %s (%s)", aws.ToString(have.LastUpdateStatusReason), have.LastUpdateStatusReasonCode)}
		}
	} else {
		state.Fields = append([]Field{{Name: fieldTag, Want: r.s.Owner()}}, tagFields(nil, r.s.Tags())...)
		if r.want.Salted {
			state.Notes = append(state.Notes, "a new secret for key hashes is created: hashes will differ from those that an earlier function delivered")
		}
	}
	if r.want.Zip != nil {
		state.Fields = append(state.Fields, Field{fieldCode, shaText(aws.ToString(have.CodeSha256)), shaText(r.codeSHA256())})
	}
	state.Fields = append(state.Fields, r.compare(have)...)
	return state, nil
}

func (r *function) compare(have *types.FunctionConfiguration) []Field {
	arch := ""
	if len(have.Architectures) > 0 {
		arch = string(have.Architectures[0])
	}
	env := variables(have)
	fields := []Field{
		{fieldArch, arch, r.want.Architecture},
		{"runtime", string(have.Runtime), string(r.want.Runtime)},
		{"handler", aws.ToString(have.Handler), r.want.Handler},
		{fieldMemory, mebibytes(have.MemorySize), mebibytes(&r.want.Memory)},
		{"timeout", seconds(have.Timeout), seconds(&r.want.Timeout)},
		{"role", aws.ToString(have.Role), r.want.Role},
		{"environment", environmentText(env), environmentText(r.environment(env))},
	}
	if r.want.Key != "" {
		fields = append(fields, Field{fieldKey, aws.ToString(have.KMSKeyArn), aws.ToString(r.key())})
	}
	// The next call activates an Inactive function. Apply waits for a Pending one and recreates a
	// Failed one.
	switch have.State {
	case types.StatePending:
		fields = append(fields, Field{fieldState, string(have.State), string(types.StateActive)})
	case types.StateFailed:
		fields = append(fields, Field{fieldState, fmt.Sprintf("%s (%s)", have.State, aws.ToString(have.StateReason)), string(types.StateActive)})
	}
	return fields
}

// key returns the key of the environment for a call: "" removes it, nil leaves it unchanged.
func (r *function) key() *string {
	switch r.want.Key {
	case "":
		return nil
	case config.None:
		return aws.String("")
	}
	return &r.want.Key
}

// environment returns the wanted variables and keeps those set by others. It also keeps the salt,
// and creates one if it is needed and missing.
func (r *function) environment(have map[string]string) map[string]string {
	want := maps.Clone(have)
	if want == nil {
		want = map[string]string{}
	}
	maps.DeleteFunc(want, func(name, _ string) bool { return strings.HasPrefix(name, "STAGELOG_") })
	maps.Copy(want, r.want.Environment)
	if salt := have[desired.SaltVariable]; salt != "" { // even while api_key: has another setting
		want[desired.SaltVariable] = salt
	} else if r.want.Salted {
		want[desired.SaltVariable] = rand.Text()
	}
	return want
}

// Apply creates the function or changes what differs, and waits until it can be invoked.
func (r *function) Apply(ctx context.Context, found State, progress func(string)) error {
	if found.Exists && found.tagsDiffer() {
		if err := setTags(ctx, r, r.s.Tags()); err != nil {
			return err
		}
	}
	switch {
	case strings.HasPrefix(found.have(fieldState), string(types.StateFailed)):
		return r.recreate(ctx, progress)
	case !found.Exists:
		return r.create(ctx, nil, progress)
	}
	if found.Differs(fieldCode) || found.Differs(fieldArch) {
		if err := r.updateCode(ctx, progress); err != nil {
			return err
		}
		if err := r.ready(ctx, false, progress); err != nil {
			return err
		}
	}
	now, err := r.settled(ctx, false, progress)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(r.compare(now), func(f Field) bool { return f.Differs() && f.Name != fieldArch }) {
		return nil
	}
	if err := r.updateConfiguration(ctx, now, progress); err != nil {
		return err
	}
	return r.ready(ctx, false, progress)
}

// recreate deletes and creates the function. It keeps the variables, so that key hashes stay the same.
func (r *function) recreate(ctx context.Context, progress func(string)) error {
	if r.want.Zip == nil {
		return ErrNoZip
	}
	now, err := r.get(ctx)
	if err != nil {
		return err
	}
	if now == nil {
		return r.create(ctx, nil, progress)
	}
	progress("deleting it first because its state is Failed")
	if _, err := r.Destroy(ctx, State{Exists: true}, progress); err != nil {
		return err
	}
	return r.create(ctx, variables(now.Configuration), progress)
}

// create creates the function with the wanted variables and those to keep from env.
func (r *function) create(ctx context.Context, env map[string]string, progress func(string)) error {
	if r.want.Zip == nil {
		return ErrNoZip
	}
	in := &lambda.CreateFunctionInput{
		FunctionName: aws.String(r.Name()), Description: &r.want.Description,
		Runtime: r.want.Runtime, Handler: &r.want.Handler, Architectures: []types.Architecture{types.Architecture(r.want.Architecture)},
		MemorySize: &r.want.Memory, Timeout: &r.want.Timeout,
		Role: &r.want.Role, Code: &types.FunctionCode{ZipFile: r.want.Zip},
		Environment: &types.Environment{Variables: r.environment(env)}, KMSKeyArn: r.key(), Tags: r.s.Tags(),
	}
	err := repeatWithRole(ctx, r.role, progress, func() error {
		_, err := r.c.CreateFunction(ctx, in)
		return err
	})
	if err := ignoreOwnDuplicate(ctx, r, progress, err); err != nil {
		return err
	}
	return r.ready(ctx, true, progress)
}

func (r *function) updateCode(ctx context.Context, progress func(string)) error {
	if r.want.Zip == nil {
		return ErrNoZip // another architecture needs other code
	}
	return repeatWithRole(ctx, r.role, progress, func() error {
		_, err := r.c.UpdateFunctionCode(ctx, &lambda.UpdateFunctionCodeInput{
			FunctionName: aws.String(r.Name()), ZipFile: r.want.Zip, Architectures: []types.Architecture{types.Architecture(r.want.Architecture)},
		})
		return err
	})
}

func (r *function) updateConfiguration(ctx context.Context, now *types.FunctionConfiguration, progress func(string)) error {
	in := &lambda.UpdateFunctionConfigurationInput{
		FunctionName: aws.String(r.Name()), Runtime: r.want.Runtime, Handler: &r.want.Handler,
		MemorySize: &r.want.Memory, Timeout: &r.want.Timeout,
		Role: &r.want.Role, Environment: &types.Environment{Variables: r.environment(variables(now))}, KMSKeyArn: r.key(),
	}
	return repeatWithRole(ctx, r.role, progress, func() error {
		_, err := r.c.UpdateFunctionConfiguration(ctx, in)
		return err
	})
}

// Destroy deletes the function with all its versions.
func (r *function) Destroy(ctx context.Context, found State, _ func(string)) (string, error) {
	if !found.Exists || found.RequiredFlag != NoFlag {
		return "", nil
	}
	_, err := r.c.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: aws.String(r.Name())})
	return "deleted", ignoreNotFound(err)
}

// get returns the function, or nil if it does not exist. It fails if the variables cannot be
// decrypted, as an update would then drop them and the salt, and if the tags cannot be listed, as
// the function would then count as another owner's.
func (r *function) get(ctx context.Context) (*lambda.GetFunctionOutput, error) {
	out, err := r.c.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: aws.String(r.Name())})
	if awserr.NotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if env := out.Configuration.Environment; env != nil && env.Error != nil {
		return nil, fmt.Errorf("decrypt its environment variables: %s: %s; use credentials with kms:Decrypt on key %s",
			aws.ToString(env.Error.ErrorCode), aws.ToString(env.Error.Message), aws.ToString(out.Configuration.KMSKeyArn))
	}
	if hidden := out.TagsError; hidden != nil {
		return nil, fmt.Errorf("list its tags to find the owner: %s: %s; use credentials with lambda:ListTags on %s",
			aws.ToString(hidden.ErrorCode), aws.ToString(hidden.Message), r.s.FunctionARN())
	}
	return out, nil
}

func variables(c *types.FunctionConfiguration) map[string]string {
	if c.Environment == nil {
		return nil
	}
	return c.Environment.Variables
}

func (r *function) tags(ctx context.Context) (map[string]string, error) {
	now, err := r.get(ctx)
	if err == nil && now == nil {
		err = errDeletedByOther
	}
	if err != nil {
		return nil, err
	}
	return now.Tags, nil
}

func (r *function) tag(ctx context.Context, tags map[string]string) error {
	_, err := r.c.TagResource(ctx, &lambda.TagResourceInput{Resource: aws.String(r.s.FunctionARN()), Tags: tags})
	return err
}

func (r *function) untag(ctx context.Context, keys []string) error {
	_, err := r.c.UntagResource(ctx, &lambda.UntagResourceInput{Resource: aws.String(r.s.FunctionARN()), TagKeys: keys})
	return err
}

func (r *function) codeSHA256() string {
	sum := sha256.Sum256(r.want.Zip)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// environmentText formats variables as lines to compare and show. It hides the salt and the values
// of variables that are not stagelog's, which may be secrets.
func environmentText(env map[string]string) string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		value := env[name]
		if name == desired.SaltVariable || !strings.HasPrefix(name, "STAGELOG_") {
			value = "(set, not shown)"
		}
		lines = append(lines, fmt.Sprintf("%s=%s", name, value))
	}
	return strings.Join(lines, "\n")
}

// shaText formats a CodeSha256 for a plan.
func shaText(sum string) string {
	if sum == "" {
		return ""
	}
	return "sha256 " + sum
}

func mebibytes(n *int32) string { return quantity(n, " MB") }
func seconds(n *int32) string   { return quantity(n, " s") }

func quantity(n *int32, unit string) string {
	if n == nil {
		return ""
	}
	return strconv.Itoa(int(*n)) + unit
}

const (
	functionPoll = time.Second     // Lambda's own waiters' interval
	functionWait = 5 * time.Minute // their limit
)

// ready waits until a change is finished and returns its failure, if any. created means that the change was the creation.
func (r *function) ready(ctx context.Context, created bool, progress func(string)) error {
	c, err := r.settled(ctx, created, progress)
	switch {
	case err != nil:
		return err
	case c.State == types.StateFailed:
		return fmt.Errorf("creation failed: %s (%s); fix the cause and run `stagelog deploy` again", aws.ToString(c.StateReason), c.StateReasonCode)
	case c.LastUpdateStatus == types.LastUpdateStatusFailed:
		return fmt.Errorf("update failed and the earlier version still runs: %s (%s); fix the cause and run `stagelog deploy` again", aws.ToString(c.LastUpdateStatusReason), c.LastUpdateStatusReasonCode)
	}
	return nil
}

// settled waits until no change of the function is in progress. A function that was just created may not be found at first.
func (r *function) settled(ctx context.Context, created bool, progress func(string)) (*types.FunctionConfiguration, error) {
	for left := functionWait; ; left -= functionPoll {
		now, err := r.get(ctx)
		switch {
		case err != nil:
			return nil, err
		case now == nil && (!created || functionWait-left >= settleTime):
			return nil, errDeletedByOther
		case now == nil:
			progress(waitingVisible(r))
		default:
			c := now.Configuration
			if c.State != types.StatePending && c.LastUpdateStatus != types.LastUpdateStatusInProgress {
				return c, nil
			}
			if left <= 0 {
				return nil, fmt.Errorf("timed out after %s: state %s, last update %s", functionWait, c.State, c.LastUpdateStatus)
			}
			progress("waiting until it is Active")
		}
		if err := retry.Sleep(ctx, functionPoll); err != nil {
			return nil, err
		}
	}
}
