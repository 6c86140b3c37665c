package lake

import (
	"slices"
	"strings"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/encoding/jsonscan"
)

// column is a column of request_rows that comes from a line, in the table's order.
type column uint8

const (
	colTime column = iota
	colRequestID
	colAPIID
	colStage
	colKeyID
	colCustomer
	colUsagePlan
	colUsagePlanID
	colMethod
	colRoute
	colPath
	colStatus
	colLatency
	colIntegrationLatency
	colBytes
	colIP
	colUserAgent
	colError
	colExtra
	colExtendedRequestID
	columns
)

// field describes how a field of a line is used.
type field struct {
	kind   kind
	column column
	rank   uint8 // of several fields for one column, the lowest rank wins
}

type kind uint8

const (
	kindExtra kind = iota // has no column; kept unchanged in extra
	kindText
	kindNumber
	kindTime
	kindSecret // the API key's value; kept only if masked or hashed
)

// byVariable maps API Gateway's variables to fields.
var byVariable = map[string]field{
	"$context.requestTimeEpoch":        {kindTime, colTime, 0},
	"$context.requestTime":             {kindTime, colTime, 1},
	"$context.requestId":               {kindText, colRequestID, 0},
	"$context.extendedRequestId":       {kindText, colExtendedRequestID, 0},
	"$context.apiId":                   {kindText, colAPIID, 0},
	"$context.stage":                   {kindText, colStage, 0},
	"$context.identity.apiKeyId":       {kindText, colKeyID, 0},
	"$context.identity.apiKey":         {kindSecret, colExtra, 0},
	"$context.httpMethod":              {kindText, colMethod, 0},
	"$context.resourcePath":            {kindText, colRoute, 0},
	"$context.routeKey":                {kindText, colRoute, 1},
	"$context.path":                    {kindText, colPath, 0},
	"$context.status":                  {kindNumber, colStatus, 0},
	"$context.responseLatency":         {kindNumber, colLatency, 0},
	"$context.integration.latency":     {kindNumber, colIntegrationLatency, 0},
	"$context.integrationLatency":      {kindNumber, colIntegrationLatency, 1},
	"$context.responseLength":          {kindNumber, colBytes, 0},
	"$context.identity.sourceIp":       {kindText, colIP, 0},
	"$context.identity.userAgent":      {kindText, colUserAgent, 0},
	"$context.error.message":           {kindText, colError, 0},
	"$context.integration.error":       {kindText, colError, 1},
	"$context.integrationErrorMessage": {kindText, colError, 2},
}

// byName maps common field names, including those of our presets, to fields. Names are in plainName's form. The name of a field
// in an object is its path: "errormessage" is error_message, and message in error.
var byName = map[string]field{
	"usageplan":      {kindText, colUsagePlan, 0},
	"planid":         {kindText, colUsagePlan, 1}, // Apiable's
	"usageplanid":    {kindText, colUsagePlanID, 0},
	"customer":       {kindText, colCustomer, 0},
	"subscriptionid": {kindText, colCustomer, 1}, // Apiable's
	"customername":   {kindText, colCustomer, 2}, // the AWS sample's
	"usageplanname":  {kindText, colUsagePlan, 2},

	// Names in AWS's documentation and in other examples.
	"requestid": {kindText, colRequestID, 0}, "extendedrequestid": {kindText, colExtendedRequestID, 0},
	"ip": {kindText, colIP, 0}, "sourceip": {kindText, colIP, 0}, "clientip": {kindText, colIP, 0}, "identitysourceip": {kindText, colIP, 0},
	"requesttime": {kindTime, colTime, 1}, "requesttimeepoch": {kindTime, colTime, 0}, "timestamp": {kindTime, colTime, 2}, "time": {kindTime, colTime, 2},
	"@timestamp": {kindTime, colTime, 3}, "date": {kindTime, colTime, 3}, // of shippers
	"httpmethod": {kindText, colMethod, 0}, "method": {kindText, colMethod, 0},
	"routekey": {kindText, colRoute, 1}, "resourcepath": {kindText, colRoute, 0}, "route": {kindText, colRoute, 0},
	"path": {kindText, colPath, 0}, "uri": {kindText, colPath, 0},
	"status": {kindNumber, colStatus, 0}, "responsestatus": {kindNumber, colStatus, 0}, "statuscode": {kindNumber, colStatus, 0},
	"responselength": {kindNumber, colBytes, 0}, "responsesize": {kindNumber, colBytes, 0}, "bytes": {kindNumber, colBytes, 0},
	"responselatency": {kindNumber, colLatency, 0}, "requestlatency": {kindNumber, colLatency, 0}, "latency": {kindNumber, colLatency, 0},
	"integrationlatency": {kindNumber, colIntegrationLatency, 0},
	"apiid":              {kindText, colAPIID, 0}, "stage": {kindText, colStage, 0},
	"apikeyid": {kindText, colKeyID, 0}, "keyid": {kindText, colKeyID, 0}, "identityapikeyid": {kindText, colKeyID, 0},
	"apikey": {kindSecret, colExtra, 0}, "identityapikey": {kindSecret, colExtra, 0}, "xapikey": {kindSecret, colExtra, 0},
	"useragent": {kindText, colUserAgent, 0},
	"error":     {kindText, colError, 0}, "errormessage": {kindText, colError, 0}, "integrationerror": {kindText, colError, 1},
	"integrationerrormessage": {kindText, colError, 1},

	// Names of other tools: HTTP APIs' events, Elastic, OpenTelemetry, Datadog.
	"timeepoch": {kindTime, colTime, 0}, "useragentoriginal": {kindText, colUserAgent, 0},
	"clientaddress": {kindText, colIP, 0}, "networkclientip": {kindText, colIP, 0},
	"responsebodybytes": {kindNumber, colBytes, 0}, "responsebodysize": {kindNumber, colBytes, 0},

	// These would be mapped by their last name, which means something else here.
	"requestbytes": {column: colExtra}, "responsetime": {column: colExtra}, "responsetimestamp": {column: colExtra},
}

// neutral has the names of objects that do not change the meaning of the fields in them, in plainName's form: http.status is the
// status, but integration.status is not.
var neutral = map[string]bool{
	"identity": true, "useridentity": true, "client": true, "http": true, "request": true, "response": true, "url": true, "urldetails": true,
	"context": true, "requestcontext": true, "api": true, "apigateway": true, "gateway": true,
	"log": true, "accesslog": true, "record": true, "fields": true, "attributes": true,
}

// Mapping maps the fields of lines to columns. The zero value maps by commonly used names.
type Mapping struct {
	fields map[string]field // by path, as accesslog.Path.String returns it
	own    map[string]bool  // the paths of the format's fields, in lower case
	places int              // number of the format's fields

	folders []partition // of the object
}

// MappingOf returns the mapping of a log format: a field's variable takes precedence over its name. usagePlan, customer and
// usagePlanID name the fields that enrichment adds; "" if it adds none.
func MappingOf(format *accesslog.Format, usagePlan, customer, usagePlanID string) Mapping {
	m := Mapping{fields: map[string]field{}, own: map[string]bool{}}
	for _, p := range format.Places() {
		variable, path := p.Variable(), p.Path.String()
		if lower := strings.ToLower(path); !m.own[lower] {
			m.places++
			m.own[lower] = true
		}
		if f, ok := byVariable[variable]; ok {
			m.add(path, f)
		} else if variable != "" && named(path).kind != kindExtra {
			m.add(path, field{column: colExtra}) // its name misleads
		}
		for i := len(p.Path) - 1; i > 0; i-- {
			m.add(p.Path[:i].String(), field{column: colExtra}) // an object or a list
		}
	}
	for name, c := range map[string]column{usagePlan: colUsagePlan, customer: colCustomer, usagePlanID: colUsagePlanID} {
		if name != "" {
			m.add(name, field{kindText, c, 0})
		}
	}
	return m
}

// add adds a field by its path, and by the path in lower case, because some of the names are in lower case in Parquet files. A
// field that the format has twice is secret if one of the two is.
func (m Mapping) add(path string, f field) {
	if m.fields[path].kind != kindSecret {
		m.fields[path] = f
	}
	if lower := strings.ToLower(path); lower != path {
		if _, taken := m.fields[lower]; !taken {
			m.fields[lower] = f
		}
	}
}

// of returns the field at a path.
func (m Mapping) of(path string) field {
	if f, ok := m.fields[path]; ok {
		return f
	}
	if f, ok := m.fields[strings.ToLower(path)]; ok {
		return f
	}
	f := named(path)
	for i := strings.LastIndexByte(path, '.'); i >= 0 && f.kind == kindExtra; i = strings.LastIndexByte(path[:i], '.') {
		if outer := m.fields[strings.ToLower(path[:i])]; outer.kind == kindSecret {
			f = outer
		}
	}
	return f
}

// named returns the field that the names of a path indicate.
func named(path string) field {
	names := strings.Split(path, ".")
	for i, name := range names {
		names[i] = plainName(name)
	}
	for i, name := range names {
		if f, ok := byName[strings.Join(names[i:], "")]; ok {
			return f
		}
		if !neutral[name] && (i+1 == len(names) || !strings.HasPrefix(names[i+1], name)) { // unlike integration.integrationLatency
			break
		}
	}
	if slices.ContainsFunc(names, func(name string) bool { return byName[name].kind == kindSecret }) {
		return field{kindSecret, colExtra, 0}
	}
	return field{column: colExtra}
}

// everywhere are the columns for which logs of every kind have fields.
var everywhere = map[column]bool{colTime: true, colRequestID: true, colIP: true, colUserAgent: true, colError: true, colBytes: true}

// use describes how a field of a line is used, and what its path says about the line.
type use struct {
	field
	own   bool  // it is one of the format's
	wraps bool  // it may hold a line
	count tally // of the field: it is known if it has a column or is one of the format's, and telling if only access logs have it
}

func (m Mapping) use(path string) use {
	u := use{field: m.of(path), own: m.own[strings.ToLower(path)], count: oneField}
	u.wraps = u.kind == kindExtra && wrapperNames[plainName(path)]
	if u.own || u.kind != kindExtra {
		u.count += oneKnown
	}
	if u.kind != kindExtra && !everywhere[u.column] {
		u.count += oneTelling
	}
	return u
}

// tally counts fields, those of them that are known, and those that are telling, in 24, 20 and 20 bits: more than a line can have.
type tally uint64

const (
	oneField   tally = 1
	oneKnown   tally = 1 << 24
	oneTelling tally = 1 << 44
)

func (t tally) all() uint64     { return uint64(t % oneKnown) }
func (t tally) known() uint64   { return uint64(t % oneTelling / oneKnown) }
func (t tally) telling() uint64 { return uint64(t / oneTelling) }

// reader returns a reader of an object's lines.
func (m Mapping) reader(object int32) lineReader {
	return lineReader{fields: jsonscan.NewNames(func(path []byte) use { return m.use(string(path)) }), own: m.places, folders: m.folders, object: object}
}

// plainName returns a name in lower case without separators.
func plainName(name string) string {
	return separators.Replace(strings.ToLower(name))
}

var separators = strings.NewReplacer("_", "", "-", "", " ", "")
