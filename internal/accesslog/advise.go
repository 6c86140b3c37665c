package accesslog

import (
	"fmt"
	"strings"
)

// awsFormatBytes is the maximum length of a format in AWS's guides (API Gateway's quota page names none for REST APIs).
const awsFormatBytes = 3 << 10

const noRequestID = "the format has neither $context.requestId nor $context.extendedRequestId: API Gateway rejects it"

// advise reports problems that need a decision of the user. It examines the repaired text.
func (d *draft) advise() {
	if len(d.text) > awsFormatBytes {
		d.note(Error, "too-long", 0, fmt.Sprintf("the format has %d bytes: API Gateway rejects more than %d", len(d.text), awsFormatBytes), "remove fields")
	}
	d.adviseVariables()
	d.adviseTemplates()
	if object, ok := objectOf(d.text, straightQuotes); ok {
		d.adviseNames(object)
		d.adviseFields()
	} else if !hasRequestID(d.text) {
		d.note(Error, "no-request-id", 0, noRequestID, `add "$context.extendedRequestId"`)
	}
}

// adviseVariables examines the first use of each variable.
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
		case nameIsCut(d.text[u.end:]) && (hasCustomName(name) || name == authorizerPrefix+"claims"):
			d.note(Warning, "name-cut", u.start, fmt.Sprintf("the variable name ends before %q: API Gateway reads %s and copies the rest", d.text[u.end], name),
				"have the authorizer, or the user pool's trigger that runs before a token is generated, add the value under a name of letters, digits and _")
		case !known:
			d.unknown(name, u.start)
		case v.Secret:
			d.note(Warning, "api-key-in-clear", u.start, name+" is the API key's value: it is stored in plain text in the stream's source backup and error output, where every reader can use it to call the API as that customer",
				"remove the field; $context.identity.apiKeyId identifies the customer as well")
		}
	}
	if i := strings.Index(d.text, varRequestTime); seen[varRequestTime] && !seen[varRequestTimeEpoch] {
		d.note(Info, "clf-time", i, varRequestTime+" has the form 10/Jul/2024:18:14:22 +0000: Athena and Parquet cannot read it as a time", "add "+varRequestTimeEpoch)
	}
	if i := strings.Index(d.text, varPath); seen[varPath] && !seen[varResourcePath] {
		d.note(Info, "path-only", i, varPath+" contains ids and other text from clients: it has too many distinct values to group by", "add "+varResourcePath)
	}
}

// nameIsCut reports whether the text after a variable looks like the rest of its name.
func nameIsCut(rest string) bool {
	return len(rest) > 1 && (strings.IndexByte("-:", rest[0]) >= 0 && isNameByte(rest[1]) || rest[0] == '[' && strings.IndexByte("'\"\\", rest[1]) >= 0)
}

// hasCustomName reports whether the last part of a known variable's name was chosen by the user.
func hasCustomName(name string) bool {
	_, known := index()[name]
	return !known
}

// unknown reports a variable that REST APIs do not have.
func (d *draft) unknown(name string, i int) {
	message := name + ` is not a variable of REST APIs: its value is "-" in every record`
	of := map[string]string{
		"routeKey": "HTTP", "dataProcessed": "HTTP",
		"connectionId": "WebSocket", "connectedAt": "WebSocket", "eventType": "WebSocket", "messageId": "WebSocket", "messageDirection": "WebSocket",
	}[strings.TrimPrefix(name, contextPrefix)]
	if of != "" {
		d.note(Warning, "unknown-variable", i, name+" is a variable of "+of+` APIs, which cannot log to Firehose: for REST APIs its value is "-" in every record`, "remove it")
		return
	}
	fix := "run `stagelog format explain` to list the variables"
	if like, ok := suggest(name); ok {
		fix = "did you mean " + like + "?"
	}
	d.note(Warning, "unknown-variable", i, message, fix)
}

// adviseTemplates reports variables of mapping templates, which access logs do not have.
func (d *draft) adviseTemplates() {
	for _, other := range []string{"$input.", "$stageVariables.", "$util.", "$request.", "$response.", "$method."} {
		if i := strings.Index(d.text, other); i >= 0 {
			d.note(Warning, "not-substituted", i, other+"… works only in mapping templates: access logs replace $context variables only, so this text appears unchanged in every record", "remove it")
		}
	}
}

// adviseNames reports the names of an object, at any depth, that are equal, that differ only by case, or that vary with the request.
func (d *draft) adviseNames(object value) {
	seen, folded := map[string]bool{}, map[string]string{}
	for _, m := range object.members {
		lower := strings.ToLower(m.name)
		if other, found := folded[lower]; found && !seen[m.name] {
			d.note(Warning, "names-differ-by-case", d.lastIndexOf(m.name), fmt.Sprintf("the fields %q and %q differ only by case: Athena and Parquet have one column for both", other, m.name), "give each field a different name")
		}
		folded[lower] = m.name
		if seen[m.name] {
			d.note(Error, "duplicate-field", d.lastIndexOf(m.name), fmt.Sprintf("the field %q appears twice: some JSON readers keep the first value, some the last, and Athena cannot read the record", m.name), "give each field a different name")
		}
		seen[m.name] = true
		if len(uses(m.name)) > 0 {
			d.note(Warning, "variable-as-name", d.lastIndexOf(m.name), fmt.Sprintf("the field name %q contains a variable: each record may have different fields", m.name), "use a fixed name")
		}
		d.adviseNames(m.value)
	}
}

func (d *draft) lastIndexOf(name string) int {
	return max(0, strings.LastIndex(d.text, `"`+name+`"`))
}

// adviseFields reports the fields that enrichment and reports need and the format lacks.
func (d *draft) adviseFields() {
	format := Parse(d.text)
	if !format.HidesAPIKey() {
		d.note(Warning, "api-key-not-hidden", strings.Index(d.text, VarAPIKey), "the API key's value is in a field's name, or shares a field with other variables: enrichment cannot hide it there, and every reader sees it",
			"give the key a field of its own, or remove it")
	}
	fields := format.Fields()
	end := strings.LastIndexByte(d.text, '}')
	missing := func(code, variable, field, consequence string) {
		d.note(Warning, code, end, fmt.Sprintf("no field contains %s: %s", variable, consequence), fmt.Sprintf(`add "%s":"%s"`, field, variable))
	}
	const unknownPlan = "a key can have a different usage plan on each API stage, so the usage plan of a request is unknown"
	if fields[VarKeyID] == nil {
		missing("no-key-id", VarKeyID, "key_id", "the customer and the usage plan of a request are unknown")
	}
	if fields[VarAPIID] == nil {
		missing("no-api-id", VarAPIID, "api_id", unknownPlan)
	}
	if fields[VarStage] == nil {
		missing("no-stage", VarStage, "stage", unknownPlan)
	}
	if !hasRequestID(d.text) {
		d.note(Error, "no-request-id", end, noRequestID, `add "extended_request_id":"$context.extendedRequestId"`)
	} else if fields[varExtendedRequestID] == nil {
		missing("no-extended-request-id", varExtendedRequestID, "extended_request_id",
			"clients can set $context.requestId, so it cannot be used to count each request once")
	}
}
