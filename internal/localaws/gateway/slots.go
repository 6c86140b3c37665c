package gateway

// slot identifies the value of a $context variable.
type slot uint8

const (
	slotUnset slot = iota // a variable, known or not, without a value
	slotAccountID
	slotAPIID
	slotAPIKey
	slotAPIKeyID
	slotCipherSuite
	slotDomainName
	slotDomainPrefix
	slotErrorMessage
	slotErrorType
	slotExtendedID
	slotHTTPMethod
	slotIntegrationError
	slotIntegrationHeaders
	slotIntegrationLatency
	slotIntegrationStatus
	slotPath
	slotProtocol
	slotRequestID
	slotRequestTime
	slotRequestTimeEpoch
	slotResourceID
	slotResourcePath
	slotResponseLatency
	slotResponseLength
	slotSourceIP
	slotStage
	slotStatus
	slotTLSVersion
	slotUserAgent
)

// slots maps variables, as written in a format, to their slots.
var slots = map[string]slot{
	"$context.accountId":                    slotAccountID,
	"$context.apiId":                        slotAPIID,
	"$context.identity.apiKey":              slotAPIKey,
	"$context.identity.apiKeyId":            slotAPIKeyID,
	"$context.cipherSuite":                  slotCipherSuite,
	"$context.domainName":                   slotDomainName,
	"$context.domainPrefix":                 slotDomainPrefix,
	"$context.error.message":                slotErrorMessage,
	"$context.error.messageString":          slotErrorMessage,
	"$context.error.responseType":           slotErrorType,
	"$context.extendedRequestId":            slotExtendedID,
	"$context.httpMethod":                   slotHTTPMethod,
	"$context.integration.error":            slotIntegrationError,
	"$context.integrationErrorMessage":      slotIntegrationError,
	"$context.integration.timeToAllHeaders": slotIntegrationHeaders,
	"$context.integration.latency":          slotIntegrationLatency,
	"$context.integrationLatency":           slotIntegrationLatency,
	"$context.integration.status":           slotIntegrationStatus,
	"$context.path":                         slotPath,
	"$context.protocol":                     slotProtocol,
	"$context.requestId":                    slotRequestID,
	"$context.requestTime":                  slotRequestTime,
	"$context.requestTimeEpoch":             slotRequestTimeEpoch,
	"$context.resourceId":                   slotResourceID,
	"$context.resourcePath":                 slotResourcePath,
	"$context.responseLatency":              slotResponseLatency,
	"$context.responseLength":               slotResponseLength,
	"$context.identity.sourceIp":            slotSourceIP,
	"$context.stage":                        slotStage,
	"$context.status":                       slotStatus,
	"$context.tlsVersion":                   slotTLSVersion,
	"$context.identity.userAgent":           slotUserAgent,
}
