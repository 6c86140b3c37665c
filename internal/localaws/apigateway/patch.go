package apigateway

import (
	"slices"
	"strconv"
	"strings"
)

// maxPatchOperations bounds one update. AWS's limit is not documented; Terraform and the
// console send a few dozen.
const maxPatchOperations = 200

// patchOp is one operation of an update. A missing value is told from an empty one.
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

// segments cuts the path at its slashes and unescapes ~1 and ~0 (JSON pointer).
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

// patches reads the operations of an update. input is the operation's input in AWS's
// messages, "updateStageInput".
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

// patched applies the operations of the call's update to a copy of old. It returns err, the error
// of finding old, unless the operations themselves are malformed.
func patched[T any](c *call, old *T, err error, u update[T]) (*T, error) {
	ops, malformed := c.patches(u.input)
	switch {
	case malformed != nil:
		return nil, malformed
	case err != nil:
		return nil, err
	}
	changed := u.clone(old)
	for _, op := range ops {
		if err := u.patch(changed, op); err != nil {
			return nil, err
		}
	}
	return changed, nil
}

// update describes how one kind of resource is updated.
type update[T any] struct {
	input string // the operation's input in AWS's messages, "updateStageInput"
	clone func(*T) *T
	patch func(*T, patchOp) error
}

// allowed are the paths that one kind of update takes, by operation, in the order of AWS's messages.
type allowed map[string][]string

// refuse is the message for a path that the update does not take. The two spaces are AWS's.
func (a allowed) refuse(op patchOp) *Error {
	paths := a[op.Op]
	if len(paths) == 0 {
		return badRequest("Invalid patch path  '%s' specified for op '%s'. Please choose supported operations", clip(op.Path), op.Op)
	}
	return badRequest("Invalid patch path  '%s' specified for op '%s'. Must be one of: [%s]", clip(op.Path), op.Op, strings.Join(paths, ", "))
}

func (a allowed) has(op patchOp) bool { return slices.Contains(a[op.Op], op.Path) }

// clip bounds what a message echoes.
func clip(s string) string {
	if len(s) > 200 {
		return strings.ToValidUTF8(s[:200], "") + "..."
	}
	return s
}
