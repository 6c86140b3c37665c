package accesslog

import (
	"strings"
	"testing"
)

func TestCatalogueIsComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, v := range Catalogue() {
		if seen[v.Name] {
			t.Errorf("%s appears twice in the catalogue", v.Name)
		}
		seen[v.Name] = true
		if v.Meaning == "" || v.Example == "" {
			t.Errorf("%s lacks a meaning or an example", v.Name)
		}
		if name := strings.TrimSuffix(v.Name, "<name>"); !strings.HasPrefix(name, contextPrefix) || name == v.Name && !isVariable(name) {
			t.Errorf("%s is not a variable name", v.Name)
		}
	}
	for _, name := range []string{
		"accountId", "apiId", "stage", "resourceId", "resourcePath", "path", "httpMethod", "protocol", "domainName", "domainPrefix", "requestId",
		"extendedRequestId", "requestTime", "requestTimeEpoch", "awsEndpointRequestId", "xrayTraceId", "customDomain.basePathMatched",
		"customDomain.routingRuleIdMatched", "tlsVersion", "cipherSuite", "wafResponseCode", "webaclArn",
		"identity.accountId", "identity.apiKey", "identity.apiKeyId", "identity.caller", "identity.user", "identity.userAgent", "identity.userArn",
		"identity.sourceIp", "identity.principalOrgId", "identity.cognitoAuthenticationProvider", "identity.cognitoAuthenticationType",
		"identity.cognitoIdentityId", "identity.cognitoIdentityPoolId", "identity.clientCert.clientCertPem", "identity.clientCert.subjectDN",
		"identity.clientCert.issuerDN", "identity.clientCert.serialNumber", "identity.clientCert.validity.notBefore",
		"identity.clientCert.validity.notAfter", "identity.vpcId", "identity.vpceId", "authorizer.principalId", "authorizer.claims.<name>", "authorizer.<name>",
		"waf.status", "waf.latency", "waf.error", "authenticate.status", "authenticate.latency", "authenticate.error", "authorizer.status",
		"authorizer.latency", "authorizer.error", "authorize.status", "authorize.latency", "authorize.error", "integration.status",
		"integration.latency", "integration.error", "authorizer.integrationLatency", "authorizer.integrationStatus", "authorizer.requestId",
		"integration.integrationStatus", "integration.requestId", "integration.responseTransferMode", "integration.timeToAllHeaders",
		"integration.timeToFirstContent", "integrationLatency", "integrationStatus", "integrationErrorMessage",
		"status", "responseLength", "responseLatency", "error.message", "error.messageString", "error.responseType", "error.validationErrorString",
	} {
		if !seen[contextPrefix+name] {
			t.Errorf("the catalogue lacks %s", contextPrefix+name)
		}
	}
	if v, _ := Explain("$context.identity.apiKey"); !v.Secret {
		t.Error("the API key's value is not marked secret")
	}
	for _, name := range []string{"path", "identity.userAgent", "domainName", "error.message", "authorizer.x", "authorizer.claims.x", "identity.clientCert.clientCertPem"} {
		if v, _ := Explain(name); !v.Hostile {
			t.Errorf("clients or integrations choose %s, but it is not marked hostile", name)
		}
	}
}

func TestExplain(t *testing.T) {
	for _, tt := range []struct {
		variable, name string // name "": unknown
		meaning        string
	}{
		{"$context.status", "$context.status", "status of the response"},
		{"status", "$context.status", "status of the response"},
		{"$context.authorizer.latency", "$context.authorizer.latency", "time that the authorizer took, in milliseconds"},
		{"$context.authorizer.tenant_id", "$context.authorizer.tenant_id", "value of the Lambda authorizer's context"},
		{"authorizer.claims.email", "$context.authorizer.claims.email", "claim of the Cognito user pool's token"},
		{"$context.requestOverride.header.accept", "$context.requestOverride.header.accept", "request header that a mapping template overrode"},
		{"$context.authorizer.claims", "", ""},
		{"$context.authorizer.", "", ""},
		{"$context.authorizer.a.b", "", ""},
		{"$context.Status", "", ""},
		{"$context.status.", "", ""},
		{"$context.<name>", "", ""},
		{"", "", ""},
	} {
		got, ok := Explain(tt.variable)
		if got.Name != tt.name || got.Meaning != tt.meaning || ok != (tt.name != "") {
			t.Errorf("Explain(%q) = %q, %q, %v, want %q, %q", tt.variable, got.Name, got.Meaning, ok, tt.name, tt.meaning)
		}
	}
}

func TestSuggest(t *testing.T) {
	for got, want := range map[string]string{
		"$context.identity.apikeyid": "$context.identity.apiKeyId",
		"$context.apiID":             "$context.apiId",
		"$context.sourceIp":          "$context.identity.sourceIp",
		"$context.userAgent":         "$context.identity.userAgent",
		"$context.resposneLength":    "$context.responseLength",
		"$context.requestTimeEpcoh":  "$context.requestTimeEpoch",
		"$context.zzzzzzzzzz":        "",
	} {
		if name, _ := suggest(got); name != want {
			t.Errorf("suggest(%q) = %q, want %q", got, name, want)
		}
	}
}
