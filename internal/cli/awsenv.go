package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path/filepath"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/spf13/cobra"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/provision/desired"
)

// awsFlags select the AWS account and endpoint, in addition to AWS's usual environment and files.
type awsFlags struct{ profile, region, endpoint string }

func (a *awsFlags) bind(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&a.profile, "profile", "", "profile in the AWS configuration files (default AWS_PROFILE, or the pipeline of stagelog up in this folder)")
	f.StringVar(&a.region, "region", "", "AWS Region (default: from stagelog.yaml, AWS_REGION or the profile)")
	f.StringVar(&a.endpoint, "endpoint-url", "", "endpoint to use instead of AWS, like http://127.0.0.1:4580 for stagelog up")
}

// awsSession holds the clients for one account and Region.
type awsSession struct {
	Clients   *provision.Clients
	Partition string // record.Partition lists them
	Region    string
	Account   string // 12 digits
	Caller    string // ARN of the credentials' owner
	Endpoint  string // "" for AWS itself
}

// load finds credentials and asks AWS for their account. If p is not nil, its Region and account must agree with the
// flags and the credentials.
func (a *awsFlags) load(ctx context.Context, e *env, p *config.Pipeline) (*awsSession, error) {
	// A file that names an account describes a pipeline in AWS, even if it ran here as well.
	cfg, err := a.config(ctx, e, p, p != nil && !p.AccountGiven)
	if err != nil {
		return nil, err
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		return nil, a.noCredentials(ctx, err)
	}
	s := &awsSession{Clients: provision.NewClients(cfg), Region: cfg.Region, Endpoint: aws.ToString(cfg.BaseEndpoint)}
	s.Clients.ReportCalls(func(calls int64) {
		fmt.Fprintf(e.stderr, "%d calls to API Gateway made; AWS allows only a few per second\n", calls)
	})
	who, err := s.Clients.STS.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return nil, provision.Explain(fmt.Errorf("get the account of the credentials: %w", err))
	}
	s.Account, s.Caller, s.Partition = aws.ToString(who.Account), aws.ToString(who.Arn), "aws"
	if parsed, err := arn.Parse(s.Caller); err == nil {
		s.Partition = parsed.Partition
	}
	if p != nil && p.AccountGiven && p.Account != s.Account {
		return nil, fmt.Errorf("account %s in %s differs from account %s of the credentials (%s); use another --profile, or correct account: in the file", p.Account, e.file, s.Account, s.Caller)
	}
	return s, nil
}

// localState is where `stagelog up` keeps its state by default.
const localState = ".stagelog"

// config returns the usual AWS configuration. With local it is that of the `stagelog up` in this folder, if there is one
// with the profile and neither a flag nor the environment selects another account or endpoint.
func (a *awsFlags) config(ctx context.Context, e *env, p *config.Pipeline, local bool) (aws.Config, error) {
	if local && a.region+a.endpoint+e.getenv("AWS_PROFILE")+e.getenv("AWS_ACCESS_KEY_ID")+e.getenv("AWS_ENDPOINT_URL") == "" {
		cfg, err := localConfig(ctx, cmp.Or(a.profile, "stagelog"))
		if unknown := (awsconfig.SharedConfigProfileNotExistError{}); err == nil || !errors.As(err, &unknown) {
			return cfg, err
		}
	}
	region := a.region
	if p != nil && p.RegionGiven {
		if region != "" && region != p.Region {
			return aws.Config{}, fmt.Errorf("--region %s differs from region: %s in the pipeline's file; change one of them", region, p.Region)
		}
		region = p.Region
	}
	load := []func(*awsconfig.LoadOptions) error{awsconfig.WithRegion(region), awsconfig.WithAppID("stagelog")}
	if a.profile != "" {
		load = append(load, awsconfig.WithSharedConfigProfile(a.profile))
	}
	cfg, err := awsconfig.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return aws.Config{}, provision.Explain(fmt.Errorf("read the AWS configuration: %w", err))
	}
	if a.endpoint != "" {
		cfg.BaseEndpoint = aws.String(a.endpoint)
	}
	switch {
	case cfg.Region == "" && local && p != nil && p.Local != nil:
		return aws.Config{}, fmt.Errorf("no pipeline runs in this folder, and no AWS Region is set; start it with `stagelog up`, or select an account in AWS with --profile and --region")
	case cfg.Region == "":
		return aws.Config{}, fmt.Errorf("no AWS Region; set --region, AWS_REGION, region: in stagelog.yaml, or run `aws configure set region eu-west-1`")
	}
	return cfg, nil
}

// localConfig returns the configuration for a profile of the `stagelog up` in this folder.
func localConfig(ctx context.Context, profile string) (aws.Config, error) {
	configs, keys := []string{filepath.Join(localState, "config")}, []string{filepath.Join(localState, "credentials")}
	s, err := awsconfig.LoadSharedConfigProfile(ctx, profile, func(o *awsconfig.LoadSharedConfigOptions) { o.ConfigFiles, o.CredentialsFiles = configs, keys })
	if err != nil {
		return aws.Config{}, fmt.Errorf("read the credentials of `stagelog up` in %s: %w", localState, err)
	}
	cfg, err := awsconfig.LoadDefaultConfig(ctx, awsconfig.WithSharedConfigProfile(profile), awsconfig.WithAppID("stagelog"),
		awsconfig.WithSharedConfigFiles(configs), awsconfig.WithSharedCredentialsFiles(keys))
	if err != nil {
		return aws.Config{}, fmt.Errorf("read the credentials of `stagelog up` in %s: %w", localState, err)
	}
	cfg.RetryMaxAttempts = 2
	if s.BaseEndpoint != "" { // NewClients then addresses buckets by path
		cfg.BaseEndpoint = aws.String(s.BaseEndpoint)
	}
	return cfg, nil
}

// noCredentials returns the error for a failed lookup of credentials, with what to do about it.
func (a *awsFlags) noCredentials(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	expired := (*ssocreds.InvalidTokenError)(nil)
	if errors.As(err, &expired) {
		login := "aws sso login"
		if a.profile != "" {
			login += " --profile " + a.profile
		}
		return fmt.Errorf("the SSO session has expired; run `%s`", login)
	}
	return fmt.Errorf("no AWS credentials; choose a profile with --profile or AWS_PROFILE, create one with `aws configure sso`, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; "+
		"without an account, run `stagelog up` on this machine\nAWS SDK: %w", err)
}

// spec places a pipeline in the session's account and Region. By default the function is built for arm64, which costs
// less, and for a local endpoint for this machine's architecture.
func (s *awsSession) spec(p *config.Pipeline) *desired.Spec {
	arch := p.AWS.Architecture
	if arch == "" {
		arch = config.DefaultArchitecture
		if onThisMachine(s.Endpoint) {
			arch = desired.HostArchitecture()
		}
	}
	return &desired.Spec{Pipeline: s.withLocalStages(p), Partition: s.Partition, Region: s.Region, Account: s.Account, Architecture: arch}
}

// findStagesElsewhere sets spec.StagesElsewhere as in the last deploy.
func (s *awsSession) findStagesElsewhere(ctx context.Context, spec *desired.Spec) error {
	elsewhere, err := provision.StagesElsewhere(ctx, spec, s.Clients)
	if err != nil {
		return provision.Explain(fmt.Errorf("read the delivery stream: %w", err))
	}
	spec.StagesElsewhere = elsewhere
	return nil
}

func onThisMachine(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
}

// command returns a command of stagelog with the flags for the same file and the same AWS account.
func (a *awsFlags) command(e *env, name string) string {
	line := "stagelog " + name
	for _, flag := range []struct{ name, value, usual string }{
		{"--file", e.file, "stagelog.yaml"}, {"--profile", a.profile, ""}, {"--region", a.region, ""}, {"--endpoint-url", a.endpoint, ""},
	} {
		if flag.value != flag.usual {
			line += " " + flag.name + " " + provision.ShellWord(flag.value)
		}
	}
	return line
}

// withLocalStages returns p with the stages that it has on this machine if the endpoint is local.
func (s *awsSession) withLocalStages(p *config.Pipeline) *config.Pipeline {
	if !onThisMachine(s.Endpoint) || p.Local == nil || len(p.LocalStages()) == 0 {
		return p
	}
	here := *p
	here.Stages = p.LocalStages()
	return &here
}
