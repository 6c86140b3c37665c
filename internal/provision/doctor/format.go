package doctor

import (
	"cmp"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/provision"
)

// checkFormat examines the access log format. Each kind of finding is a separate check, such as
// "format: curly quotes".
func (r *run) checkFormat(st *stage, s *stream) {
	if st.format == "" {
		r.out.problem(Failed, linkStage, "format", finding{
			found:       st.ref.String() + " has a destination but no format",
			cause:       "AWS sets the two independently",
			consequence: "API Gateway logs nothing",
			fix:         r.repairStage(s, provision.SetLoggingCommand(r.t.Region, st.ref, "", accesslog.Usage)),
		})
		return
	}
	problems := 0
	for _, f := range accesslog.Lint(st.format) {
		name := "format: " + strings.ReplaceAll(f.Code, "-", " ")
		status := r.severity(f, st, s)
		if status == OK {
			r.out.ok(linkStage, name, "note on the format of %s: %s; %s", st.ref, f.Message, f.Fix)
			continue
		}
		problems++
		r.out.problem(status, linkStage, name, r.formatFinding(f, st, s))
	}
	if lacksSubscription(st.format) {
		problems++
		r.out.problem(Failed, linkStage, "format: no subscription id", finding{
			found:       "the format has plan_id from an authorizer, but no field subscription_id",
			cause:       "an import of this layout discards every record without this field, even if its value would be -",
			consequence: "every record is delivered, but none is counted",
			fix:         r.repairStage(s, provision.SetLoggingCommand(r.t.Region, st.ref, "", accesslog.Apiable)),
		})
	}
	if r.t.Spec != nil && strings.TrimSpace(st.format) != strings.TrimSpace(r.t.Spec.Pipeline.Format) {
		problems++
		r.out.problem(Warning, linkStage, "format: as in stagelog.yaml", finding{
			found:       "the format of " + st.ref.String() + " differs from the one in stagelog.yaml",
			cause:       "one of them was changed since the last deploy",
			consequence: "records do not have the fields that the pipeline's function and reports expect",
			fix:         r.stageFix("stagelog deploy"),
		})
	}
	if problems == 0 {
		r.out.ok(linkStage, "format", "%s", formatText(st, s))
	}
}

// severity returns how serious a finding is for this chain. It depends on whether a function
// adds newlines and looks up customers.
func (r *run) severity(f accesslog.Finding, st *stage, s *stream) Status {
	enriched := s.function != ""
	switch f.Code {
	case "no-trailing-newline":
		if enriched || s.delimiter {
			return Warning
		}
		return Failed
	case "no-key-id", "no-api-id", "no-stage":
		if named := customerFields(st.format); enriched && len(named) < 2 {
			return Failed
		}
	}
	switch f.Severity {
	case accesslog.Error:
		return Failed
	case accesslog.Warning:
		return Warning
	}
	return OK
}

func (r *run) formatFinding(f accesslog.Finding, st *stage, s *stream) finding {
	line, column := position(st.format, f.Offset)
	cause, consequence, ok := strings.Cut(f.Message, ": ")
	p := finding{
		found:       fmt.Sprintf("the format of %s, line %d, column %d: %s", st.ref, line, column, cause),
		cause:       cmp.Or(causes[f.Code], "API Gateway replaces $context variables and copies all other text unchanged"),
		consequence: consequence,
	}
	if !ok {
		p.consequence = f.Message
	}
	if f.Code == "no-trailing-newline" && s.function == "" && !s.delimiter {
		p.consequence = "API Gateway and Firehose add none, and there is no function to do so: objects are {…}{…} on one line, of which most readers see only the first record"
	}
	switch {
	case r.t.Spec == nil:
		p.fix = f.Fix + ": " + r.repairStage(s, provision.SetLoggingCommand(r.t.Region, st.ref, "", fixedFormat(st.format)))
	case strings.TrimSpace(r.t.Spec.Pipeline.Format) != strings.TrimSpace(st.format):
		p.fix = f.Fix + ": " + r.stageFix("stagelog deploy")
	default:
		p.fix = f.Fix + ": change format: in stagelog.yaml (for example to usage), then " + r.stageFix("stagelog deploy")
	}
	return p
}

// causes maps the code of a finding to its likely cause.
var causes = map[string]string{
	"curly-quotes":           "it was pasted from a web page or a word processor, and API Gateway accepts any text",
	"no-trailing-newline":    "API Gateway writes exactly what the format contains",
	"no-request-id":          "the field was left out",
	"no-extended-request-id": "clients can set $context.requestId with the header x-amzn-RequestId, but not the extended one",
	"api-key-in-clear":       "unlike execution logs, access logs do not mask it",
	"literal-newline":        "a newline typed as \\n is two characters",
	"newline-inside":         "it was pasted with line breaks",
	"no-key-id":              "the field was left out",
	"no-api-id":              "the field was left out",
	"no-stage":               "the field was left out",
}

// fixedFormat returns a format in which everything that Lint reports is fixed, as far as a change of
// the text can do that. So the command in each finding fixes all of them.
func fixedFormat(format string) string {
	format, _ = accesslog.Fix(format)
	format = withoutVariable(format, "$context.identity.apiKey")
	for _, f := range accesslog.Lint(format) {
		field, ok := strings.CutPrefix(f.Fix, "add ")
		end := strings.LastIndexByte(format, '}')
		if ok && strings.HasPrefix(field, `"`) && end > 0 {
			format = format[:end] + "," + field + format[end:]
		}
	}
	return format
}

// withoutVariable removes the fields whose value is variable from a JSON format.
func withoutVariable(format, variable string) string {
	for _, p := range accesslog.Parse(format).Places() {
		value := strings.Index(format, variable+`"`)
		if p.Variable() != variable || value < 0 {
			continue
		}
		start := strings.LastIndex(format[:value], `"`+p.Path[len(p.Path)-1]+`"`)
		if start < 0 {
			continue // an element of a list
		}
		end := value + len(variable) + 1
		rest := strings.TrimLeft(format[end:], " ")
		if after, ok := strings.CutPrefix(rest, ","); ok {
			format = format[:start] + strings.TrimLeft(after, " ")
		} else {
			format = strings.TrimRight(format[:start], ", ") + rest
		}
	}
	return format
}

// position returns the line and the column of a byte, both from 1, the column in characters.
func position(text string, offset int) (line, column int) {
	before := text[:min(offset, len(text))]
	begin := strings.LastIndexByte(before, '\n') + 1
	return strings.Count(before, "\n") + 1, utf8.RuneCountInString(before[begin:]) + 1
}

// customerFields returns the fields that hold an authorizer's plan and subscription.
func customerFields(format string) (fields []string) {
	for _, p := range accesslog.Parse(format).Places() {
		name, ok := strings.CutPrefix(p.Variable(), "$context.authorizer.")
		if ok && (strings.Contains(name, "plan") || strings.Contains(name, "subscription") || strings.Contains(name, "customer")) {
			fields = append(fields, p.Path.String())
		}
	}
	return fields
}

// lacksSubscription reports whether a format was made for Apiable's import and lacks the field subscription_id, which that requires.
func lacksSubscription(format string) bool {
	return accesslog.Parse(format).Fields()["$context.authorizer.apiable_plan_id"] != nil && !strings.Contains(format, `"subscription_id"`)
}

// formatText describes a valid format and how customers are identified.
func formatText(st *stage, s *stream) string {
	f := accesslog.Parse(st.format)
	text := fmt.Sprintf("one line of JSON with %d variables", len(f.Variables()))
	if named := customerFields(st.format); len(named) > 0 && s.function == "" {
		text += "; " + strings.Join(named, " and ") + " come from an authorizer"
	}
	return text
}
