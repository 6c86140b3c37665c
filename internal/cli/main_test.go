package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// call runs the program with the given environment variables and input.
func call(t *testing.T, env map[string]string, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = Run(t.Context(), Process{Args: args, Getenv: func(name string) string { return env[name] }, Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs})
	return out.String(), errs.String(), code
}

func TestHelpListsCommandsAndExitCodes(t *testing.T) {
	stdout, _, code := call(t, nil, "", "--help")
	if code != exitOK {
		t.Fatalf("--help ended with %d", code)
	}
	for _, want := range []string{"demo", "init", "up", "format", "bench", "Exit codes", "STAGELOG_"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("--help does not contain %s:\n%s", want, stdout)
		}
	}
}

func TestCommandsHaveExamples(t *testing.T) {
	root := newRoot(&env{})
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() && c.Name() != "help" && c.Example == "" {
			t.Errorf("%s has no example", c.Name())
		}
	}
}

func TestUsageErrorExitCode(t *testing.T) {
	tests := []struct {
		name string
		env  map[string]string
		args []string
		text string
	}{
		{"unknown command", nil, []string{"upp"}, "upp"},
		{"unknown flag", nil, []string{"init", "--colour"}, "--colour"},
		{"too many arguments", nil, []string{"init", "x"}, "x"},
		{"value out of range", nil, []string{"bench", "--clients", "0"}, "--clients 0"},
		{"wrong value in the environment", map[string]string{"STAGELOG_FOR": "soon"}, []string{"bench"}, "STAGELOG_FOR=soon"},
		{"unknown format", nil, []string{"format", "print", "clasic"}, "clasic"},
		{"not a number", nil, []string{"up", "--shards", "x"}, "--shards x: expected a whole number\nTry: stagelog up --help"},
		{"not a duration", nil, []string{"bench", "--for", "soon"}, "--for soon: expected a duration like 30s, 5m or 1h30m\nTry: stagelog bench --help"},
		{"no class of statuses", nil, []string{"tail", "--status", "9xx"}, "a class like 5xx"},
		{"negative number of rows", nil, []string{"report", "--top", "-1"}, "--top -1: expected 0 for all rows, or how many\nTry: stagelog report --help"},
		{"two forms", nil, []string{"report", "--csv", "--json"}, "--csv and --json exclude each other"},
		{"two forms of a query", nil, []string{"query", "--csv", "--json", "SELECT 1"}, "--csv and --json exclude each other"},
		{"help about an unknown command", nil, []string{"help", "foo"}, `unknown command "foo"`},
		{"help about an unknown subcommand", nil, []string{"help", "report", "foo"}, `unknown command "report foo"`},
		{"completion for an unknown shell", nil, []string{"completion", "foo"}, `completion: unknown command "foo"`},
		{"unknown subcommand", nil, []string{"export", "athen"}, "export: unknown command \"athen\", did you mean athena?\nTry: stagelog export --help"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, stderr, code := call(t, tt.env, "", tt.args...)
			if code != exitUsage || !strings.Contains(stderr, tt.text) || !strings.Contains(stderr, "\nTry: stagelog ") {
				t.Errorf("code %d, stderr %q; want %d and %q", code, stderr, exitUsage, tt.text)
			}
		})
	}
}

func TestInitWritesLoadableFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "stagelog.yaml")
	if _, stderr, code := call(t, nil, "", "init", "--file", file, "--name", "widgets"); code != exitOK {
		t.Fatalf("init ended with %d: %s", code, stderr)
	}
	data, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(data), "name: widgets") || !strings.Contains(string(data), "bucket: widgets-api-logs") {
		t.Fatalf("init wrote %q (%v)", data, err)
	}
	_, stderr, code := call(t, nil, "", "init", "--file", file)
	if code != exitFailed || !strings.Contains(stderr, "--force") {
		t.Errorf("a second init: code %d, %q; want %d and a hint at --force", code, stderr, exitFailed)
	}
	if _, stderr, code := call(t, nil, "", "init", "--file", file+"2", "--name", "Not A Name"); code != exitConfig {
		t.Errorf("init with a wrong name: code %d, %q; want %d", code, stderr, exitConfig)
	}
}

func TestFormatPrintPassesLint(t *testing.T) {
	for _, name := range []string{"classic", "usage", "full"} {
		format, _, code := call(t, nil, "", "format", "print", name)
		if code != exitOK || !strings.Contains(format, "$context.requestId") {
			t.Fatalf("format print %s: code %d, %q", name, code, format)
		}
		if stdout, _, code := call(t, nil, format, "format", "lint", "-"); code != exitOK {
			t.Errorf("format %s fails its own lint:\n%s", name, stdout)
		}
	}
}

func TestFormatLintJSON(t *testing.T) {
	stdout, _, code := call(t, nil, "{“a”: “$context.stage”}", "format", "lint", "--json", "-")
	var got struct {
		Errors   int
		Findings []struct{ Code, Message string }
	}
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatalf("not JSON: %v\n%s", err, stdout)
	}
	if code != exitFailed || got.Errors == 0 || len(got.Findings) < got.Errors {
		t.Errorf("code %d, %+v; want a failure with errors and their findings", code, got)
	}
}

func TestFormatExplain(t *testing.T) {
	stdout, _, code := call(t, nil, "", "format", "explain", "$context.identity.apiKeyId")
	if code != exitOK || !strings.Contains(stdout, "apiKeyId") {
		t.Errorf("code %d, %q", code, stdout)
	}
	if _, stderr, code := call(t, nil, "", "format", "explain", "$context.nonsense"); code != exitFailed || !strings.Contains(stderr, "nonsense") {
		t.Errorf("an unknown variable: code %d, %q", code, stderr)
	}
}
