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

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision/desired"
)

// function is the enrichment function.
type function struct {
	s    *desired.Spec
	want desired.Function
	c    *lambda.Client
}

func newFunction(d *desired.Resources, c *Clients) *function {
	return &function{d.Spec, d.Function, c.Lambda}
}

func (r *function) Kind() string { return "Lambda function" }
func (r *function) Name() string { return r.s.Function() }

const (
	fieldCode        = "code"
	fieldArch        = "architecture"
	fieldRuntime     = "runtime"
	fieldHandler     = "handler"
	fieldMemory      = "memory"
	fieldTimeout     = "timeout"
	fieldRole        = "role"
	fieldEnvironment = "environment"
	fieldState       = "state"
)

// ErrNoZip means that the function has to be made and the plan came without its code.
var ErrNoZip = errors.New("the function's zip is missing: it is built with the go command, or given with --function-zip")

// Read compares the function. Where the Spec has no zip, its code is not compared.
func (r *function) Read(ctx context.Context) (State, error) {
	now, err := r.get(ctx)
	if err != nil {
		return State{}, err
	}
	state := State{Exists: now != nil}
	have := &types.FunctionConfiguration{}
	if now != nil {
		if have = now.Configuration; have.PackageType == types.PackageTypeImage {
			return State{}, &refusal{ErrOtherKind, fmt.Sprintf("there is a function of that name whose code is a container image, which Lambda changes into no other kind: choose another name: in stagelog.yaml, or delete it with `aws lambda delete-function --function-name %s --region %s`", r.Name(), r.s.Region)}
		}
		state.ownedBy(now.Tags[desired.OwnerTag], r.s.Owner())
		if have.LastUpdateStatus == types.LastUpdateStatusFailed {
			state.Notes = []string{fmt.Sprintf("its last update failed, and what it was before still runs: %s (%s)", aws.ToString(have.LastUpdateStatusReason), have.LastUpdateStatusReasonCode)}
		}
	} else {
		state.Fields = []Field{{Name: fieldTag, Want: r.s.Owner()}}
		if r.want.Salted {
			state.Notes = append(state.Notes, "a secret for the hashes of keys is drawn with it: the same key has another hash than in what an earlier function delivered")
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
		{fieldRuntime, string(have.Runtime), string(r.want.Runtime)},
		{fieldHandler, aws.ToString(have.Handler), r.want.Handler},
		{fieldMemory, mebibytes(have.MemorySize), mebibytes(&r.want.Memory)},
		{fieldTimeout, seconds(have.Timeout), seconds(&r.want.Timeout)},
		{fieldRole, aws.ToString(have.Role), r.want.Role},
		{fieldEnvironment, environmentText(env), environmentText(r.environment(env))},
	}
	// Inactive passes with the next call. A function that is Pending is waited for, and one that
	// Failed made again.
	switch have.State {
	case types.StatePending:
		fields = append(fields, Field{fieldState, string(have.State), string(types.StateActive)})
	case types.StateFailed:
		fields = append(fields, Field{fieldState, fmt.Sprintf("%s (%s)", have.State, aws.ToString(have.StateReason)), string(types.StateActive)})
	}
	return fields
}

// environment is the wanted variables beside those that others set, which stay. The salt
// stays, too; it is drawn when it is needed and missing.
func (r *function) environment(have map[string]string) map[string]string {
	want := maps.Clone(have)
	if want == nil {
		want = map[string]string{}
	}
	maps.DeleteFunc(want, func(name, _ string) bool { return strings.HasPrefix(name, "STAGELOG_") })
	maps.Copy(want, r.want.Environment)
	if salt := have[desired.SaltVariable]; salt != "" { // also where api_key: is another for a while
		want[desired.SaltVariable] = salt
	} else if r.want.Salted {
		want[desired.SaltVariable] = rand.Text()
	}
	return want
}

// Apply creates the function, or changes what differs, and waits until it can be called.
func (r *function) Apply(ctx context.Context, found State, progress func(string)) error {
	if found.Exists && found.Differs(fieldTag) {
		_, err := r.c.TagResource(ctx, &lambda.TagResourceInput{Resource: aws.String(r.s.FunctionARN()), Tags: r.tags()})
		if err != nil {
			return fmt.Errorf("tag it: %w", err)
		}
	}
	switch {
	case strings.HasPrefix(found.have(fieldState), string(types.StateFailed)):
		return r.makeAgain(ctx, progress)
	case !found.Exists:
		return r.create(ctx, nil, progress)
	}
	if found.Differs(fieldCode) || found.Differs(fieldArch) {
		if err := r.updateCode(ctx, progress); err != nil {
			return err
		}
		if err := r.ready(ctx, progress); err != nil {
			return err
		}
	}
	now, err := r.settled(ctx, progress)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(r.compare(now), func(f Field) bool { return f.Differs() && f.Name != fieldArch }) {
		return nil
	}
	if err := r.updateConfiguration(ctx, now, progress); err != nil {
		return err
	}
	return r.ready(ctx, progress)
}

// makeAgain keeps the variables, so that the same keys go on having the same hashes.
func (r *function) makeAgain(ctx context.Context, progress func(string)) error {
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
	progress("deleting it first, as it is Failed")
	if _, err := r.Destroy(ctx, State{Exists: true}, progress); err != nil {
		return err
	}
	return r.create(ctx, variables(now.Configuration), progress)
}

// create makes the function with what is to stay of env.
func (r *function) create(ctx context.Context, env map[string]string, progress func(string)) error {
	if r.want.Zip == nil {
		return ErrNoZip
	}
	in := &lambda.CreateFunctionInput{
		FunctionName: aws.String(r.Name()), Description: &r.want.Description,
		Runtime: r.want.Runtime, Handler: &r.want.Handler, Architectures: []types.Architecture{types.Architecture(r.want.Architecture)},
		MemorySize: &r.want.Memory, Timeout: &r.want.Timeout,
		Role: &r.want.Role, Code: &types.FunctionCode{ZipFile: r.want.Zip},
		Environment: &types.Environment{Variables: r.environment(env)}, Tags: r.tags(),
	}
	err := untilReady(ctx, progress, func() error {
		_, err := r.c.CreateFunction(ctx, in)
		return err
	})
	// A repeated request gets this answer when the first one's was lost.
	if awserr.Exists(err) {
		var now *lambda.GetFunctionOutput
		if now, err = r.get(ctx); err == nil && (now == nil || now.Tags[desired.OwnerTag] != r.s.Owner()) {
			err = fmt.Errorf("somebody made it meanwhile: %w", ErrChanged)
		}
	}
	if err != nil {
		return err
	}
	return r.ready(ctx, progress)
}

func (r *function) updateCode(ctx context.Context, progress func(string)) error {
	if r.want.Zip == nil {
		return ErrNoZip // another architecture takes other code
	}
	return untilReady(ctx, progress, func() error {
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
		Role: &r.want.Role, Environment: &types.Environment{Variables: r.environment(variables(now))},
	}
	return untilReady(ctx, progress, func() error {
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
	if err != nil && !awserr.NotFound(err) {
		return "", err
	}
	return "deleted", nil
}

// get is the function as it is, or nil. Variables that these credentials may not decrypt are
// an error: written back without them, the function would lose them and the salt. So are tags that
// they may not list: without them it would count as somebody else's.
func (r *function) get(ctx context.Context) (*lambda.GetFunctionOutput, error) {
	out, err := r.c.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: aws.String(r.Name())})
	if awserr.NotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if env := out.Configuration.Environment; env != nil && env.Error != nil {
		return nil, fmt.Errorf("its environment variables are hidden (%s: %s): use credentials that may kms:Decrypt with its key %s",
			aws.ToString(env.Error.ErrorCode), aws.ToString(env.Error.Message), aws.ToString(out.Configuration.KMSKeyArn))
	}
	if hidden := out.TagsError; hidden != nil {
		return nil, fmt.Errorf("its tags, which say whose it is, are hidden (%s: %s): use credentials that may lambda:ListTags on %s",
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

func (r *function) tags() map[string]string { return map[string]string{desired.OwnerTag: r.s.Owner()} }

func (r *function) codeSHA256() string {
	sum := sha256.Sum256(r.want.Zip)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// environmentText is variables as lines to compare and to show. Values of other names than
// stagelog's are the user's own, and may be secrets: like the salt, they are not shown.
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

// shaText is a CodeSha256 as a plan shows it.
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
