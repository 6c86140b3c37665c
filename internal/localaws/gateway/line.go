package gateway

import (
	"crypto/tls"
	"net"
	"strconv"
	"strings"
	"time"
)

// commonLogTime is the format of $context.requestTime.
const commonLogTime = "02/Jan/2006:15:04:05 -0700"

// span is the position of a value in exchange.text.
type span struct{ value, from, to int }

// record counts the request and writes its log line.
func (x *exchange) record() {
	latency := x.g.cfg.Clock().Sub(x.start)
	x.st.metrics.observe(x.status, latency)
	if x.st.format == nil {
		x.g.unlogged.Add(1)
		return
	}
	x.render(latency)
	x.g.lines.Add(1)
	x.g.sink.Log(x.st.stream, x.line)
}

// render builds the line. It writes numbers and times into one text, which it then splits into values, to
// allocate once for all of them.
func (x *exchange) render(latency time.Duration) {
	x.values, x.spans, x.text = x.values[:0], x.spans[:0], x.text[:0]
	for i, s := range x.st.slots {
		x.values = append(x.values, x.string(s))
		from := len(x.text)
		x.text = x.appendNumber(x.text, s, latency)
		if to := len(x.text); to > from {
			x.spans = append(x.spans, span{i, from, to})
		}
	}
	text := string(x.text)
	for _, s := range x.spans {
		x.values[s.value] = text[s.from:s.to]
	}
	x.line = x.st.format.AppendValues(x.line[:0], x.values)
}

// string returns the value of a slot with a text, "" if it is unset or a number.
func (x *exchange) string(s slot) string {
	switch s {
	case slotAccountID:
		return x.g.cfg.Account
	case slotAPIID:
		return x.st.view.APIID
	case slotAPIKey:
		return x.keyValue
	case slotAPIKeyID:
		return x.key.ID
	case slotDomainName:
		return domainName(x.r.Host)
	case slotDomainPrefix:
		prefix, _, _ := strings.Cut(domainName(x.r.Host), ".")
		return prefix
	case slotErrorMessage:
		return x.failure.message
	case slotErrorType:
		return x.failure.responseType
	case slotExtendedID:
		return x.extendedID
	case slotHTTPMethod:
		return x.r.Method
	case slotIntegrationError:
		return x.failure.integration
	case slotPath:
		return x.at.path
	case slotProtocol:
		return x.r.Proto
	case slotRequestID:
		return x.requestID
	case slotSourceIP:
		return sourceIP(x.r)
	case slotStage:
		return x.st.view.Stage
	case slotUserAgent:
		return x.r.UserAgent()
	}
	return x.stringOfRest(s)
}

func (x *exchange) stringOfRest(s slot) string {
	switch {
	case s == slotResourceID && x.route != nil:
		return x.route.id
	case s == slotResourcePath && x.route != nil:
		return x.route.path
	case s == slotTLSVersion && x.r.TLS != nil:
		return strings.Replace(tls.VersionName(x.r.TLS.Version), "TLS ", "TLSv", 1)
	case s == slotCipherSuite && x.r.TLS != nil:
		return tls.CipherSuiteName(x.r.TLS.CipherSuite)
	}
	return ""
}

// appendNumber appends the value of a slot with a number or a time, and nothing for other slots.
func (x *exchange) appendNumber(dst []byte, s slot, latency time.Duration) []byte {
	switch s {
	case slotStatus:
		return strconv.AppendInt(dst, int64(x.status), 10)
	case slotResponseLength:
		return strconv.AppendInt(dst, x.length, 10)
	case slotResponseLatency:
		return strconv.AppendInt(dst, latency.Milliseconds(), 10)
	case slotRequestTime:
		return x.start.UTC().AppendFormat(dst, commonLogTime)
	case slotRequestTimeEpoch:
		return strconv.AppendInt(dst, x.start.UnixMilli(), 10)
	case slotIntegrationLatency:
		if !x.sent.IsZero() {
			return strconv.AppendInt(dst, (latency - x.sent.Sub(x.start)).Milliseconds(), 10)
		}
	case slotIntegrationHeaders:
		if !x.headersAt.IsZero() {
			return strconv.AppendInt(dst, x.headersAt.Sub(x.sent).Milliseconds(), 10)
		}
	case slotIntegrationStatus:
		if x.upstreamStatus != 0 {
			return strconv.AppendInt(dst, int64(x.upstreamStatus), 10)
		}
	}
	return dst
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
