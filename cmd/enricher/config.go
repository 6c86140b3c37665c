package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/delivery/enrich"
	"github.com/stagelog/stagelog/internal/delivery/function"
	"github.com/stagelog/stagelog/internal/usageplan"
)

// environ reads environment variables.
type environ func(name string) string

// first returns the value of the first named variable that is set.
func (env environ) first(names ...string) string {
	for _, name := range names {
		if v := env(name); v != "" {
			return v
		}
	}
	return ""
}

// newEnricher builds the enricher from the environment. It makes no AWS calls.
func newEnricher(env environ, logger *slog.Logger) (*enricher, error) {
	cfg, err := recordConfig(env)
	if err != nil {
		return nil, err
	}
	dir, err := newIndex(env, logger)
	if err != nil {
		return nil, err
	}
	records, err := enrich.New(cfg, dir)
	if err != nil {
		return nil, fmt.Errorf("configure enrichment: %w", err)
	}
	limitMemory(env)
	return &enricher{dir: dir, records: records, handler: function.NewHandler(records), log: logger, name: env("AWS_LAMBDA_FUNCTION_NAME")}, nil
}

// recordConfig returns the input and output fields of records.
func recordConfig(env environ) (enrich.Config, error) {
	usagePlan, customer, planID := "usage_plan", "customer", "usage_plan_id"
	switch preset := env("STAGELOG_PRESET"); preset {
	case "", "none":
	case "apiable":
		usagePlan, customer, planID = "plan_id", "subscription_id", ""
	default:
		return enrich.Config{}, fmt.Errorf("unknown STAGELOG_PRESET %q; use apiable or none", preset)
	}
	format, err := function.FormatOf(env)
	if err != nil {
		return enrich.Config{}, err
	}
	if fields := format.Fields(); fields[accesslog.VarKeyID] == nil || fields[accesslog.VarAPIID] == nil || fields[accesslog.VarStage] == nil {
		return enrich.Config{}, errors.New("the log format has no field for the key id, the API id or the stage, " +
			"which are required to find the usage plan and the customer")
	}
	return enrich.Config{
		Format:      format,
		UsagePlan:   outputName(env("STAGELOG_USAGE_PLAN"), usagePlan),
		Customer:    outputName(env("STAGELOG_CUSTOMER"), customer),
		UsagePlanID: outputName(env("STAGELOG_USAGE_PLAN_ID"), planID),
		APIKey:      enrich.APIKeyMode(env("STAGELOG_API_KEY")),
		HashSalt:    []byte(env("STAGELOG_HASH_SALT")),
	}, nil
}

func outputName(given, otherwise string) string {
	switch given {
	case "":
		return otherwise
	case "-":
		return ""
	}
	return given
}

// newIndex returns the usage plan index with its sources.
func newIndex(env environ, logger *slog.Logger) (*usageplan.Index, error) {
	region := env.first("AWS_REGION", "AWS_DEFAULT_REGION")
	credentials := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: env("AWS_ACCESS_KEY_ID"), SecretAccessKey: env("AWS_SECRET_ACCESS_KEY"),
			SessionToken: env("AWS_SESSION_TOKEN"), Source: "environment"}, nil
	})
	source, err := usageplan.NewAPISource(usageplan.APIConfig{
		Region: region, Credentials: credentials,
		Endpoint: env.first("STAGELOG_APIGATEWAY_ENDPOINT", "AWS_ENDPOINT_URL_API_GATEWAY", "AWS_ENDPOINT_URL"),
	})
	if err != nil {
		return nil, fmt.Errorf("configure API Gateway: %w", err)
	}
	cfg := usageplan.Config{Source: source, Logger: logger}
	if v := env("STAGELOG_REFRESH"); v != "" {
		if cfg.Every, err = time.ParseDuration(v); err != nil || cfg.Every <= 0 {
			return nil, fmt.Errorf("STAGELOG_REFRESH %q is not a valid duration such as 60s", v)
		}
	}
	if v := env("STAGELOG_SNAPSHOT"); v != "" {
		bucket, key, err := snapshotObject(v)
		if err != nil {
			return nil, err
		}
		cfg.Store, err = usageplan.NewS3Store(usageplan.S3Config{
			Bucket: bucket, Key: key, Region: region, Credentials: credentials,
			Endpoint: env.first("STAGELOG_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
		})
		if err != nil {
			return nil, fmt.Errorf("configure shared snapshot: %w", err)
		}
	}
	dir, err := usageplan.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("configure index: %w", err)
	}
	return dir, nil
}

func snapshotObject(v string) (bucket, key string, err error) {
	u, err := url.Parse(v)
	if err != nil || u.Scheme != "s3" || u.Host == "" || len(u.Path) < 2 {
		return "", "", fmt.Errorf("STAGELOG_SNAPSHOT %q must have the form s3://bucket/key", v)
	}
	return u.Host, u.Path[1:], nil
}

// limitMemory makes the garbage collector respect the function's memory size, beyond which Lambda kills it.
func limitMemory(env environ) {
	if mb, err := strconv.ParseInt(env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"), 10, 64); err == nil && mb > 0 {
		debug.SetMemoryLimit(mb << 20 / 4 * 3)
	}
}
