package accesslog

import (
	"slices"
	"strings"
	"sync"

	"github.com/stagelog/stagelog/internal/accesslog/nearest"
)

// Variable describes a $context variable of a REST API's access log. All values are text; "-" stands for no value.
type Variable struct {
	Name    string `json:"name"` // as written: "$context.apiId"; "<name>" stands for a name that the user chooses
	Meaning string `json:"meaning"`
	Example string `json:"example"`
	Notes   string `json:"notes,omitempty"`

	// Secret marks a value that grants access and must not be logged.
	Secret bool `json:"secret,omitempty"`
	// Hostile marks text that clients or integrations choose. It may contain quotes, markup or anything else.
	Hostile bool `json:"hostile,omitempty"`
	// Always marks a number that every request has, so that the format needs no quotes around it.
	Always bool `json:"always_a_number,omitempty"`
}

// Catalogue returns every variable that AWS documents for REST APIs, in the order of AWS's page. The caller owns the slice.
func Catalogue() []Variable {
	return slices.Concat(requestVariables(), callerVariables(), phaseVariables(), resultVariables())
}

// index returns the catalogue by name. It is built once and read-only.
var index = sync.OnceValue(func() map[string]Variable {
	byName := map[string]Variable{}
	for _, v := range Catalogue() {
		byName[v.Name] = v
	}
	return byName
})

// Explain returns the catalogue's entry for a variable, named with or without "$context.". For a name that the user chooses,
// such as $context.authorizer.tenant, it returns the entry of the family ("<name>") under the requested name.
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
	// Names that the user chooses contain no dots, so the last dot ends the name of the family.
	family, ok := index()[name[:strings.LastIndexByte(name, '.')+1]+"<name>"]
	family.Name = name
	if !ok {
		return Variable{}, false
	}
	return family, true
}

const authorizerPrefix = "$context.authorizer."

// suggest returns the known variable that is most similar to name.
func suggest(name string) (string, bool) {
	var known []string
	for _, v := range Catalogue() {
		if !strings.HasSuffix(v.Name, "<name>") {
			known = append(known, strings.TrimPrefix(v.Name, contextPrefix))
		}
	}
	short := strings.TrimPrefix(name, contextPrefix)
	// People often remember only the last part of a long name: apiKeyId, sourceIp, userAgent.
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
