package apigateway

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/stagelog/stagelog/internal/localaws/wire"
)

// maxPatchOperations bounds one update. AWS's limit is not documented; Terraform and the
// console send a few dozen.
const maxPatchOperations = 200

// patchOp is one operation of an update. Value distinguishes a missing value from an empty one.
type patchOp struct {
	Op    string  `json:"op"`
	Path  string  `json:"path"`
	Value *string `json:"value"`
	From  *string `json:"from"`
}

func (op patchOp) value() string {
	if op.Value == nil {
		return ""
	}
	return *op.Value
}

// segments splits the path at its slashes and unescapes ~1 and ~0 (JSON pointer).
func (op patchOp) segments() []string {
	parts := strings.Split(strings.TrimPrefix(op.Path, "/"), "/")
	for i, p := range parts {
		parts[i] = unescapePointer(p)
	}
	return parts
}

func unescapePointer(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "~1", "/"), "~0", "~")
}

// patches reads the operations of an update. input names the operation's input in AWS's messages:
// "updateStageInput".
func (c *call) patches(input string) ([]patchOp, error) {
	var in struct {
		PatchOperations []patchOp `json:"patchOperations"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if len(in.PatchOperations) > maxPatchOperations {
		return nil, badRequest("Too many patch operations: at most %d are allowed", maxPatchOperations)
	}
	for i, op := range in.PatchOperations {
		switch op.Op {
		case "add", "remove", "replace":
		case "move", "test", "copy":
			return nil, badRequest("Invalid patch operation specified. Must be 'add'|'remove'|'replace'")
		default:
			return nil, invalid(clip(op.Op), input+".patchOperations."+strconv.Itoa(i+1)+".member.op",
				"Member must satisfy enum value set: [add, remove, move, test, replace, copy]")
		}
		if op.Path == "" {
			return nil, badRequest("Invalid patch path null")
		}
		if len(op.Path) > 4096 {
			return nil, badRequest("Invalid patch path: too long")
		}
	}
	return in.PatchOperations, nil
}

// update describes how one kind of resource is updated.
type update[T any] struct {
	input string // the operation's input in AWS's messages, "updateStageInput"
	clone func(*T) *T
	patch func(*T, patchOp) error
	check func(old, changed *T) error // nil: patch checks enough
	put   func(context.Context, *T) error
}

// apply stores a copy of old with all operations applied, or changes nothing.
func (u update[T]) apply(ctx context.Context, old *T, ops []patchOp) (*T, error) {
	changed := u.clone(old)
	for _, op := range ops {
		if err := u.patch(changed, op); err != nil {
			return nil, err
		}
	}
	if u.check != nil {
		if err := u.check(old, changed); err != nil {
			return nil, err
		}
	}
	return changed, u.put(ctx, changed)
}

// patch returns the handler that updates the resource that find returns.
func patch[T, W any](find func(*call) (*T, error), u update[T], wire func(*T) W) handler {
	return func(c *call) (any, error) {
		ops, err := c.patches(u.input)
		if err != nil {
			return nil, err
		}
		old, err := find(c)
		if err != nil {
			return nil, err
		}
		changed, err := u.apply(c.Context(), old, ops)
		return answer(changed, err, wire)
	}
}

// allowed lists the paths that an update accepts, by operation, in the order of AWS's messages.
type allowed map[string][]string

// refuse returns the error for a path that the update does not accept. The two spaces are AWS's.
func (a allowed) refuse(op patchOp) *wire.Error {
	paths := a[op.Op]
	if len(paths) == 0 {
		return badRequest("Invalid patch path  '%s' specified for op '%s'. Please choose supported operations", clip(op.Path), op.Op)
	}
	return badRequest("Invalid patch path  '%s' specified for op '%s'. Must be one of: [%s]", clip(op.Path), op.Op, strings.Join(paths, ", "))
}

func (a allowed) has(op patchOp) bool { return slices.Contains(a[op.Op], op.Path) }

// clip shortens a value that a message quotes.
func clip(s string) string {
	if len(s) > 200 {
		return clipTo(s, 200) + "..."
	}
	return s
}
