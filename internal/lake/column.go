package lake

import (
	"strings"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/encoding/jsonscan"
)

// column is a column of request_rows that comes from a line, in the table's order.
type column int

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
	rank   int // of several fields for one column, the lowest rank wins
}

type kind int

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

// byName maps common field names, including those of our presets, to fields. Names are in plainName's form.
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
	"httpmethod": {kindText, colMethod, 0}, "method": {kindText, colMethod, 0},
	"routekey": {kindText, colRoute, 1}, "resourcepath": {kindText, colRoute, 0}, "route": {kindText, colRoute, 0},
	"path": {kindText, colPath, 0}, "uri": {kindText, colPath, 0},
	"status": {kindNumber, colStatus, 0}, "responsestatus": {kindNumber, colStatus, 0}, "statuscode": {kindNumber, colStatus, 0},
	"responselength": {kindNumber, colBytes, 0}, "responsesize": {kindNumber, colBytes, 0}, "bytes": {kindNumber, colBytes, 0},
	"responselatency": {kindNumber, colLatency, 0}, "requestlatency": {kindNumber, colLatency, 0}, "latency": {kindNumber, colLatency, 0},
	"integrationlatency": {kindNumber, colIntegrationLatency, 0},
	"apiid":              {kindText, colAPIID, 0}, "stage": {kindText, colStage, 0},
	"apikeyid": {kindText, colKeyID, 0}, "keyid": {kindText, colKeyID, 0}, "identityapikeyid": {kindText, colKeyID, 0},
	"apikey": {kindSecret, colExtra, 0}, "identityapikey": {kindSecret, colExtra, 0},
	"useragent": {kindText, colUserAgent, 0},
	"error":     {kindText, colError, 0}, "errormessage": {kindText, colError, 0}, "integrationerror": {kindText, colError, 1},
	"integrationerrormessage": {kindText, colError, 1},
}

// Mapping maps the fields of lines to columns. The zero value maps by commonly used names.
type Mapping struct {
	fields map[string]field
}

// MappingOf returns the mapping of a log format: a field's variable takes precedence over its name. usagePlan, customer and
// usagePlanID name the fields that enrichment adds; "" if it adds none.
func MappingOf(format *accesslog.Format, usagePlan, customer, usagePlanID string) Mapping {
	m := Mapping{fields: map[string]field{}}
	for variable, name := range format.TopLevelFields() {
		if f, ok := byVariable[variable]; ok {
			m.add(name, f)
		} else if _, named := byName[plainName(name)]; named {
			m.add(name, field{column: colExtra}) // its name misleads
		}
	}
	for name, c := range map[string]column{usagePlan: colUsagePlan, customer: colCustomer, usagePlanID: colUsagePlanID} {
		if name != "" {
			m.add(name, field{kindText, c, 0})
		}
	}
	return m
}

// add adds a field by its name, and by the lower-case name that it has in Parquet files.
func (m Mapping) add(name string, f field) {
	m.fields[name] = f
	if lower := strings.ToLower(name); lower != name {
		if _, taken := m.fields[lower]; !taken {
			m.fields[lower] = f
		}
	}
}

// of returns the field of that name.
func (m Mapping) of(name string) field {
	if f, ok := m.fields[name]; ok {
		return f
	}
	if f, ok := byName[plainName(name)]; ok {
		return f
	}
	return field{column: colExtra}
}

// names returns a cached lookup of fields by name.
func (m Mapping) names() *jsonscan.Names[field] {
	return jsonscan.NewNames(func(name []byte) field { return m.of(string(name)) })
}

// plainName returns a name in lower case without separators.
func plainName(name string) string {
	return strings.NewReplacer("_", "", "-", "", ".", "", " ", "").Replace(strings.ToLower(name))
}
