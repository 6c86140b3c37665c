-- What a lake holds, version 1. Times are UTC. A value that was "-", empty or missing is NULL.

CREATE TABLE objects (
    id            INTEGER PRIMARY KEY, -- from 1, in the order of import
    bucket        VARCHAR NOT NULL,
    key           VARCHAR NOT NULL,
    etag          VARCHAR NOT NULL,    -- as S3 gives it, without quotes
    size          BIGINT NOT NULL,     -- bytes as stored
    modified      TIMESTAMP NOT NULL,  -- S3's LastModified
    imported      TIMESTAMP NOT NULL,
    lines         BIGINT NOT NULL,     -- JSON objects that became rows
    bad           BIGINT NOT NULL,     -- lines that are none, kept in bad_lines as far as there is room
    problem       VARCHAR,             -- why the object, or its rest, could not be read; NULL is none
    UNIQUE (bucket, key)
);

-- One row per line of an object, in the order of the lines.
CREATE TABLE request_rows (
    object        INTEGER NOT NULL,    -- objects.id
    line          BIGINT NOT NULL,     -- the how manieth JSON object of it, from 1
    duplicate     BOOLEAN NOT NULL,    -- a request that an earlier row has already
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
    extra         JSON,                -- every other field, as it came; NULL when there is none
    extended_request_id VARCHAR        -- $context.extendedRequestId; with it, or else request_id, a request is told from others
);

-- Each request once: what reports, SQL and the console read.
CREATE VIEW requests AS
    SELECT time, request_id, api_id, stage, key_id, customer, usage_plan, usage_plan_id, method, route, path, status,
           latency, integration_latency, bytes, ip, user_agent, error, extra, object, line, extended_request_id
    FROM request_rows WHERE NOT duplicate;

-- The objects whose requests were not compared with those of all others yet.
CREATE TABLE unchecked (object INTEGER NOT NULL);

-- The first lines that were no JSON object, for the eye.
CREATE TABLE bad_lines (
    object        INTEGER NOT NULL,
    line          BIGINT NOT NULL,
    reason        VARCHAR NOT NULL,
    content       VARCHAR NOT NULL     -- its first 200 bytes
);
