-- The tables of a lake, version 3. Times are UTC. A value that was "-", empty or missing is NULL.

CREATE TABLE objects (
    id            INTEGER PRIMARY KEY, -- from 1, in the order of import
    bucket        VARCHAR NOT NULL,
    key           VARCHAR NOT NULL,
    etag          VARCHAR NOT NULL,    -- as S3 returns it, without quotes
    size          BIGINT NOT NULL,     -- bytes as stored
    modified      TIMESTAMP NOT NULL,  -- S3's LastModified
    imported      TIMESTAMP NOT NULL,
    lines         BIGINT NOT NULL,     -- access log lines; each is a row of request_rows
    bad           BIGINT NOT NULL,     -- lines that are not; the first few are in bad_lines
    problem       VARCHAR,             -- why the object, or the rest of it, could not be read; NULL if it was read completely
    other         BIGINT NOT NULL,     -- JSON objects that are not access log lines, such as events of CloudTrail
    repaired      BIGINT NOT NULL,     -- lines that were not valid JSON before a repair; they count as lines
    repair        VARCHAR,             -- the cause of the first repair; NULL if there was none
    UNIQUE (bucket, key)
);

-- One row per line of an object, in the order of the lines.
CREATE TABLE request_rows (
    object        INTEGER NOT NULL,    -- objects.id
    line          BIGINT NOT NULL,     -- number of the JSON object in the object, from 1
    duplicate     BOOLEAN NOT NULL,    -- an earlier row is the same request
    time          TIMESTAMP,           -- when the request arrived ($context.requestTimeEpoch, or requestTime)
    request_id    VARCHAR,             -- $context.requestId, which clients can set
    api_id        VARCHAR,
    stage         VARCHAR,
    key_id        VARCHAR,             -- id of the API key
    customer      VARCHAR,             -- name of the API key
    usage_plan    VARCHAR,
    usage_plan_id VARCHAR,
    method        VARCHAR,
    route         VARCHAR,             -- $context.resourcePath or routeKey: parameters by name
    path          VARCHAR,
    status        SMALLINT,
    latency       INTEGER,             -- milliseconds, $context.responseLatency
    integration_latency INTEGER,       -- milliseconds
    bytes         BIGINT,              -- $context.responseLength
    ip            VARCHAR,
    user_agent    VARCHAR,
    error         VARCHAR,             -- $context.error.message or integration error
    extra         JSON,                -- all other fields, unchanged; NULL if there are none
    extended_request_id VARCHAR        -- $context.extendedRequestId; identifies a request; if it is NULL, request_id and all other fields do
);

-- Each request once. Reports, SQL and the console read this view.
CREATE VIEW requests AS
    SELECT time, request_id, api_id, stage, key_id, customer, usage_plan, usage_plan_id, method, route, path, status,
           latency, integration_latency, bytes, ip, user_agent, error, extra, object, line, extended_request_id
    FROM request_rows WHERE NOT duplicate;

-- Objects whose requests have not been checked for duplicates yet.
CREATE TABLE unchecked (object INTEGER NOT NULL);

-- The first few lines of each object that are not JSON objects.
CREATE TABLE bad_lines (
    object        INTEGER NOT NULL,
    line          BIGINT NOT NULL,
    reason        VARCHAR NOT NULL,
    content       VARCHAR NOT NULL     -- its first 200 bytes
);

-- The mapping of fields to columns with which the objects of a bucket were imported last.
CREATE TABLE mappings (
    bucket        VARCHAR NOT NULL,
    mapping       VARCHAR NOT NULL     -- its fingerprint
);
