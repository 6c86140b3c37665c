package provision

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/firehose"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision/desired"
)

// takeFlag begins the flag that TakeFrom returns.
const takeFlag = "--take-from "

// TakeFrom returns the flag that permits changes to the resources of another pipeline, which is named by its Spec.Owner.
func TakeFrom(owner string) Flag { return Flag(takeFlag + owner) }

// TakeFromAll permits changes to the resources of every pipeline. No command has it.
const TakeFromAll Flag = takeFlag + "*"

// From returns the pipeline that TakeFrom names.
func (f Flag) From() (owner string, ok bool) { return strings.CutPrefix(string(f), takeFlag) }

// in reports whether the flag is not required, or given.
func (f Flag) in(given []Flag) bool {
	_, takes := f.From()
	return f == NoFlag || slices.Contains(given, f) || takes && slices.Contains(given, TakeFromAll)
}

// otherPipelines finds out which other pipelines exist. It looks for each only once.
type otherPipelines struct {
	c *Clients

	mu    sync.Mutex // guards known
	known map[string]existence
}

// existence is the answer to whether a pipeline exists, in the words that follow its name.
type existence struct {
	text string
	gone bool
}

// judge completes the state of a resource that carries the tag of another pipeline: AdoptFlag suffices if that pipeline no
// longer exists.
func (o *otherPipelines) judge(ctx context.Context, state *State) {
	owner, ok := state.RequiredFlag.From()
	if !ok || o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	is, known := o.known[owner]
	if !known {
		is = o.look(ctx, owner)
		if o.known == nil {
			o.known = map[string]existence{}
		}
		o.known[owner] = is
	}
	state.Reason += ", " + is.text
	if is.gone {
		state.RequiredFlag = AdoptFlag
	}
}

// look looks for the delivery stream of a pipeline: deploy creates it before a stage logs, and destroy removes it after the stages.
func (o *otherPipelines) look(ctx context.Context, owner string) existence {
	region, name, _ := strings.Cut(owner, "/")
	stream := (&config.Pipeline{Name: name}).Stream()
	in := &firehose.ListTagsForDeliveryStreamInput{DeliveryStreamName: &stream, Limit: aws.Int32(maxStreamTags)}
	out, err := o.c.Firehose.ListTagsForDeliveryStream(ctx, in, func(o *firehose.Options) { o.Region = region })
	switch {
	case awserr.NotFound(err):
		return existence{"whose delivery stream no longer exists", true}
	case err != nil:
		return existence{"and it is unknown whether that still exists: its delivery stream " + stream + " in " + region + " could not be read: " + reasonOf(err), false}
	case tagsOf(out.Tags)[desired.OwnerTag] != owner:
		return existence{"whose delivery stream has another owner now", true}
	}
	return existence{"which exists: its delivery stream is " + stream + " in " + region, false}
}
