// Package export writes a pipeline as a Terraform configuration or a CloudFormation template,
// for users who do not run `stagelog deploy`: the same resources with the same names, documents
// and tags, so that plan and doctor work on the result. It also writes SQL for Amazon Athena.
//
// The text is independent of the account and Region in which it is applied, and the same for the
// same pipeline and zip.
package export

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/provision/policy"
	"github.com/stagelog/stagelog/internal/record"
)

// zipFile is the file name of the function's deployment package in the exported texts.
const zipFile = "stagelog-enricher.zip"

// settings holds the values of a pipeline, with placeholders for those known only when applied.
type settings struct {
	*desired.Spec
	want *desired.Resources
	zip  [sha256.Size]byte

	ownersPolicy string // statements that the owner of another account's bucket must add to its policy, as JSON; "" for an own bucket
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
	set := &settings{Spec: spec, want: want, zip: sha256.Sum256(s.Zip)}
	if want.Bucket.Others {
		placed := *s
		placed.Region, placed.Account, placed.Partition = s.Pipeline.Region, s.Pipeline.Account, record.Partition(s.Pipeline.Region)
		owned, err := desired.New(&placed)
		if err != nil {
			return nil, err
		}
		set.ownersPolicy = owned.BucketPolicy.StatementsJSON()
	}
	return set, nil
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

// patch returns the patch operations of UpdateStage that make a stage log to the stream.
func (s *settings) patch() string {
	return provision.AccessLogPatch(s.StreamARN(), s.want.AccessLogFormat)
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

// Placeholders for values that are known only when the text is applied. They are characters of
// Unicode's private use area, so they do not occur in other text.
const (
	partition = "\uE001"
	region    = "\uE002"
	account   = "\uE003"
)

// elsewhere returns the pipeline with placeholders for partition, Region and account.
func elsewhere(s *desired.Spec) *desired.Spec {
	moved := *s
	moved.Partition, moved.Region, moved.Account = partition, region, account
	return &moved
}

// known reports whether a text contains no placeholder.
func known(text string) bool { return !strings.ContainsAny(text, partition+region+account) }

// The values of a resource are a tree of YAML nodes, because their mappings are ordered and the
// JSON of a policy is valid YAML. Both languages are generated from it.

// object returns a mapping of alternating names and values. It omits names with a nil value.
func object(pairs ...any) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != nil {
			n.Content = append(n.Content, scalar("!!str", pairs[i].(string)), value(pairs[i+1]))
		}
	}
	return n
}

// optional returns nil for a nil or empty text.
func optional(text *string) any {
	if text == nil || *text == "" {
		return nil
	}
	return *text
}

// given returns nil for a setting that is left unchanged or removed.
func given(text string) any {
	if text == "" || text == config.None {
		return nil
	}
	return text
}

// path returns nil for the default path of a role.
func path(r desired.Role) any {
	if r.Path == "/" {
		return nil
	}
	return r.Path
}

// days returns nil if the retention is left to the account.
func days(g desired.LogGroup) any {
	if g.Days == 0 {
		return nil
	}
	return g.Days
}

func list(values ...any) *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
	for _, v := range values {
		n.Content = append(n.Content, value(v))
	}
	return n
}

func scalar(tag, text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: text}
}

func value(v any) *yaml.Node {
	switch v := v.(type) {
	case *yaml.Node:
		return v
	case string:
		return scalar("!!str", v)
	case bool:
		return scalar("!!bool", strconv.FormatBool(v))
	case int:
		return scalar("!!int", strconv.Itoa(v))
	case int32:
		return scalar("!!int", strconv.Itoa(int(v)))
	case policy.Document:
		return jsonTree(v.JSON())
	}
	panic(fmt.Sprintf("BUG: unsupported value of type %T", v))
}

// jsonTree returns a JSON document as a tree.
func jsonTree(text string) *yaml.Node {
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(text), &n); err != nil {
		panic("BUG: a JSON document is not YAML: " + err.Error())
	}
	plain(&n)
	return n.Content[0]
}

// plain removes the JSON style from the nodes.
func plain(n *yaml.Node) {
	n.Style = 0
	for _, c := range n.Content {
		plain(c)
	}
}

// ownersStatements returns lines that ask the owner of another account's bucket to add statements to its policy, or nothing.
func (s *settings) ownersStatements() []string {
	if s.ownersPolicy == "" {
		return nil
	}
	lines := []string{"The bucket belongs to account " + s.BucketAccount() + ". Its policy must have these statements:", ""}
	for line := range strings.Lines(s.ownersPolicy) {
		lines = append(lines, "  "+strings.TrimSuffix(line, "\n"))
	}
	return append(lines, "")
}
