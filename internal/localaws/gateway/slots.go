package gateway

// slot says which value a $context variable has here.
type slot uint8

const (
	slotUnset slot = iota // known or not: nothing here gives it a value
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

// slotOf finds the slot of a variable as a format writes it.
func slotOf(variable string) slot {
	switch variable {
	case "$context.accountId":
		return slotAccountID
	case "$context.apiId":
		return slotAPIID
	case "$context.identity.apiKey":
		return slotAPIKey
	case "$context.identity.apiKeyId":
		return slotAPIKeyID
	case "$context.cipherSuite":
		return slotCipherSuite
	case "$context.domainName":
		return slotDomainName
	case "$context.domainPrefix":
		return slotDomainPrefix
	case "$context.error.message", "$context.error.messageString":
		return slotErrorMessage
	case "$context.error.responseType":
		return slotErrorType
	case "$context.extendedRequestId":
		return slotExtendedID
	case "$context.httpMethod":
		return slotHTTPMethod
	case "$context.integration.error", "$context.integrationErrorMessage":
		return slotIntegrationError
	case "$context.integration.timeToAllHeaders":
		return slotIntegrationHeaders
	case "$context.integration.latency", "$context.integrationLatency":
		return slotIntegrationLatency
	case "$context.integration.status":
		return slotIntegrationStatus
	case "$context.path":
		return slotPath
	case "$context.protocol":
		return slotProtocol
	case "$context.requestId":
		return slotRequestID
	case "$context.requestTime":
		return slotRequestTime
	case "$context.requestTimeEpoch":
		return slotRequestTimeEpoch
	}
	return slotOfRest(variable)
}

func slotOfRest(variable string) slot {
	switch variable {
	case "$context.resourceId":
		return slotResourceID
	case "$context.resourcePath":
		return slotResourcePath
	case "$context.responseLatency":
		return slotResponseLatency
	case "$context.responseLength":
		return slotResponseLength
	case "$context.identity.sourceIp":
		return slotSourceIP
	case "$context.stage":
		return slotStage
	case "$context.status":
		return slotStatus
	case "$context.tlsVersion":
		return slotTLSVersion
	case "$context.identity.userAgent":
		return slotUserAgent
	}
	return slotUnset
}
