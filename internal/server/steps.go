package server

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/localaws/s3server"
	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/provision/desired"
)

// Step is one of the four steps that build a pipeline, with its name in AWS's terms.
type Step struct {
	Number       int // 1 to 4
	Name, Detail string
}

// apply creates the pipeline's resources with the code of deploy, through this machine's AWS endpoint. Repeating it changes nothing.
func (c *Server) apply(ctx context.Context) error {
	c.setPhase("starting: creating the pipeline's resources")
	if c.s3 != nil {
		if err := c.s3.Ready(ctx); err != nil {
			return fmt.Errorf("start embedded S3: %w", err)
		}
	}
	if c.cfg.Pipeline.Name == "" {
		return nil
	}
	if c.cfg.APIsOnly {
		return c.applyAPIs(ctx)
	}
	d, err := desired.New(c.spec())
	if err != nil {
		return err
	}
	parts := provision.PartsOf(d, c.clients())
	for i, s := range []struct {
		name, detail string
		do           func(context.Context) error
	}{
		{"S3 bucket for access logs", bucketDetail(d), func(ctx context.Context) error { return c.ensureBucket(ctx, d, parts.Bucket) }},
		{"Lambda function for log enrichment", functionDetail(d), ensure(parts.Function)},
		{"Kinesis Firehose delivery stream", streamDetail(d), ensure(parts.Stream)},
		{"Access logging on the API stage", stagesDetail(d), func(ctx context.Context) error {
			if err := c.applyAPIs(ctx); err != nil {
				return err
			}
			return ensure(parts.Stages)(ctx)
		}},
	} {
		c.setPhase("starting: " + s.name)
		if err := s.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if c.cfg.Progress != nil {
			c.cfg.Progress(Step{Number: i + 1, Name: s.name, Detail: s.detail})
		}
	}
	return provision.DropOldRoles(ctx, d.Spec, c.clients())
}

// ensure creates or updates resources. On this machine, all of them belong to the pipeline.
func ensure(resources []provision.Resource) func(context.Context) error {
	return func(ctx context.Context) error {
		return provision.Ensure(ctx, resources, provision.AdoptFlag, provision.TakeFromAll, provision.ReplaceFlag)
	}
}

// ensureBucket creates the bucket and its policy. A bucket of another S3 may not support all settings, or not allow changing
// them: then only its existence and the readers' policy are required.
func (c *Server) ensureBucket(ctx context.Context, d *desired.Resources, resources []provision.Resource) error {
	name := d.Spec.Bucket()
	if c.s3 != nil {
		if err := s3server.DropReaderPolicy(ctx, c.objects, name); err != nil {
			return err
		}
		return ensure(resources)(ctx)
	}
	if err := c.objects.EnsureBucket(ctx, name); err != nil {
		return err
	}
	if err := s3server.DropReaderPolicy(ctx, c.objects, name); err != nil {
		c.log.Warn("removing the policy of an earlier run failed", "bucket", name, "error", err)
	}
	settings, policy := resources[:1], resources[1:]
	if err := provision.Ensure(ctx, settings); err != nil {
		c.log.Warn("bucket settings left unchanged", "bucket", name, "error", err)
	}
	err := ensure(policy)(ctx)
	if err != nil && len(d.Spec.Pipeline.Readers) == 0 {
		c.log.Warn("bucket policy left unchanged", "bucket", name, "error", err)
		return nil
	}
	return err
}

// spec returns the pipeline's specification for this machine, with its local stages.
func (c *Server) spec() *desired.Spec {
	p := *c.cfg.Pipeline
	p.Stages, p.AWS.Organisation, p.AWS.LogDays = nil, config.Organisation{}, cmp.Or(p.AWS.LogDays, config.DefaultLogDays)
	if p.Local != nil {
		p.Stages = p.LocalStages()
	}
	return &desired.Spec{
		Pipeline: &p, Partition: "aws", Region: p.Region, Account: p.Account,
		Architecture: desired.HostArchitecture(), Builtin: true, ForeignBucket: c.cfg.S3Endpoint != "",
	}
}

func bucketDetail(d *desired.Resources) string {
	detail := d.Spec.Pipeline.Bucket
	if readers := d.Spec.Pipeline.Readers; len(readers) > 0 {
		detail += ", readable by " + strings.Join(readers, ", ")
	}
	return detail
}

func functionDetail(d *desired.Resources) string {
	names := d.Spec.Pipeline.Names
	added := slices.DeleteFunc([]string{names.UsagePlan, names.Customer, names.UsagePlanID}, func(s string) bool { return s == "" })
	return fmt.Sprintf("%s adds %s", d.Function.Name, strings.Join(added, ", "))
}

func streamDetail(d *desired.Resources) string {
	p := d.Spec.Pipeline
	detail := fmt.Sprintf("%s, every %v or %d MiB", p.Stream(), p.Deliver.Interval, p.Deliver.Size>>20)
	if p.Deliver.Parquet {
		detail += ", as Parquet"
	}
	return detail
}

func stagesDetail(d *desired.Resources) string {
	p := d.Spec.Pipeline
	if p.Local == nil {
		return "no local APIs; point a stage or a log shipper at the stream"
	}
	var names []string
	for _, st := range p.Stages {
		names = append(names, st.String())
	}
	return fmt.Sprintf("%s, format %s", strings.Join(names, ", "), p.FormatName)
}

// applyAPIs creates the APIs, stages, usage plans and keys of the local section.
func (c *Server) applyAPIs(ctx context.Context) error {
	if c.cfg.Pipeline.Local == nil {
		return nil
	}
	_, err := c.control.ApplyLocal(ctx, localConfig(c.cfg.Pipeline.Local, c.heldBack()))
	return err
}

// clients returns the administrator's clients of this machine's AWS endpoint. They ignore proxies and CA bundles in the
// environment. The S3 client is the one of the bucket.
func (c *Server) clients() *provision.Clients {
	a := c.accounts.Admin
	clients := provision.NewClients(aws.Config{
		Region: c.Region(), BaseEndpoint: aws.String(c.Endpoints().AWS),
		Credentials: credentials.NewStaticCredentialsProvider(a.AccessKeyID, a.SecretAccessKey, ""),
		HTTPClient:  &http.Client{Transport: &http.Transport{}, Timeout: time.Minute},
	})
	if c.s3 == nil {
		clients.S3 = c.objects.SDK()
	}
	return clients
}
