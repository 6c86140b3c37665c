package cli

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"runtime"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/spf13/cobra"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/provision"
)

// awsFlags say which AWS to work in; the rest is AWS's usual environment and files.
type awsFlags struct{ profile, region, endpoint string }

func (a *awsFlags) bind(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&a.profile, "profile", "", "the profile of AWS's configuration files (default AWS_PROFILE)")
	f.StringVar(&a.region, "region", "", "the AWS Region (default stagelog.yaml's, else AWS_REGION, else the profile's)")
	f.StringVar(&a.endpoint, "endpoint-url", "", "another AWS endpoint, like http://127.0.0.1:4580 of stagelog up")
}

// awsSession is AWS, as somebody.
type awsSession struct {
	Clients   *provision.Clients
	Partition string // aws, aws-cn, aws-us-gov
	Region    string
	Account   string // 12 digits
	Caller    string // ARN of who the credentials belong to
	Endpoint  string // "" is AWS itself
}

// load finds credentials and asks AWS whose they are. Where p is given, its Region and
// account count, and must not contradict the flags and the credentials.
func (a *awsFlags) load(ctx context.Context, e *env, p *config.Pipeline) (*awsSession, error) {
	cfg, err := a.config(ctx, p)
	if err != nil {
		return nil, err
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		return nil, a.noCredentials(ctx, err)
	}
	s := &awsSession{Clients: provision.NewClients(cfg), Region: cfg.Region, Endpoint: aws.ToString(cfg.BaseEndpoint)}
	who, err := s.Clients.STS.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return nil, provision.Explain(fmt.Errorf("find out whose credentials these are: %w", err))
	}
	s.Account, s.Caller, s.Partition = aws.ToString(who.Account), aws.ToString(who.Arn), "aws"
	if parsed, err := arn.Parse(s.Caller); err == nil {
		s.Partition = parsed.Partition
	}
	if p != nil && p.AccountGiven && p.Account != s.Account {
		return nil, fmt.Errorf("%s says account %s, and the credentials are of %s (%s): use another profile (--profile), or correct account: in %s", e.file, p.Account, s.Account, s.Caller, e.file)
	}
	return s, nil
}

func (a *awsFlags) config(ctx context.Context, p *config.Pipeline) (aws.Config, error) {
	region := a.region
	if p != nil && p.RegionGiven {
		if region != "" && region != p.Region {
			return aws.Config{}, fmt.Errorf("--region %s, and the pipeline's file says region: %s: change one of them", region, p.Region)
		}
		region = p.Region
	}
	load := []func(*awsconfig.LoadOptions) error{awsconfig.WithRegion(region), awsconfig.WithAppID("stagelog")}
	if a.profile != "" {
		load = append(load, awsconfig.WithSharedConfigProfile(a.profile))
	}
	cfg, err := awsconfig.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return aws.Config{}, provision.Explain(fmt.Errorf("read AWS's configuration: %w", err))
	}
	if a.endpoint != "" {
		cfg.BaseEndpoint = aws.String(a.endpoint)
	}
	if cfg.Region == "" {
		return aws.Config{}, fmt.Errorf("no AWS Region: give one with --region or AWS_REGION, as region: in stagelog.yaml, or with `aws configure set region eu-west-1`")
	}
	return cfg, nil
}

// noCredentials says what to do about a lookup that found nothing that could sign a request.
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
		return fmt.Errorf("the SSO session has expired: `%s` renews it", login)
	}
	return fmt.Errorf("no AWS credentials: choose a profile with --profile or AWS_PROFILE, make one with `aws configure sso`, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; "+
		"without an account, `stagelog up` runs everything on this machine\nThe AWS SDK says: %w", err)
}

// spec places a pipeline in the session's account and Region. Where the file says nothing,
// the function is built for arm64, which costs less, and on this machine's endpoint for this
// machine.
func (s *awsSession) spec(p *config.Pipeline) *provision.Spec {
	arch := p.AWS.Architecture
	if arch == "" {
		arch = config.DefaultArchitecture
		if onThisMachine(s.Endpoint) {
			arch = map[string]string{"amd64": "x86_64"}[runtime.GOARCH]
			if arch == "" {
				arch = runtime.GOARCH
			}
		}
	}
	return &provision.Spec{Pipeline: s.withLocalStages(p), Partition: s.Partition, Region: s.Region, Account: s.Account, Architecture: arch}
}

func onThisMachine(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
}

// again is a command of stagelog for the same file and the same AWS, to be run as it is.
func (a *awsFlags) again(e *env, command string) string {
	for _, flag := range []struct{ name, value, usual string }{
		{"--file", e.file, "stagelog.yaml"}, {"--profile", a.profile, ""}, {"--region", a.region, ""}, {"--endpoint-url", a.endpoint, ""},
	} {
		if flag.value != flag.usual {
			command += " " + flag.name + " " + shellWord(flag.value)
		}
	}
	return "stagelog " + command
}

// withLocalStages lets the pipeline of this machine's own endpoint log the stages that its file
// has for this machine, where it names none in AWS.
func (s *awsSession) withLocalStages(p *config.Pipeline) *config.Pipeline {
	if !onThisMachine(s.Endpoint) || len(p.Stages) > 0 || p.Local == nil {
		return p
	}
	here := *p
	here.Stages = p.Local.Stages()
	return &here
}
