package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/stagelog/stagelog/internal/durable"
	"github.com/stagelog/stagelog/internal/pipeline"
)

func newExport(e *env) *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "export",
		Short: "Print the pipeline as Terraform or CloudFormation, or the function's zip",
		Long: `The same resources that deploy makes, as code for people who deploy otherwise. Nothing is read
from AWS and nothing is changed. Each begins with what to run.`,
		Example: `  stagelog export terraform > stagelog.tf
  stagelog export cloudformation > stagelog.yaml.cfn
  stagelog export zip --out stagelog-enricher.zip`,
	})
	cmd.AddCommand(
		newExportZip(e),
	)
	return cmd
}

func newExportZip(e *env) *cobra.Command {
	var out, arch string
	cmd := &cobra.Command{
		Use:   "zip",
		Short: "Write the enrichment function's deployment package",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if arch != "arm64" && arch != "x86_64" {
				return usageError{fmt.Errorf("--arch %s: Lambda has arm64 and x86_64", arch)}
			}
			return writeZip(cmd.Context(), e, out, arch)
		},
	}
	cmd.Flags().StringVar(&out, "out", "stagelog-enricher.zip", "the file to write")
	cmd.Flags().StringVar(&arch, "arch", pipeline.DefaultArchitecture, "arm64 or x86_64")
	return cmd
}

func writeZip(ctx context.Context, e *env, out, arch string) error {
	data, err := functionZip(ctx, e, "", arch)
	if err != nil {
		return err
	}
	if err := durable.WriteFile(out, data, 0o644); err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	if e.json {
		return printJSON(e.stdout, map[string]any{"file": out, "architecture": arch, "bytes": len(data), "sha256": hex.EncodeToString(sum[:])})
	}
	fmt.Fprintf(e.stderr, "wrote %s: %s, %d bytes, sha256 %x\n", out, arch, len(data), sum)
	return nil
}
