package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxStreamName is Firehose's limit for the name of a stream.
const maxStreamName = 64

var (
	accountPattern = regexp.MustCompile(`^[0-9]{12}$`)
	regionPattern  = regexp.MustCompile(`^[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}$`)
	namePattern    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*$`)
	bucketPattern  = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]*[a-z0-9]$`)
	hostPattern    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.:-]{0,252}$`)
	apiPattern     = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	stagePattern   = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)
	idPattern      = regexp.MustCompile(`^[A-Za-z0-9]{1,64}$`)
	fieldPattern   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,127}$`)
)

const (
	expectedAccount = "an AWS account: 12 digits"
	expectedHost    = "a host name or an IP address, without a port"
	expectedAPI     = "the id of an API: lower-case letters, digits and -"
	expectedStage   = "the name of a stage: letters, digits, _ and -"
)

// checkName returns why a name cannot be part of the names of a stream and a function, or "".
func checkName(name string) string {
	if most := maxStreamName - len(streamPrefix); len(name) > most {
		return fmt.Sprintf("the name has %d characters, at most %d are allowed: the stream is named %sNAME, and stream names have at most %d", len(name), most, streamPrefix, maxStreamName)
	}
	if !namePattern.MatchString(name) {
		return "expected letters, digits, - and _, beginning with a letter or a digit"
	}
	return ""
}

// checkBucket returns why a name cannot be a bucket's, or "" (S3's rules for general purpose buckets).
func checkBucket(name string) string {
	switch {
	case len(name) < 3 || len(name) > 63:
		return fmt.Sprintf("expected a bucket name of 3 to 63 characters, found %d", len(name))
	case !bucketPattern.MatchString(name):
		return "a bucket name consists of lower-case letters, digits, - and ., and begins and ends with a letter or a digit"
	case strings.Contains(name, ".."):
		return "a bucket name must not have two dots in a row"
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return "a bucket name must not be an IP address"
	}
	for _, prefix := range []string{"xn--", "sthree-", "amzn-s3-demo-"} {
		if strings.HasPrefix(name, prefix) {
			return "S3 reserves names that begin with " + prefix
		}
	}
	for _, suffix := range []string{"-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"} {
		if strings.HasSuffix(name, suffix) {
			return "S3 reserves names that end in " + suffix
		}
	}
	return ""
}

func checkUpstream(text string) string {
	u, err := url.Parse(text)
	switch {
	case text == Mock:
		return ""
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return "expected a URL like http://127.0.0.1:9000, or mock"
	case u.RawQuery != "" || u.Fragment != "":
		return "expected a URL without ? and #"
	}
	return ""
}

// checkLabel returns why a text cannot be the name of a customer, a usage plan or an API, or "".
func checkLabel(name string) string {
	switch {
	case strings.TrimSpace(name) != name || strings.ContainsFunc(name, unicode.IsControl) || !utf8.ValidString(name):
		return "a name must be one line of text without leading or trailing spaces"
	case utf8.RuneCountInString(name) > maxLabel:
		return fmt.Sprintf("a name has at most %d characters", maxLabel)
	case name == "-":
		return "- is reserved: in records it stands for a missing name"
	}
	return ""
}

const maxLabel = 255
