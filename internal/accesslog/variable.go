package accesslog

import (
	"strings"
	"sync"

	"github.com/stagelog/stagelog/internal/accesslog/nearest"
)

// Variable is one $context variable of a REST API's access log. All values are text, and "-" where there is none.
type Variable struct {
	Name    string `json:"name"` // as written: "$context.apiId"; "<name>" stands for names of the user's own
	Meaning string `json:"meaning"`
	Example string `json:"example"`
	Notes   string `json:"notes,omitempty"`

	// Secret: the value opens doors. It must not travel.
	Secret bool `json:"secret,omitempty"`
	// Hostile: clients or upstreams choose the text. It may hold quotes, markup, and anything else.
	Hostile bool `json:"hostile,omitempty"`
	// Always: there is a value for every request, and it is a number, so that it may stand without quotes.
	Always bool `json:"always_a_number,omitempty"`
}

// Catalogue is every variable that AWS documents for REST APIs, in AWS's order of subjects. The caller owns the slice.
func Catalogue() []Variable {
	var all []Variable
	for _, group := range [][]Variable{requestVariables(), callerVariables(), phaseVariables(), resultVariables()} {
		all = append(all, group...)
	}
	return all
}

// index is the catalogue by name. It is built once and never written again.
var index = sync.OnceValue(func() map[string]Variable {
	byName := map[string]Variable{}
	for _, v := range Catalogue() {
		byName[v.Name] = v
	}
	return byName
})

// Explain is what the catalogue says about a variable, named with or without "$context." in front. A name of the user's own,
// such as $context.authorizer.tenant, is explained by its family, under the name asked for.
func Explain(variable string) (Variable, bool) {
	name := variable
	if !strings.HasPrefix(name, contextPrefix) {
		name = contextPrefix + name
	}
	if !isVariable(name) || name == authorizerPrefix+"claims" {
		return Variable{}, false
	}
	if v, ok := index()[name]; ok {
		return v, true
	}
	// The names of the user's own have no dots: the last dot ends the name of the family.
	family, ok := index()[name[:strings.LastIndexByte(name, '.')+1]+"<name>"]
	family.Name = name
	if !ok {
		return Variable{}, false
	}
	return family, true
}

const authorizerPrefix = "$context.authorizer."

// suggest is the known variable most like name.
func suggest(name string) (string, bool) {
	var known []string
	for _, v := range Catalogue() {
		if !strings.HasSuffix(v.Name, "<name>") {
			known = append(known, strings.TrimPrefix(v.Name, contextPrefix))
		}
	}
	short := strings.TrimPrefix(name, contextPrefix)
	// The last part of a long name is often all that people remember: apiKeyId, sourceIp, userAgent.
	for _, k := range known {
		if len(k) > len(short) && strings.EqualFold(k[len(k)-len(short)-1:], "."+short) {
			return contextPrefix + k, true
		}
	}
	found, ok := nearest.Name(short, known)
	if !ok {
		return "", false
	}
	return contextPrefix + found, true
}
