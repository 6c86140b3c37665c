package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/stagelog/stagelog/internal/accesslog"
)

func newFormat(e *env) *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "format",
		Short: "Print, lint and explain access log formats",
		Example: `  stagelog format print usage
  stagelog format lint my-format.txt
  stagelog format lint --fix - < my-format.txt
  stagelog format explain '$context.identity.apiKeyId'`,
	})
	cmd.AddCommand(newFormatPrint(e), newFormatLint(e), newFormatExplain(e))
	return cmd
}

func newFormatPrint(e *env) *cobra.Command {
	return &cobra.Command{
		Use:       "print [classic|usage|full|apiable]",
		Short:     "Print a format for a stage's access log settings",
		Args:      cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs),
		ValidArgs: accesslog.Presets(),
		RunE: func(_ *cobra.Command, args []string) error {
			name := "classic"
			if len(args) == 1 {
				name = args[0]
			}
			format, _ := accesslog.Preset(name)
			if e.json {
				return printJSON(e.stdout, map[string]string{"name": name, "format": format})
			}
			_, err := io.WriteString(e.stdout, format)
			return err
		},
	}
}

func newFormatLint(e *env) *cobra.Command {
	var fix bool
	cmd := &cobra.Command{
		Use:   "lint FILE|-",
		Short: "Check a format for errors, invalid JSON and exposed secrets",
		Long: `Checks a format and prints the cause, consequence and fix of each problem. Exits with 1 if
there is an error. With --fix, the fixed format goes to stdout and the problems to stderr.`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			format, err := readFormat(e.stdin, args[0])
			if err != nil {
				return err
			}
			findings := accesslog.Lint(format)
			out := e.stdout
			if fix {
				out = e.stderr
				var fixed string
				fixed, findings = accesslog.Fix(format)
				if _, err := io.WriteString(e.stdout, fixed); err != nil {
					return err
				}
			}
			return reportFindings(e, out, findings, fix)
		},
	}
	cmd.Flags().BoolVar(&fix, "fix", false, "print the format with all automatic fixes applied")
	return cmd
}

// reportFindings prints the findings and returns an error if one of them is an error.
func reportFindings(e *env, out io.Writer, findings []accesslog.Finding, fixed bool) error {
	errs := 0
	for _, f := range findings {
		if f.Severity == accesslog.Error {
			errs++
		}
	}
	switch {
	case e.json && !fixed:
		if err := printJSON(out, map[string]any{"findings": findings, "errors": errs}); err != nil {
			return err
		}
	case len(findings) == 0:
		fmt.Fprintln(out, "ok: no problems found")
	default:
		for _, f := range findings {
			fmt.Fprintln(out, f)
			if f.Fix != "" {
				fmt.Fprintf(out, "  fix: %s\n", f.Fix)
			}
		}
	}
	if errs > 0 {
		return exitError(exitFailed)
	}
	return nil
}

func newFormatExplain(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "explain [VARIABLE]",
		Short: "Explain a $context variable or list all of them",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			all := accesslog.Catalogue()
			if len(args) == 1 {
				v, ok := accesslog.Explain(args[0])
				if !ok {
					return fmt.Errorf("unknown variable %s; `stagelog format explain` lists all variables", args[0])
				}
				all = []accesslog.Variable{v}
			}
			if e.json {
				return printJSON(e.stdout, all)
			}
			w := tabwriter.NewWriter(e.stdout, 0, 4, 2, ' ', 0)
			for _, v := range all {
				fmt.Fprintf(w, "%s\t%s\t%s\n", v.Name, v.Meaning, v.Example)
				if v.Notes != "" && len(args) == 1 {
					fmt.Fprintf(w, "\t%s\n", v.Notes)
				}
			}
			return w.Flush()
		},
	}
}

func readFormat(stdin io.Reader, name string) (string, error) {
	in := stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return "", fmt.Errorf("read format: %w", err)
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, accesslog.MaxFormatBytes+1))
	if err != nil {
		return "", fmt.Errorf("read format: %w", err)
	}
	if len(data) > accesslog.MaxFormatBytes {
		return "", fmt.Errorf("read format: %s is over %d bytes; a format is one line of at most about 3 KB", name, accesslog.MaxFormatBytes)
	}
	return strings.ToValidUTF8(string(data), "\uFFFD"), nil
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
