package doctor

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/provision"
)

// repair returns the fix for a resource that deploy manages: stagelog deploy if the chain
// belongs to the pipeline, else command and how to let stagelog manage the chain.
func (r *run) repair(s *stream, command string) string {
	switch {
	case r.t.Spec == nil:
		return command + "\nor let stagelog manage the chain: stagelog init --adopt, then stagelog deploy --adopt"
	case r.ours(s) && s.owned:
		return "stagelog deploy"
	default:
		return command + "\nor let stagelog manage the chain: stagelog deploy --adopt"
	}
}

// setting returns the fix for a setting of stagelog.yaml. If the pipeline asks for what is there, a deploy changes nothing, so
// the fix is to change the file as advice says; else it is that of repair.
func (r *run) setting(s *stream, asked bool, advice, command string) string {
	if r.ours(s) && s.owned && asked {
		return advice + " in stagelog.yaml, then stagelog deploy"
	}
	return r.repair(s, command)
}

// deliver returns the pipeline's settings of delivery, the zero value without a pipeline.
func (r *run) deliver() config.Deliver {
	if r.t.Spec == nil {
		return config.Deliver{}
	}
	return r.t.Spec.Pipeline.Deliver
}

// stageFix returns the fix for a stage's access log settings: deploy, unless the stage's owner sets them.
func (r *run) stageFix(deploy string) string {
	if r.t.Spec != nil && r.t.Spec.StagesElsewhere {
		return provision.StageSettings(r.t.Spec)
	}
	return deploy
}

// repairStage returns the fix for a stage that logs to s.
func (r *run) repairStage(s *stream, command string) string {
	return r.stageFix(r.repair(s, command))
}

// repairRole returns the fix for a role: command if stagelog.yaml names it as an existing role, which deploy does not change.
func (r *run) repairRole(s *stream, ro *provision.RolePolicies, command string) string {
	if r.t.Spec != nil && (ro.ARN == r.t.Spec.Pipeline.AWS.FunctionRole || ro.ARN == r.t.Spec.Pipeline.AWS.FirehoseRole) {
		return command + "\nor ask the owner of the role: stagelog.yaml names it, so deploy does not change it"
	}
	return r.repair(s, command)
}

// ours reports whether s is the pipeline's own stream.
func (r *run) ours(s *stream) bool {
	return s != nil && r.t.Spec != nil && s.arn == r.t.Spec.StreamARN()
}

// command returns a command of the AWS CLI, with its arguments quoted for a shell.
func command(args ...string) string { return provision.AWSCommand(args...) }

// statement is a policy statement with its fields in the usual order.
type statement struct {
	Effect    string
	Principal any      `json:",omitempty"`
	Action    []string `json:",omitempty"`
	Resource  []string `json:",omitempty"`
}

func allowStatement(actions, resources []string) string {
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(provision.CompactJSON(statement{Effect: "Allow", Action: actions, Resource: resources})), "", "  "); err != nil {
		panic("BUG: " + err.Error())
	}
	return b.String()
}

// addToRole returns the command that adds statements to a role as a further inline policy.
// The policy name is derived from the statements, so that two commands for one role do not
// overwrite each other.
func addToRole(role string, statements []statement) string {
	doc := struct {
		Version   string
		Statement []statement
	}{"2012-10-17", statements}
	text := provision.CompactJSON(doc)
	name := fmt.Sprintf("stagelog-doctor-%.4x", sha256.Sum256([]byte(text)))
	return command("iam", "put-role-policy", "--role-name", role, "--policy-name", name, "--policy-document", text)
}

// updateDestination returns the command that changes a stream's destination.
func (s *stream) updateDestination(change any) string {
	// The command looks up the version when it runs, because every update creates a new one.
	version := "$(" + command("firehose", "describe-delivery-stream", "--region", s.region, "--delivery-stream-name", s.name,
		"--query", "DeliveryStreamDescription.VersionId", "--output", "text") + ")"
	return command("firehose", "update-destination", "--region", s.region, "--delivery-stream-name", s.name, "--destination-id", s.destinationID) +
		` --current-delivery-stream-version-id "` + version + `" --extended-s3-destination-update ` + provision.ShellWord(provision.CompactJSON(change))
}

// listed joins names with commas, and abbreviates a long list.
func listed(names []string) string {
	const most = 6
	if more := len(names) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), more)
	}
	return strings.Join(names, ", ")
}

// oneLine returns JSON text without insignificant whitespace.
func oneLine(text string) string {
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(text)); err != nil {
		return text
	}
	return b.String()
}

// seconds formats d in the unit of Firehose's settings.
func seconds(d time.Duration) string { return fmt.Sprintf("%d s", int(d.Seconds())) }

// below describes where objects with a prefix are.
func below(prefix string) string {
	if prefix == "" {
		return "in the bucket"
	}
	return "below " + prefix
}
