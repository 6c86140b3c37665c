package lake

// RequestKey is the SQL expression of what rows of the same request have in common; NULL for a row that is the only one of its
// request. API Gateway writes the constant text instead of a request id that a client chose and that is not a UUID.
const RequestKey = "coalesce(extended_request_id, nullif(request_id, 'UUID_REPLACED_INVALID_REQUEST_ID'))"

// SameRequest is the list of SQL expressions that are equal in two rows exactly if they are the same request. Clients cannot choose
// the extended request id, but can choose the other one: without the extended id, all that the request brought must be equal too,
// as in a line that was delivered twice. What enrichment adds may differ, as in a line that was reprocessed.
const SameRequest = RequestKey + `, CASE WHEN extended_request_id IS NULL THEN
	row(time, api_id, stage, key_id, method, route, path, status, latency, integration_latency, bytes, ip, user_agent, error, extra::VARCHAR) END`
