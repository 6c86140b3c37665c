package enrich

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/stagelog/stagelog/internal/accesslog"
)

// role is the meaning of a field. The output roles come last and in the order of the output.
type role uint8

const (
	roleKeyID role = iota
	roleAPIID
	roleStage
	roleAPIKey
	roleUsagePlan
	roleCustomer
	rolePlanID

	roleNone
)

const (
	inputs  = int(roleAPIKey)
	outputs = int(roleNone - roleUsagePlan)
)

// String returns the role's name in messages.
func (r role) String() string {
	return [...]string{"key id", "API id", "stage", "API key", "usage plan", "customer", "usage plan id", "none"}[r]
}

// inputVariables are the variables of the roles that enrichment reads. The API key's value comes last.
var inputVariables = [...]string{roleKeyID: accesslog.VarKeyID, roleAPIID: accesslog.VarAPIID, roleStage: accesslog.VarStage, roleAPIKey: accesslog.VarAPIKey}

// field is a field of a record's object that has a role, or that leads to one that has.
type field struct {
	name          string
	role          role
	before, after string  // with roleAPIKey: the text around the key
	inside        *fields // of its own object or list; nil if no field in it has a role
	next          uint16  // 1 more than the index of the next field in the same slot, 0 for none
}

// fields finds the fields of an object by name. Most names are not in it, which one lookup in the
// table, by length, first and last byte, shows.
type fields struct {
	all   []field
	table [64]uint16 // 1 more than the index of the slot's first field, 0 for none
}

// newFields returns the fields of a record with the given format. The names of the outputs are by
// role; "" means that there is none.
func newFields(format *accesslog.Format, mode APIKeyMode, names [outputs]string) (*fields, error) {
	root := &fields{}
	for k, name := range names {
		if name == "" {
			continue
		}
		if f := root.add(name); f.role == roleNone {
			f.role = roleUsagePlan + role(k)
		} else {
			return nil, fmt.Errorf("field %q is used for both %s and %s", name, f.role, roleUsagePlan+role(k))
		}
	}
	var used []role
	for _, p := range roles(format, mode) {
		if p.role != roleAPIKey && slices.Contains(used, p.role) {
			continue
		}
		used = append(used, p.role)
		f := root.at(p.Path)
		switch {
		case f.role >= roleUsagePlan && f.role < roleNone:
			return nil, fmt.Errorf("field %q is used for both %s and %s", p.Path, p.role, f.role)
		case f.role == roleAPIKey || p.role == roleAPIKey && f.role != roleNone: // the format has the field twice: hide its whole value
			f.role, f.before, f.after = roleAPIKey, "", ""
		default:
			f.role = p.role
			f.before, f.after, _ = p.Around(inputVariables[p.role])
		}
	}
	return root, nil
}

// place is a place of a format, or of the classic format, with its role.
type place struct {
	accesslog.Place
	role role
}

// roles returns the places that have an input role, in order. A format that lacks a role's variable
// gets its field in the classic format: a stream that was built by hand may receive such lines, and
// their keys must be hidden as well.
func roles(format *accesslog.Format, mode APIKeyMode) (all []place) {
	last := roleAPIKey
	if mode == Keep {
		last = roleStage
	}
	names, found := format.Names(), [len(inputVariables)]bool{}
	for _, p := range format.Places() {
		for r := range last + 1 {
			if p.Variable() == inputVariables[r] || r == roleAPIKey && p.Has(inputVariables[r]) {
				all, found[r] = append(all, place{p, r}), true
			}
		}
	}
	for r := range last + 1 {
		if name := classicFields[inputVariables[r]]; !found[r] && !slices.Contains(names, name[0]) {
			all = append(all, place{accesslog.Place{Path: name, Text: inputVariables[r]}, r})
		}
	}
	return all
}

// markOf returns an input role whose field each line of the format has.
func markOf(format *accesslog.Format) role {
	found := format.Fields()
	for r := range roleAPIKey {
		if found[inputVariables[r]] != nil {
			return r
		}
	}
	return roleKeyID
}

var classicFields = accesslog.Parse(accesslog.Classic).Fields()

// Essential returns the shortest format for which enrichment does the same as for this one.
func Essential(format *accesslog.Format) string {
	needed := roles(format, Mask)
	return format.Select(func(p accesslog.Place) bool {
		if slices.ContainsFunc(needed, func(n place) bool { return slices.Equal(n.Path, p.Path) && n.Text == p.Text }) {
			return true
		}
		// Without its own field of this name, the format would get that of the classic format.
		return slices.ContainsFunc(inputVariables[:], func(v string) bool { return slices.Equal(classicFields[v], p.Path) })
	})
}

// Hidden returns the places in records of this format in which enrichment hides the API key's value, unless the mode is Keep.
func Hidden(format *accesslog.Format) (hidden []accesslog.Place) {
	for _, p := range roles(format, Mask) {
		if p.role == roleAPIKey {
			hidden = append(hidden, p.Place)
		}
	}
	return hidden
}

// at returns the field at a path, and adds it if there is none.
func (fs *fields) at(path accesslog.Path) *field {
	f := fs.add(path[0])
	for _, name := range path[1:] {
		if f.inside == nil {
			f.inside = &fields{}
		}
		f = f.inside.add(name)
	}
	return f
}

// add returns the field with this name, and adds it if there is none. The result is valid until the next call.
func (fs *fields) add(name string) *field {
	if f := fs.find([]byte(name)); f != nil {
		return f
	}
	s := slot([]byte(name))
	fs.all = append(fs.all, field{name: name, role: roleNone, next: fs.table[s]})
	fs.table[s] = uint16(len(fs.all))
	return &fs.all[len(fs.all)-1]
}

// find returns the field with this decoded name, or nil.
func (fs *fields) find(name []byte) *field {
	i := fs.table[slot(name)]
	if i == 0 {
		return nil
	}
	return fs.compare(name, i)
}

// element returns the field of element k of a list, or nil.
func (fs *fields) element(k int) *field {
	var name [24]byte
	return fs.find(append(strconv.AppendInt(append(name[:0], '['), int64(k), 10), ']'))
}

func (fs *fields) compare(name []byte, i uint16) *field {
	for i != 0 {
		f := &fs.all[i-1]
		if f.name == string(name) {
			return f
		}
		i = f.next
	}
	return nil
}

// slot returns the table index of a name.
func slot(name []byte) int {
	if len(name) == 0 {
		return 0
	}
	return (len(name) ^ int(name[0])<<2 ^ int(name[len(name)-1])) & 63
}
