package lake

import (
	"net/url"
	"strings"
)

// Local is the endpoint of the bucket that `stagelog up` embeds, whose port may be another one in each run.
const Local = "local"

// FileName returns the name of the file for the lake of a bucket. Buckets with the same name at different endpoints have different
// files. endpoint is a URL; "" means AWS, where no two buckets have the same name.
func FileName(bucket, endpoint string) string {
	host := endpoint
	if at, err := url.Parse(endpoint); err == nil && at.Host != "" {
		host = at.Host + at.Path
	}
	host = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' {
			return r
		}
		return '-'
	}, strings.TrimSuffix(host, "/"))
	if host == "" || strings.HasSuffix(host, ".amazonaws.com") || strings.HasSuffix(host, ".amazonaws.com.cn") {
		return bucket + ".duckdb"
	}
	return bucket + "@" + host + ".duckdb"
}
