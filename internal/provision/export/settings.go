package export

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/provision/desired"
)

// zipFile is the file name of the function's deployment package in the exported texts.
const zipFile = "stagelog-enricher.zip"

// settings holds the values of a pipeline, with placeholders for those known only when applied.
type settings struct {
	*desired.Spec
	want *desired.Resources
	zip  [sha256.Size]byte
}

func newSettings(s *desired.Spec) (*settings, error) {
	if s.Zip == nil {
		return nil, provision.ErrNoZip
	}
	spec := elsewhere(s)
	want, err := desired.New(spec)
	if err != nil {
		return nil, err
	}
	if !known(want.AccessLogFormat + s.Pipeline.Deliver.Prefix + s.Pipeline.Deliver.ErrorPrefix) {
		return nil, errors.New("the format or a prefix contains characters of Unicode's private use area; remove them")
	}
	return &settings{spec, want, sha256.Sum256(s.Zip)}, nil
}

func (s *settings) zipHex() string    { return hex.EncodeToString(s.zip[:]) }
func (s *settings) zipBase64() string { return base64.StdEncoding.EncodeToString(s.zip[:]) }

// zipKey returns a key that differs for each zip, because CloudFormation updates the code only when
// the key changes.
func (s *settings) zipKey() string {
	return strings.TrimSuffix(zipFile, ".zip") + "-" + s.zipHex()[:16] + ".zip"
}

// stack returns the name of the stack. Stack names cannot contain underscores.
func (s *settings) stack() string { return strings.ReplaceAll(s.Function(), "_", "-") }

// hashes reports whether the function hashes API keys, which needs a secret.
func (s *settings) hashes() bool { return s.want.Function.Salted }

// environment returns the function's environment variables without the secret.
func (s *settings) environment() *yaml.Node {
	env, n := s.want.Function.Environment, object()
	for _, name := range slices.Sorted(maps.Keys(env)) {
		n.Content = append(n.Content, value(name), value(env[name]))
	}
	return n
}

// patch returns the patch operations of UpdateStage that make a stage log to the stream.
func (s *settings) patch() string {
	type operation struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value string `json:"value"`
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode([]operation{
		{"replace", "/accessLogSettings/destinationArn", s.StreamARN()},
		{"replace", "/accessLogSettings/format", s.want.AccessLogFormat},
	})
	if err != nil {
		panic("BUG: encode patch: " + err.Error())
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// comment returns lines as a comment. Both languages start comments with #.
func comment(lines ...string) string {
	var b strings.Builder
	for _, line := range lines {
		b.WriteString(strings.TrimRight("# "+line, " ") + "\n")
	}
	return b.String()
}

// stageCommands returns shell commands that show and then change the access log settings of the
// pipeline's stages. patch is the command that prints the patch operations.
func (s *settings) stageCommands(home, patch string) []string {
	lines := []string{"  PATCH=\"$(" + patch + ")\""}
	for _, st := range s.Pipeline.Stages {
		which := " --region " + home + " --rest-api-id " + st.API + " --stage-name " + st.Stage
		lines = append(lines,
			"  aws apigateway get-stage"+which+" --query accessLogSettings",
			"  aws apigateway update-stage"+which+" --patch-operations \"$PATCH\"")
	}
	return lines
}
