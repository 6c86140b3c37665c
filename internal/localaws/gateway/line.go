package gateway

import (
	"crypto/tls"
	"net"
	"strconv"
	"strings"
)

// commonLogTime is the format of $context.requestTime.
const commonLogTime = "02/Jan/2006:15:04:05 -0700"

// span is the position of a value in exchange.text.
type span struct{ value, from, to int }

// record counts the request and writes its log line.
func (x *exchange) record() {
	x.latency = x.g.cfg.Clock().Sub(x.start)
	x.st.metrics.observe(x.status, x.latency)
	if x.st.format == nil {
		x.g.unlogged.Add(1)
		return
	}
	x.render()
	x.g.lines.Add(1)
	x.g.sink.Log(x.st.stream, x.line)
}

// render builds the line. It writes numbers and times into one text, which it then splits into values, to
// allocate once for all of them.
func (x *exchange) render() {
	x.values, x.spans, x.text = x.values[:0], x.spans[:0], x.text[:0]
	for i, v := range x.st.variables {
		value := ""
		if v.text != nil {
			value = v.text(x)
		} else if v.number != nil {
			from := len(x.text)
			x.text = v.number(x, x.text)
			x.spans = append(x.spans, span{i, from, len(x.text)})
		}
		x.values = append(x.values, value)
	}
	text := string(x.text)
	for _, s := range x.spans {
		x.values[s.value] = text[s.from:s.to]
	}
	x.line = x.st.format.AppendValues(x.line[:0], x.values)
}

// variable renders a $context variable as a text, or appends it as a number or a time. It has no value if
// both are nil.
type variable struct {
	text   func(*exchange) string
	number func(*exchange, []byte) []byte
}

// variables maps the names of variables, as written in a format. All others have no value.
var variables = map[string]variable{
	"$context.accountId":                    {text: func(x *exchange) string { return x.g.cfg.Account }},
	"$context.apiId":                        {text: func(x *exchange) string { return x.st.view.APIID }},
	"$context.cipherSuite":                  {text: cipherSuite},
	"$context.domainName":                   {text: func(x *exchange) string { return domainName(x.r.Host) }},
	"$context.domainPrefix":                 {text: domainPrefix},
	"$context.error.message":                {text: errorMessage},
	"$context.error.messageString":          {text: errorMessage},
	"$context.error.responseType":           {text: func(x *exchange) string { return x.failure.responseType }},
	"$context.extendedRequestId":            {text: func(x *exchange) string { return x.extendedID }},
	"$context.httpMethod":                   {text: func(x *exchange) string { return x.r.Method }},
	"$context.identity.apiKey":              {text: func(x *exchange) string { return x.keyValue }},
	"$context.identity.apiKeyId":            {text: func(x *exchange) string { return x.key.ID }},
	"$context.identity.sourceIp":            {text: func(x *exchange) string { return sourceIP(x.r) }},
	"$context.identity.userAgent":           {text: func(x *exchange) string { return x.r.UserAgent() }},
	"$context.integration.error":            {text: integrationError},
	"$context.integration.latency":          {number: integrationLatency},
	"$context.integration.status":           {number: integrationStatus},
	"$context.integration.timeToAllHeaders": {number: integrationHeaders},
	"$context.integrationErrorMessage":      {text: integrationError},
	"$context.integrationLatency":           {number: integrationLatency},
	"$context.path":                         {text: func(x *exchange) string { return x.at.path }},
	"$context.protocol":                     {text: func(x *exchange) string { return x.r.Proto }},
	"$context.requestId":                    {text: func(x *exchange) string { return x.requestID }},
	"$context.requestTime":                  {number: func(x *exchange, b []byte) []byte { return x.start.UTC().AppendFormat(b, commonLogTime) }},
	"$context.requestTimeEpoch":             {number: func(x *exchange, b []byte) []byte { return strconv.AppendInt(b, x.start.UnixMilli(), 10) }},
	"$context.resourceId":                   {text: resourceID},
	"$context.resourcePath":                 {text: resourcePath},
	"$context.responseLatency":              {number: func(x *exchange, b []byte) []byte { return strconv.AppendInt(b, x.latency.Milliseconds(), 10) }},
	"$context.responseLength":               {number: func(x *exchange, b []byte) []byte { return strconv.AppendInt(b, x.length, 10) }},
	"$context.stage":                        {text: func(x *exchange) string { return x.st.view.Stage }},
	"$context.status":                       {number: func(x *exchange, b []byte) []byte { return strconv.AppendInt(b, int64(x.status), 10) }},
	"$context.tlsVersion":                   {text: tlsVersion},
}

func errorMessage(x *exchange) string { return x.failure.message }

func integrationError(x *exchange) string { return x.failure.integration }

func domainPrefix(x *exchange) string {
	prefix, _, _ := strings.Cut(domainName(x.r.Host), ".")
	return prefix
}

func resourceID(x *exchange) string {
	if x.route == nil {
		return ""
	}
	return x.route.id
}

func resourcePath(x *exchange) string {
	if x.route == nil {
		return ""
	}
	return x.route.path
}

func tlsVersion(x *exchange) string {
	if x.r.TLS == nil {
		return ""
	}
	return strings.Replace(tls.VersionName(x.r.TLS.Version), "TLS ", "TLSv", 1)
}

func cipherSuite(x *exchange) string {
	if x.r.TLS == nil {
		return ""
	}
	return tls.CipherSuiteName(x.r.TLS.CipherSuite)
}

func integrationLatency(x *exchange, b []byte) []byte {
	if x.sent.IsZero() {
		return b
	}
	return strconv.AppendInt(b, (x.latency - x.sent.Sub(x.start)).Milliseconds(), 10)
}

func integrationHeaders(x *exchange, b []byte) []byte {
	if x.headersAt.IsZero() {
		return b
	}
	return strconv.AppendInt(b, x.headersAt.Sub(x.sent).Milliseconds(), 10)
}

func integrationStatus(x *exchange, b []byte) []byte {
	if x.upstreamStatus == 0 {
		return b
	}
	return strconv.AppendInt(b, int64(x.upstreamStatus), 10)
}

// domainName returns a Host header without its port.
func domainName(host string) string {
	if !strings.Contains(host, ":") {
		return host
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return host
}
