package accesslog

import (
	"fmt"
	"strings"
)

// awsFormatBytes is the length that AWS's guides name for a format (API Gateway's quota page has none for REST APIs).
const awsFormatBytes = 3 << 10

const noRequestID = "neither $context.requestId nor $context.extendedRequestId: API Gateway refuses the format"

// advise notes what a format says and leaves out, on the mended text.
func (d *draft) advise() {
	if len(d.text) > awsFormatBytes {
		d.note(Warning, "too-long", 0, fmt.Sprintf("the format has %d bytes: AWS's guides allow %d, and API Gateway may refuse it", len(d.text), awsFormatBytes), "leave fields out")
	}
	d.adviseVariables()
	d.adviseTemplates()
	if members, ok := membersOf(d.text, straightQuotes); ok {
		d.adviseNames(members)
		d.adviseFields(members)
	} else if !hasRequestID(d.text) {
		d.note(Error, "no-request-id", 0, noRequestID, `add "$context.extendedRequestId"`)
	}
}

// adviseVariables looks at each variable once.
func (d *draft) adviseVariables() {
	seen := map[string]bool{}
	for _, u := range uses(d.text) {
		name := d.text[u.start:u.end]
		if seen[name] {
			continue
		}
		seen[name] = true
		v, known := Explain(name)
		switch {
		case !known:
			d.unknown(name, u.start)
		case v.Secret:
			d.note(Warning, "api-key-in-clear", u.start, name+" is the API key itself: the stream's source backup and error output hold it in clear, and everybody who may read them can call the API as that customer",
				"leave the field out: $context.identity.apiKeyId names the customer as well")
		case isFamily(name) && u.end+1 < len(d.text) && d.text[u.end] == '-' && isNameByte(d.text[u.end+1]):
			d.note(Warning, "name-cut", u.start, fmt.Sprintf("the variable's name ends at the hyphen: API Gateway reads %s and leaves the rest as text", name),
				"let the authorizer return a name of letters, digits and _")
		}
	}
	if i := strings.Index(d.text, varRequestTime); seen[varRequestTime] && !seen[varRequestTimeEpoch] {
		d.note(Info, "clf-time", i, varRequestTime+" has the form 10/Jul/2024:18:14:22 +0000, which Athena and Parquet cannot read as a time", "add "+varRequestTimeEpoch)
	}
	if i := strings.Index(d.text, varPath); seen[varPath] && !seen[varResourcePath] {
		d.note(Info, "path-only", i, varPath+" has as many values as clients send, ids and all: nothing to group by", "add "+varResourcePath)
	}
}

// isFamily says whether a variable's name is the user's own.
func isFamily(name string) bool {
	_, known := index()[name]
	return !known
}

func (d *draft) unknown(name string, i int) {
	message := name + " is not a variable of REST APIs: it is - in every record"
	switch strings.TrimPrefix(name, contextPrefix) {
	case "routeKey", "dataProcessed":
		d.note(Warning, "unknown-variable", i, name+" is a variable of HTTP APIs, which cannot log to Firehose: for REST APIs it is - in every record", "leave it out")
		return
	case "connectionId", "connectedAt", "eventType", "messageId", "messageDirection":
		d.note(Warning, "unknown-variable", i, name+" is a variable of WebSocket APIs, which cannot log to Firehose: for REST APIs it is - in every record", "leave it out")
		return
	}
	fix := "`stagelog format explain` lists the variables"
	if like, ok := suggest(name); ok {
		fix = "did you mean " + like + "?"
	}
	d.note(Warning, "unknown-variable", i, message, fix)
}

// adviseTemplates finds what mapping templates know and access logs do not.
func (d *draft) adviseTemplates() {
	for _, other := range []string{"$input.", "$stageVariables.", "$util.", "$request.", "$response.", "$method."} {
		if i := strings.Index(d.text, other); i >= 0 {
			d.note(Warning, "not-substituted", i, other+"… is for mapping templates: access logs replace $context variables alone, so it stays in every record as it is", "leave it out")
		}
	}
}

func (d *draft) adviseNames(members []member) {
	seen := map[string]bool{}
	for _, m := range members {
		if seen[m.name] {
			d.note(Error, "duplicate-field", d.lastIndexOf(m.name), fmt.Sprintf("the field %q comes twice: some readers keep the first value, some the last, Athena reads none of the record", m.name), "give each field its own name")
		}
		seen[m.name] = true
		if len(uses(m.name)) > 0 {
			d.note(Warning, "variable-as-name", d.lastIndexOf(m.name), fmt.Sprintf("the field's name %q is a value of the request: every record may have other fields", m.name), "use a fixed name")
		}
	}
}

func (d *draft) lastIndexOf(name string) int {
	return max(0, strings.LastIndex(d.text, `"`+name+`"`))
}

// adviseFields says what the chain misses.
func (d *draft) adviseFields(members []member) {
	has := map[string]bool{}
	for _, m := range members {
		has[m.variable] = true
	}
	end := strings.LastIndexByte(d.text, '}')
	missing := func(severity Severity, code, variable, field, consequence string) {
		d.note(severity, code, end, fmt.Sprintf("no field holds %s: %s", variable, consequence), fmt.Sprintf(`add "%s":"%s"`, field, variable))
	}
	if !has[varKeyID] {
		missing(Warning, "no-key-id", varKeyID, "key_id", "the customer and the usage plan of a request stay unknown")
	}
	if !has[varAPIID] {
		missing(Warning, "no-api-id", varAPIID, "api_id", "a key has a usage plan for each API stage, so the plan stays unknown")
	}
	if !has[varStage] {
		missing(Warning, "no-stage", varStage, "stage", "a key has a usage plan for each API stage, so the plan stays unknown")
	}
	if !hasRequestID(d.text) {
		d.note(Error, "no-request-id", end, noRequestID, `add "extended_request_id":"$context.extendedRequestId"`)
	} else if !has[varExtendedRequestID] {
		missing(Warning, "no-extended-request-id", varExtendedRequestID, "extended_request_id",
			"clients can set $context.requestId, so requests cannot be counted each once")
	}
}
