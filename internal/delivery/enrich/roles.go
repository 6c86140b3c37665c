package enrich

import "fmt"

// role is the meaning of a member. The output roles come last and in the order of the output.
type role uint8

const (
	roleKeyID role = iota
	roleAPIID
	roleStage
	roleAPIKey
	roleUsagePlan
	roleCustomer
	rolePlanID
	roleCount

	roleNone = roleCount
)

const (
	inputs  = int(roleAPIKey)
	outputs = int(roleCount - roleUsagePlan)
)

// roles finds the role of a member by its name. Most members have none, which one lookup in the
// table, by length, first and last byte, shows.
type roles struct {
	names [roleCount]string
	table [64]uint8 // bit set of the roles with a name in this slot
}

func newRoles(names [roleCount]string) (roles, error) {
	r := roles{names: names}
	for i, name := range names {
		if name == "" {
			continue
		}
		for k, other := range names[:i] {
			if name == other {
				return r, fmt.Errorf("field %q is used for both %s and %s", name, role(k), role(i))
			}
		}
		r.table[slot([]byte(name))] |= 1 << i
	}
	return r, nil
}

// slot returns the table index of a name, which must not be empty.
func slot(name []byte) int {
	return (len(name) ^ int(name[0])<<2 ^ int(name[len(name)-1])) & 63
}

// of returns the role of a decoded name.
func (r *roles) of(name []byte) role {
	if len(name) == 0 {
		return roleNone
	}
	if r.table[slot(name)] == 0 {
		return roleNone
	}
	return r.compare(name)
}

func (r *roles) compare(name []byte) role {
	for bits, i := r.table[slot(name)], role(0); bits != 0; bits, i = bits>>1, i+1 {
		if bits&1 != 0 && r.names[i] == string(name) {
			return i
		}
	}
	return roleNone
}

// String returns the role's name in messages.
func (r role) String() string {
	return [...]string{"key id", "API id", "stage", "API key", "usage plan", "customer", "usage plan id", "none"}[r]
}
