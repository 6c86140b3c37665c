package cli

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/durable/atomicfile"
	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/provision/export"
	"github.com/stagelog/stagelog/internal/record"
)

func newExport(e *env) *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "export",
		Short: "Export the pipeline for Terraform, CloudFormation or Athena, or the function's zip",
		Long: `Exports the resources that deploy would create, for use with other tools. It neither reads nor
changes AWS. Each file begins with the command to run.`,
		Example: `  stagelog export terraform > stagelog.tf
  stagelog export cloudformation > stagelog-cloudformation.yaml
  stagelog export athena > athena.sql
  stagelog export zip --out stagelog-enricher.zip`,
	})
	cmd.AddCommand(
		newExportCode(e, "terraform", "Print the pipeline as Terraform", export.Terraform),
		newExportCode(e, "cloudformation", "Print the pipeline as a CloudFormation template", export.CloudFormation),
		newExportAthena(e),
		newExportZip(e),
	)
	return cmd
}

func newExportCode(e *env, name, short string, write func(*desired.Spec) ([]byte, error)) *cobra.Command {
	var region, zip string
	cmd := newExportText(e, name, short, func(ctx context.Context) ([]byte, error) {
		spec, err := exportSpec(ctx, e, region, zip)
		if err != nil {
			return nil, err
		}
		return write(spec)
	})
	cmd.Flags().StringVar(&region, "region", "", "AWS Region (default: from stagelog.yaml or AWS_REGION)")
	cmd.Flags().StringVar(&zip, "function-zip", "", "zip file of the enrichment function (default: from the release, or built with Go)")
	return cmd
}

func newExportAthena(e *env) *cobra.Command {
	return newExportText(e, "athena", "Print SQL for Amazon Athena: a table, a view and reports", func(context.Context) ([]byte, error) {
		p, err := config.Load(e.file, e.getenv)
		if err != nil {
			return nil, err
		}
		return export.Athena(p)
	})
}

func newExportText(e *env, name, short string, write func(context.Context) ([]byte, error)) *cobra.Command {
	return &cobra.Command{Use: name, Short: short, RunE: func(cmd *cobra.Command, _ []string) error {
		text, err := write(cmd.Context())
		if err != nil {
			return err
		}
		if e.json {
			return printJSON(e.stdout, map[string]string{"format": name, "text": string(text)})
		}
		_, err = e.stdout.Write(text)
		return err
	}}
}

// exportSpec returns the spec without an AWS account: Terraform and CloudFormation look it up when they run.
func exportSpec(ctx context.Context, e *env, region, zip string) (*desired.Spec, error) {
	p, err := loadForAWS(e)
	if err != nil {
		return nil, err
	}
	if region == "" && p.RegionGiven {
		region = p.Region
	}
	if region = cmp.Or(region, e.getenv("AWS_REGION")); region == "" {
		return nil, errors.New("no AWS Region; set --region, AWS_REGION, or region: in " + e.file)
	}
	arch := cmp.Or(p.AWS.Architecture, config.DefaultArchitecture)
	spec := &desired.Spec{Pipeline: p, Partition: record.Partition(region), Region: region, Account: p.Account, Architecture: arch}
	spec.Zip, err = functionZip(ctx, e, zip, arch)
	return spec, err
}

func newExportZip(e *env) *cobra.Command {
	var out, arch string
	cmd := &cobra.Command{
		Use:   "zip",
		Short: "Write the enrichment function's deployment package",
		RunE: func(cmd *cobra.Command, _ []string) error {
			arch, err := zipArchitecture(e, arch)
			if err != nil {
				return err
			}
			return writeZip(cmd.Context(), e, out, arch)
		},
	}
	cmd.Flags().StringVar(&out, "out", "stagelog-enricher.zip", "file to write")
	cmd.Flags().StringVar(&arch, "arch", "", "architecture: arm64 or x86_64 (default: aws.architecture in stagelog.yaml, or "+config.DefaultArchitecture+")")
	return cmd
}

// zipArchitecture returns the flag's value, by default that of the pipeline, if there is one.
func zipArchitecture(e *env, flag string) (string, error) {
	switch flag {
	case "arm64", "x86_64":
		return flag, nil
	case "":
	default:
		return "", usageError{fmt.Errorf("--arch %s: expected arm64 or x86_64", flag)}
	}
	p, err := config.Load(e.file, e.getenv)
	if errors.Is(err, fs.ErrNotExist) {
		return config.DefaultArchitecture, nil
	} else if err != nil {
		return "", err
	}
	return cmp.Or(p.AWS.Architecture, config.DefaultArchitecture), nil
}

func writeZip(ctx context.Context, e *env, out, arch string) error {
	data, err := functionZip(ctx, e, "", arch)
	if err != nil {
		return err
	}
	if err := atomicfile.WriteFile(out, data, 0o644); err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	if e.json {
		return printJSON(e.stdout, map[string]any{"file": out, "architecture": arch, "bytes": len(data), "sha256": hex.EncodeToString(sum[:])})
	}
	fmt.Fprintf(e.stderr, "wrote %s: %s, %d bytes, sha256 %x\n", out, arch, len(data), sum)
	return nil
}
