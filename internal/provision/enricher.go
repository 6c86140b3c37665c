package provision

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/delivery/bucket"
	"github.com/stagelog/stagelog/internal/delivery/enrich"
	"github.com/stagelog/stagelog/internal/delivery/replay"
	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/record"
	"github.com/stagelog/stagelog/internal/usageplan"
)

// Enricher returns the enrichment of a deployed pipeline, to reprocess its records with the current usage plans and
// customers. delivered means that the records are enriched already. local means that the clients are those of `stagelog up`.
func Enricher(ctx context.Context, c *Clients, p *config.Pipeline, delivered, local bool) (*enrich.Enricher, error) {
	cfg := desired.Enrichment(p)
	cfg.MaxBytes = replay.MaxRecordBytes
	if cfg.APIKey == enrich.Hash && delivered {
		cfg.APIKey = enrich.Keep // already hashed
	}
	index, err := Customers(ctx, c, p.Bucket, desired.SnapshotKey(p))
	if err == nil && cfg.APIKey == enrich.Hash {
		cfg.HashSalt, err = hashSalt(ctx, c, p, local)
	}
	if err != nil {
		return nil, err
	}
	return enrich.New(cfg, index)
}

// hashSalt returns the salt of the pipeline's function, so that a key always has the same hash.
func hashSalt(ctx context.Context, c *Clients, p *config.Pipeline, local bool) ([]byte, error) {
	if local {
		as, err := c.S3.Options().Credentials.Retrieve(ctx)
		return desired.LocalSalt(as.SecretAccessKey), err
	}
	f, err := c.Lambda.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: aws.String(p.Function())})
	if err != nil {
		return nil, fmt.Errorf("read the salt of api_key: hash from the function: %w", err)
	}
	if f.Environment == nil || f.Environment.Variables[desired.SaltVariable] == "" {
		return nil, fmt.Errorf("function %s has no salt (%s) for api_key: hash; run `stagelog deploy` to set it", p.Function(), desired.SaltVariable)
	}
	return []byte(f.Environment.Variables[desired.SaltVariable]), nil
}

// Customers returns the current usage plans of API Gateway, and the deleted keys that are in the object key, the snapshot of the pipeline's
// functions, if there is one.
func Customers(ctx context.Context, c *Clients, name, key string) (*usageplan.Snapshot, error) {
	o := c.APIGateway.Options()
	source, err := usageplan.NewAPISource(usageplan.APIConfig{Region: o.Region, Endpoint: aws.ToString(o.BaseEndpoint), Credentials: o.Credentials, HTTPClient: o.HTTPClient})
	if err != nil {
		return nil, err
	}
	listing, err := source.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the usage plans: %w", err)
	}
	var remembered *usageplan.Snapshot
	body, err := bucket.Of(c.S3).Bucket(name).Get(ctx, key)
	switch {
	case err == nil:
		defer body.Close()
		data, err := io.ReadAll(body)
		if err == nil {
			remembered, err = usageplan.Decode(data)
		}
		if err != nil {
			return nil, fmt.Errorf("read object %s/%s: %w", name, key, err)
		}
	case !errors.Is(err, record.ErrNotFound):
		return nil, err
	}
	return usageplan.NewSnapshot(time.Now(), listing, remembered), nil
}
