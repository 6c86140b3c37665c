package provision

import (
	"regexp"
	"strings"

	"github.com/stagelog/stagelog/internal/record"
)

var safeInShell = regexp.MustCompile(`^[A-Za-z0-9_./:@%+=,-]+$`)

// ShellWord quotes a text for a shell if necessary.
func ShellWord(s string) string {
	if safeInShell.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// AWSCommand returns a command of the AWS CLI, with its arguments quoted for a shell.
func AWSCommand(args ...string) string {
	words := []string{"aws"}
	for _, a := range args {
		words = append(words, ShellWord(a))
	}
	return strings.Join(words, " ")
}

// SetLoggingCommand returns the command that sets a stage's access log settings; an empty one is left unchanged.
func SetLoggingCommand(region string, st record.StageRef, destination, format string) string {
	return AWSCommand("apigateway", "update-stage", "--region", region, "--rest-api-id", st.API, "--stage-name", st.Stage,
		"--patch-operations", AccessLogPatch(destination, format))
}
