package lake

import (
	"crypto/sha256"
	"fmt"
	"net/url"
	"strings"

	"github.com/stagelog/stagelog/internal/record"
)

// Local is the endpoint of the bucket that `stagelog up` embeds, whose port may be another one in each run.
const Local = "local"

// prefixDigits is the number of hexadecimal digits for a prefix in a name.
const prefixDigits = 12

// FileName returns the name of the file for the lake of the logs below a prefix of a bucket. Other prefixes have other files, so that
// reports do not show more than what was asked for; a pipeline has one for the prefix that it delivers to, which is "" here. So have
// buckets with the same name at different endpoints. endpoint is a URL; "" means AWS, where no two buckets have the same name.
func FileName(bucket, prefix, endpoint string) string {
	if prefix != "" {
		bucket = fmt.Sprintf("%s+%x", bucket, sha256.Sum256([]byte(prefix)))[:len(bucket)+1+prefixDigits]
	}
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
	if host == "" || record.OnAWS(host) {
		return bucket + ".duckdb"
	}
	return bucket + "@" + host + ".duckdb"
}
