package accesslog

// The catalogue: AWS's page "Variables for access logging for API Gateway", in our words. Examples are made up.

func requestVariables() []Variable {
	return []Variable{
		{Name: "$context.accountId", Meaning: "AWS account that owns the API", Example: "123456789012"},
		{Name: "$context.apiId", Meaning: "id of the API", Example: "a1b2c3d4e5",
			Notes: "With the key's id and the stage it decides the usage plan: a key is in at most one plan per API stage."},
		{Name: "$context.stage", Meaning: "stage that was called", Example: "prod"},
		{Name: "$context.resourceId", Meaning: "id of the resource", Example: "x1y2z3"},
		{Name: "$context.resourcePath", Meaning: "path of the resource, with parameters by name", Example: "/orders/{id}",
			Notes: "Few distinct values: group by this one, not by path."},
		{Name: "$context.path", Meaning: "path of the request, with the stage in front", Example: "/prod/orders/1", Hostile: true,
			Notes: "Clients choose it. It holds ids and maybe personal data, and has as many values as there are clients' ideas."},
		{Name: "$context.httpMethod", Meaning: "method of the request", Example: "GET"},
		{Name: "$context.protocol", Meaning: "protocol of the request", Example: "HTTP/1.1"},
		{Name: "$context.domainName", Meaning: "host name of the request", Example: "a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com", Hostile: true,
			Notes: "It comes from the client's Host header."},
		{Name: "$context.domainPrefix", Meaning: "first label of the host name", Example: "a1b2c3d4e5", Hostile: true,
			Notes: "It comes from the client's Host header."},
		{Name: "$context.requestId", Meaning: "id of the request", Example: "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
			Notes: "Clients can set it with the header x-amzn-RequestId, so it may repeat. A value that is not a UUID becomes UUID_REPLACED_INVALID_REQUEST_ID. Count by extendedRequestId."},
		{Name: "$context.extendedRequestId", Meaning: "id of the request that API Gateway made", Example: "JKJaXmPLvHcESHA=",
			Notes: "Clients cannot set it: the right one to count and bill each request once. It is the response's header x-amz-apigw-id."},
		{Name: "$context.requestTime", Meaning: "when the request arrived, in common log format", Example: "10/Jul/2024:18:14:22 +0000",
			Notes: "Athena and Parquet cannot read this form as a time; requestTimeEpoch they can."},
		{Name: "$context.requestTimeEpoch", Meaning: "when the request arrived, in milliseconds since 1970", Example: "1720635262451"},
		{Name: "$context.awsEndpointRequestId", Meaning: "id of the request at the AWS endpoint behind the API", Example: "4f2ae3a5-1c3f-4d8b-9a0e-2f0d1c6f1e11"},
		{Name: "$context.xrayTraceId", Meaning: "id of the X-Ray trace", Example: "1-5759e988-bd862e3fe1be46a994272793",
			Notes: "Only where tracing is on."},
		{Name: "$context.customDomain.basePathMatched", Meaning: "base path mapping of the custom domain that matched", Example: "v1",
			Notes: "\"(none)\" for the mapping of the root."},
		{Name: "$context.customDomain.routingRuleIdMatched", Meaning: "id of the routing rule of the custom domain that matched", Example: "r1a2b3"},
		{Name: "$context.tlsVersion", Meaning: "TLS version of the connection", Example: "TLSv1.3"},
		{Name: "$context.cipherSuite", Meaning: "cipher suite of the connection", Example: "TLS_AES_128_GCM_SHA256"},
		{Name: "$context.wafResponseCode", Meaning: "AWS WAF's verdict", Example: "WAF_ALLOW"},
		{Name: "$context.webaclArn", Meaning: "ARN of the web ACL that decided", Example: "arn:aws:wafv2:eu-west-1:123456789012:regional/webacl/shop/1a2b"},
		{Name: "$context.requestOverride.header.<name>", Meaning: "request header that a mapping template overrode", Example: "v2", Hostile: true},
		{Name: "$context.requestOverride.path.<name>", Meaning: "path parameter that a mapping template overrode", Example: "42", Hostile: true},
		{Name: "$context.requestOverride.querystring.<name>", Meaning: "query parameter that a mapping template overrode", Example: "asc", Hostile: true},
		{Name: "$context.responseOverride.header.<name>", Meaning: "response header that a mapping template overrode", Example: "no-store", Hostile: true},
		{Name: "$context.responseOverride.status", Meaning: "status that a mapping template overrode", Example: "201"},
	}
}

func callerVariables() []Variable {
	return []Variable{
		{Name: "$context.identity.accountId", Meaning: "AWS account of the caller", Example: "111122223333", Notes: "Only for methods with IAM authorization."},
		{Name: "$context.identity.apiKey", Meaning: "value of the API key", Example: "********************", Secret: true,
			Notes: "It is the secret itself. Once logged it is in the stream's source backup and error output too, and with everybody who may read them. apiKeyId identifies the customer as well."},
		{Name: "$context.identity.apiKeyId", Meaning: "id of the API key", Example: "k9x8y7z6w5",
			Notes: "It names the customer. Set only on methods that require an API key, and not where the key was missing or wrong."},
		{Name: "$context.identity.caller", Meaning: "principal that signed the request", Example: "AIDAEXAMPLE", Notes: "Only for methods with IAM authorization."},
		{Name: "$context.identity.user", Meaning: "user that signed the request", Example: "AIDAEXAMPLE", Notes: "Only for methods with IAM authorization."},
		{Name: "$context.identity.userArn", Meaning: "ARN of the user that signed the request", Example: "arn:aws:iam::111122223333:user/ann"},
		{Name: "$context.identity.userAgent", Meaning: "client's User-Agent header", Example: "curl/8.5.0", Hostile: true, Notes: "Clients choose it."},
		{Name: "$context.identity.sourceIp", Meaning: "address that the connection came from", Example: "203.0.113.7",
			Notes: "Personal data in many countries."},
		{Name: "$context.identity.principalOrgId", Meaning: "AWS organization of the caller", Example: "o-a1b2c3d4e5"},
		{Name: "$context.identity.cognitoAuthenticationProvider", Meaning: "Cognito authentication providers of the caller", Example: "cognito-idp.eu-west-1.amazonaws.com/pool", Hostile: true},
		{Name: "$context.identity.cognitoAuthenticationType", Meaning: "how Cognito authenticated the caller", Example: "authenticated"},
		{Name: "$context.identity.cognitoIdentityId", Meaning: "Cognito identity of the caller", Example: "eu-west-1:1a2b3c4d-0000-1111-2222-333344445555"},
		{Name: "$context.identity.cognitoIdentityPoolId", Meaning: "Cognito identity pool of the caller", Example: "eu-west-1:9f8e7d6c-0000-1111-2222-333344445555"},
		{Name: "$context.identity.clientCert.clientCertPem", Meaning: "client's certificate in PEM", Example: "-----BEGIN CERTIFICATE-----…", Hostile: true,
			Notes: "Several lines of text: only API Gateway's escaping keeps the record on one line. Mutual TLS only."},
		{Name: "$context.identity.clientCert.subjectDN", Meaning: "subject of the client's certificate", Example: "CN=client,O=Acme", Hostile: true, Notes: "May hold quotes. Mutual TLS only."},
		{Name: "$context.identity.clientCert.issuerDN", Meaning: "issuer of the client's certificate", Example: "CN=ca,O=Acme", Hostile: true, Notes: "May hold quotes. Mutual TLS only."},
		{Name: "$context.identity.clientCert.serialNumber", Meaning: "serial number of the client's certificate", Example: "0a:1b:2c"},
		{Name: "$context.identity.clientCert.validity.notBefore", Meaning: "start of the client certificate's validity", Example: "May 28 12:30:02 2024 GMT"},
		{Name: "$context.identity.clientCert.validity.notAfter", Meaning: "end of the client certificate's validity", Example: "Aug  5 09:36:04 2027 GMT"},
		{Name: "$context.identity.vpcId", Meaning: "VPC that the request came from", Example: "vpc-0a1b2c3d", Notes: "Private APIs only."},
		{Name: "$context.identity.vpceId", Meaning: "VPC endpoint that the request came through", Example: "vpce-0a1b2c3d", Notes: "Private APIs only."},
		{Name: "$context.authorizer.principalId", Meaning: "principal that the Lambda authorizer returned", Example: "user|a1b2", Hostile: true},
		{Name: "$context.authorizer.claims.<name>", Meaning: "claim of the Cognito user pool's token", Example: "ann@example.com", Hostile: true,
			Notes: "\"_\" is the only special character that the name may have. $context.authorizer.claims as a whole is \"-\"."},
		{Name: "$context.authorizer.<name>", Meaning: "value that the Lambda authorizer put in its context", Example: "gold", Hostile: true,
			Notes: "\"_\" is the only special character that the name may have. The way to a customer's name for methods without API keys."},
	}
}

func phaseVariables() []Variable {
	var all []Variable
	for _, p := range []struct{ name, what string }{
		{"waf", "AWS WAF"}, {"authenticate", "authentication"}, {"authorizer", "the authorizer"},
		{"authorize", "authorization"}, {"integration", "the integration"},
	} {
		prefix := contextPrefix + p.name
		all = append(all,
			Variable{Name: prefix + ".status", Meaning: "status of " + p.what, Example: "200"},
			Variable{Name: prefix + ".latency", Meaning: "time that " + p.what + " took, in milliseconds", Example: "12"},
			Variable{Name: prefix + ".error", Meaning: "error message of " + p.what, Example: "-", Hostile: true})
	}
	return append(all,
		Variable{Name: "$context.authorizer.integrationLatency", Meaning: "time that the authorizer's function took, in milliseconds", Example: "35"},
		Variable{Name: "$context.authorizer.integrationStatus", Meaning: "status that the authorizer's function returned", Example: "200"},
		Variable{Name: "$context.authorizer.requestId", Meaning: "request id of the authorizer's function", Example: "6f1d2c3b-0000-1111-2222-333344445555"},
		Variable{Name: "$context.integration.integrationStatus", Meaning: "status that the function behind the integration returned", Example: "200"},
		Variable{Name: "$context.integration.requestId", Meaning: "AWS request id of the integration's answer", Example: "7a2e3d4c-0000-1111-2222-333344445555"},
		Variable{Name: "$context.integration.responseTransferMode", Meaning: "whether the answer was buffered or streamed", Example: "BUFFERED"},
		Variable{Name: "$context.integration.timeToAllHeaders", Meaning: "time to the answer's last header, in milliseconds", Example: "40"},
		Variable{Name: "$context.integration.timeToFirstContent", Meaning: "time to the answer's first content, in milliseconds", Example: "41"},
		Variable{Name: "$context.integrationLatency", Meaning: "time that the integration took, in milliseconds", Example: "48"},
		Variable{Name: "$context.integrationStatus", Meaning: "status that the function behind the integration returned", Example: "200"},
		Variable{Name: "$context.integrationErrorMessage", Meaning: "error message of the integration", Example: "-", Hostile: true})
}

func resultVariables() []Variable {
	return []Variable{
		{Name: "$context.status", Meaning: "status of the response", Example: "200", Always: true},
		{Name: "$context.responseLength", Meaning: "size of the response's body in bytes", Example: "1536"},
		{Name: "$context.responseLatency", Meaning: "time from request to response, in milliseconds", Example: "52"},
		{Name: "$context.error.message", Meaning: "API Gateway's error message", Example: "Forbidden", Hostile: true},
		{Name: "$context.error.messageString", Meaning: "API Gateway's error message in double quotes of its own", Example: "\"Forbidden\"", Hostile: true,
			Notes: "With quotes around it a record breaks when there is an error, without when there is none. Use error.message."},
		{Name: "$context.error.responseType", Meaning: "type of the gateway response", Example: "INVALID_API_KEY"},
		{Name: "$context.error.validationErrorString", Meaning: "what the request validation found", Example: "-", Hostile: true},
	}
}
