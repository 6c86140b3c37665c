package cli

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
)

const (
	redirect  = "The bucket you are attempting to access must be addressed using the specified endpoint. Please send all future requests to this endpoint."
	malformed = "The authorization header is malformed; the region &apos;us-east-1&apos; is wrong; expecting &apos;eu-west-1&apos;"
)

// elsewhere rejects requests signed for another Region than the bucket's, like S3.
func elsewhere(f *fakeS3, status int, header bool) func(w http.ResponseWriter, r *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if asked(r) == f.region {
			return false
		}
		if header || r.Method == http.MethodHead {
			w.Header().Set("X-Amz-Bucket-Region", f.region)
		}
		if status == http.StatusMovedPermanently {
			refuse(w, r, status, "PermanentRedirect", redirect, "<Endpoint>acme-logs.s3.eu-west-1.amazonaws.com</Endpoint><Bucket>acme-logs</Bucket>")
		} else {
			refuse(w, r, status, "AuthorizationHeaderMalformed", malformed, "<Region>eu-west-1</Region>")
		}
		return true
	}
}

// A bucket is read in its own Region, even if another one is configured.
func TestBucketInOtherRegion(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		header bool
		calls  []string
	}{
		"a redirect":                        {http.StatusMovedPermanently, true, []string{"GET us-east-1", "GET eu-west-1"}},
		"a redirect without the Region":     {http.StatusMovedPermanently, false, []string{"GET us-east-1", "HEAD us-east-1", "GET eu-west-1"}},
		"a wrong signature":                 {http.StatusBadRequest, false, []string{"GET us-east-1", "HEAD us-east-1", "GET eu-west-1"}},
		"a wrong signature with the Region": {http.StatusBadRequest, true, []string{"GET us-east-1", "GET eu-west-1"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeS3(t, "acme-logs", map[string]string{"logs/a": `{"request_id":"r1","status":"200"}`, "logs/b": `{"request_id":"r2","status":"200"}`})
			f.refuse = elsewhere(f, c.status, c.header)
			stdout, stderr, code := f.run(t, "query", "SELECT count(*) FROM requests", "--csv", "--bucket", "s3://acme-logs/logs/", "--region", "us-east-1")
			if code != exitOK || !strings.HasSuffix(stdout, "\n2\n") {
				t.Errorf("query = %d: %q %s", code, stdout, stderr)
			}
			if got := f.calls[:min(len(f.calls), len(c.calls))]; !slices.Equal(got, c.calls) || slices.Contains(f.calls[len(got):], "GET us-east-1") {
				t.Errorf("calls %v, want %v and then all in eu-west-1", f.calls, c.calls)
			}
		})
	}
}

// An error from S3 names the cause, the resource and the next step.
func TestS3ErrorsAreExplained(t *testing.T) {
	list := func(r *http.Request) bool { return r.URL.Query().Has("list-type") }
	get := func(r *http.Request) bool { return !list(r) }
	const user = "User: arn:aws:sts::111122223333:assumed-role/reports/eva is not authorized to perform: "
	for name, c := range map[string]struct {
		when          func(*http.Request) bool
		status        int
		code, message string
		args          []string
		text, not     []string
	}{
		"a missing bucket": {args: []string{"--bucket", "s3://acme-lgos/logs/"},
			text: []string{"s3://acme-lgos/logs/: list bucket acme-lgos: ", "the bucket does not exist", "aws s3 ls", "NoSuchBucket"}},
		"listing is denied without a reason": {when: list, status: 403, code: "AccessDenied", message: "Access Denied",
			text: []string{"these credentials may not s3:ListBucket on arn:aws:s3:::acme-logs\n", `"Action": "s3:ListBucket"`, `"Resource": "arn:aws:s3:::acme-logs"`, "another account", "request that prefix", "--profile"}},
		"listing is not allowed by the user's policies": {when: list, status: 403, code: "AccessDenied",
			message: user + "s3:ListBucket on resource: &quot;arn:aws:s3:::acme-logs&quot; because no identity-based policy allows the s3:ListBucket action",
			text:    []string{"reports/eva may not s3:ListBucket on arn:aws:s3:::acme-logs\n", "policy of that user or role", `"Resource": "arn:aws:s3:::acme-logs"`}, not: []string{"another account"}},
		"listing is denied by the bucket's policy": {when: list, status: 403, code: "AccessDenied",
			message: user + "s3:ListBucket on resource: &quot;arn:aws:s3:::acme-logs&quot; because no resource-based policy allows the s3:ListBucket action",
			text:    []string{"reports/eva may not s3:ListBucket", "The resource's owner must add", `"Resource": "arn:aws:s3:::acme-logs"`}, not: []string{"policy of that user"}},
		"listing is denied by the organization": {when: list, status: 403, code: "AccessDenied",
			message: user + "s3:ListBucket on resource: &quot;arn:aws:s3:::acme-logs&quot; with an explicit deny in a service control policy",
			text:    []string{"an explicit deny overrides all permissions", "service control policy"}, not: []string{"Add this"}},
		"reading is denied, as by the seed's own bucket policy": {when: get, status: 403, code: "AccessDenied", message: "Access Denied",
			text: []string{"logs/: get object acme-logs/logs/a: access denied", "may not s3:GetObject on arn:aws:s3:::acme-logs/*\n", `"Resource": "arn:aws:s3:::acme-logs/*"`, "without /*"}},
		"decryption is denied": {when: get, status: 403, code: "AccessDenied",
			message: user + "kms:Decrypt on resource: arn:aws:kms:eu-west-1:444455556666:key/k because no resource-based policy allows the kms:Decrypt action",
			text:    []string{"may not kms:Decrypt on arn:aws:kms:eu-west-1:444455556666:key/k\n", "The resource's owner must add", `"Action": "kms:Decrypt"`}, not: []string{"s3:GetObject"}},
		"expired credentials": {when: list, status: 400, code: "ExpiredToken", message: "The provided token has expired.",
			text: []string{"the AWS credentials have expired", "aws sso login", "aws sts get-caller-identity"}},
		"an invalid session token": {when: list, status: 400, code: "InvalidToken", message: "The provided token is malformed or otherwise invalid.",
			text: []string{"session token", "aws sso login"}},
		"unknown credentials": {when: list, status: 403, code: "InvalidAccessKeyId", message: "The AWS Access Key Id you provided does not exist in our records.",
			text: []string{"AWS rejected the credentials"}},
		"an archived object": {when: get, status: 403, code: "InvalidObjectState", message: "The operation is not valid for the object&apos;s storage class",
			text: []string{"logs/a", "archived", "restore it"}},
		"too many requests": {when: list, status: 503, code: "SlowDown", message: "Please reduce your request rate.",
			text: []string{"wait a minute"}},
		"a redirect without a Region": {when: func(*http.Request) bool { return true }, status: 301, code: "PermanentRedirect", message: redirect,
			text: []string{"another Region", "--region"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeS3(t, "acme-logs", map[string]string{"logs/a": `{"request_id":"r1","status":"200"}`})
			f.refuse = func(w http.ResponseWriter, r *http.Request) bool {
				if c.when == nil || !c.when(r) {
					return false
				}
				refuse(w, r, c.status, c.code, c.message, "")
				return true
			}
			if c.args == nil {
				c.args = []string{"--bucket", "s3://acme-logs/logs/"}
			}
			stdout, stderr, code := f.run(t, append([]string{"report"}, c.args...)...)
			if code != exitFailed || stdout != "" {
				t.Errorf("report = %d: %q", code, stdout)
			}
			for _, text := range append(c.text, "--no-import") {
				if !strings.Contains(stderr, text) {
					t.Errorf("stderr does not contain %q:\n%s", text, stderr)
				}
			}
			for _, text := range append(c.not, "operation error", "https response error", "api error") {
				if strings.Contains(stderr, text) {
					t.Errorf("stderr contains %q:\n%s", text, stderr)
				}
			}
		})
	}
}

// If there are no objects, the existing prefixes are listed: the given one may be a typo.
func TestNoObjectsBelowPrefix(t *testing.T) {
	for name, c := range map[string]struct {
		objects []string
		prefix  string
		text    string
	}{
		"a typo":                           {[]string{"errors/x", "logs/2026/x", "README"}, "lgos/", "no objects below s3://acme-logs/lgos/; check the prefix. s3://acme-logs/ contains errors/, logs/, README\n"},
		"a typo further down":              {[]string{"apiable/aws/logs/x", "apiable/aws/errors/x"}, "apiable/aws/lgos/", "s3://acme-logs/apiable/aws/ contains apiable/aws/errors/, apiable/aws/logs/\n"},
		"a typo further up":                {[]string{"apiable/aws/logs/x"}, "apaible/aws/logs", "s3://acme-logs/ contains apiable/\n"},
		"an empty bucket":                  {nil, "logs/", "no objects below s3://acme-logs/logs/\n"},
		"an empty bucket without a prefix": {nil, "", "no objects below s3://acme-logs/\n"},
		"another time":                     {[]string{"logs/2020/01/01/00/x"}, "logs/", "no objects below s3://acme-logs/logs/ in the time range (set by --from); found logs/2020/\n"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeS3(t, "acme-logs", map[string]string{})
			for _, key := range c.objects {
				f.objects[key] = "{}"
			}
			if _, stderr, code := f.run(t, "report", "--bucket", "s3://acme-logs/"+c.prefix); code != exitOK || !strings.Contains(stderr, c.text) {
				t.Errorf("report = %d: %s\nwant %s", code, stderr, c.text)
			}
		})
	}
}

// A denied listing of other prefixes is no error.
func TestNoObjectsAndListingDenied(t *testing.T) {
	f := newFakeS3(t, "acme-logs", map[string]string{"logs/x": "{}"})
	f.refuse = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Query().Get("prefix"), "shared/") {
			return false
		}
		refuse(w, r, http.StatusForbidden, "AccessDenied", "Access Denied", "")
		return true
	}
	if _, stderr, code := f.run(t, "report", "--bucket", "s3://acme-logs/shared/"); code != exitOK || !strings.HasSuffix(stderr, "no objects below s3://acme-logs/shared/\n") {
		t.Errorf("report = %d: %s", code, stderr)
	}
}

// Objects that S3 refuses to return, or whose transfer breaks off, are named and left for the next import.
func TestReportSkipsUnreadableObjects(t *testing.T) {
	f := newFakeS3(t, "acme-logs", map[string]string{
		"logs/a": `{"request_id":"r1","status":"200"}`, "logs/denied": `{"request_id":"r2","status":"200"}`, "logs/cut": strings.Repeat(`{"customer":"A","status":"200"}`+"\n", 10_000),
	})
	f.refuse = func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case strings.HasSuffix(r.URL.Path, "/denied"):
			refuse(w, r, http.StatusForbidden, "AccessDenied", "Access Denied", "")
		case strings.HasSuffix(r.URL.Path, "/cut"):
			w.Header().Set("Content-Length", "170000")
			_, _ = io.WriteString(w, f.objects["logs/cut"][:100_000])
		default:
			return false
		}
		return true
	}
	query := []string{"query", "SELECT count(*) FROM requests", "--csv", "--bucket", "s3://acme-logs/logs/"}
	stdout, stderr, code := f.run(t, query...)
	if code != exitOK || !strings.HasSuffix(stdout, "\n1\n") {
		t.Errorf("query = %d: %q", code, stdout)
	}
	for _, text := range []string{
		"skipped 2 objects; the next import tries them again\n", "logs/denied: S3 refused to return it: Access Denied (AccessDenied)\n", "logs/cut: its transfer was interrupted: unexpected EOF\n",
	} {
		if !strings.Contains(stderr, text) {
			t.Errorf("stderr does not contain %q:\n%s", text, stderr)
		}
	}
	if err := os.WriteFile("prices.yaml", []byte("version: \"1\"\ncurrency: EUR\nplans:\n  - {id: p, price: 0.01}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	bill := []string{"report", "invoice", "--month", "2026-10", "--prices", "prices.yaml", "--bucket", "s3://acme-logs/logs/"}
	if stdout, stderr, code = f.run(t, bill...); code != exitFailed || stdout != "" || !strings.Contains(stderr, "2 objects could not be read: the result would be too low") {
		t.Errorf("invoice = %d: %q %s", code, stdout, stderr)
	}
	f.refuse = nil
	if stdout, stderr, code = f.run(t, query...); code != exitOK || !strings.HasSuffix(stdout, "\n10002\n") || strings.Contains(stderr, "skipped") {
		t.Errorf("again: query = %d: %q %s", code, stdout, stderr)
	}
}

// A command that finds a damaged block in the lake rebuilds it, and its result is the same.
func TestDamagedLakeIsRebuilt(t *testing.T) {
	objects := map[string]string{}
	for o := range 20 {
		var body strings.Builder
		for i := range 500 {
			fmt.Fprintf(&body, `{"request_id":"%x","customer":"C %d","uri":"/%x"}`, sha256.Sum256(fmt.Append(nil, o, i)), i%7, sha256.Sum256(fmt.Append(nil, i, o)))
		}
		objects[fmt.Sprintf("logs/%02d", o)] = body.String()
	}
	f := newFakeS3(t, "acme-logs", objects)
	path := f.lake(t, "logs/")
	args := []string{"query", "SELECT customer, count(*), count(DISTINCT path), bit_xor(hash(requests)) FROM requests GROUP BY 1 ORDER BY 1", "--csv", "--bucket", "s3://acme-logs/logs/"}
	whole, stderr, code := f.run(t, args...)
	if code != exitOK {
		t.Fatal(stderr)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const header, block = 3 * 4096, 256 << 10
	rebuilt := 0
	for at := header + block/2; at < len(data); at += block {
		for name, damaged := range map[string][]byte{"flipped": bytes.Clone(data), "truncated": data[:at]} {
			if name == "flipped" {
				damaged[at] ^= 1
			}
			if err := os.WriteFile(path, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			stdout, stderr, code := f.run(t, append(args, "--no-import")...)
			reported := code != exitOK && strings.Contains(stderr, "--no-import")
			if !reported && (code != exitOK || stdout != whole) {
				t.Errorf("%s at %d: query --no-import = %d: %s %s", name, at, code, stdout, stderr)
			}
			if stdout, stderr, code = f.run(t, args...); code != exitOK || stdout != whole || reported && !strings.Contains(stderr, "the damaged file is now "+path+".damaged\n") {
				t.Errorf("%s at %d: query = %d: %s %s", name, at, code, stdout, stderr)
			}
			if kept, err := os.ReadFile(path + ".damaged"); reported && (err != nil || !bytes.Equal(kept, damaged)) {
				t.Errorf("%s at %d: the damaged file was changed (%v)", name, at, err)
			}
			if reported {
				rebuilt++
			}
		}
	}
	if t.Logf("rebuilt %d times", rebuilt); rebuilt < 8 {
		t.Error("most damages were not found")
	}
}

// Unreadable objects are named, and do not end tail.
func TestTailNamesUnreadableObjects(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := io.WriteString(z, strings.Repeat(`{"customer":"Early"}`, 10)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	f := newFakeS3(t, "acme-logs", map[string]string{"logs/old": `{"customer":"Old"}`})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	lists := 0 // two for each check
	f.refuse = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/denied") {
			refuse(w, r, http.StatusForbidden, "AccessDenied", "Access Denied", "")
			return true
		}
		if r.URL.Query().Has("list-type") {
			switch lists++; lists {
			case 3:
				f.objects["logs/corrupt"], f.objects["logs/denied"] = "PAR1\x1b[2JPAR1", "x"
				f.objects["logs/short"], f.objects["logs/whole"] = packed.String()[:packed.Len()-4], `{"customer":"Acme"}`
			case 5:
				cancel()
			}
		}
		return false
	}
	var stdout, stderr bytes.Buffer
	code := Run(ctx, Process{Args: []string{"tail", "--bucket", "s3://acme-logs/logs/", "--every", "100ms", "--endpoint-url", f.endpoint}, Getenv: func(string) string { return "" }, Stdout: &stdout, Stderr: &stderr})
	if code != exitOK || !strings.Contains(stdout.String(), "Acme") || strings.Contains(stdout.String(), "Old") {
		t.Errorf("tail = %d: %s", code, stdout.String())
	}
	for _, text := range []string{"logs/corrupt: open parquet object: ", "logs/denied: get object acme-logs/logs/denied: access denied", "logs/short: unexpected EOF"} {
		if !strings.Contains(stderr.String(), text) {
			t.Errorf("stderr does not contain %q:\n%s", text, stderr.String())
		}
	}
	if strings.Contains(stderr.String(), "\x1b") {
		t.Errorf("stderr has an escape: %q", stderr.String())
	}
}

// An error that quotes a value has no control characters.
func TestQueryErrorIsPrintable(t *testing.T) {
	f := newFakeS3(t, "acme-logs", map[string]string{"logs/a": `{"customer":"\u001b[2J\u202e","status":"200"}`})
	const statement = "SELECT CAST(customer AS INTEGER) FROM requests"
	for _, stdin := range []string{"", statement + "\n"} {
		args := []string{"query", "--bucket", "s3://acme-logs/logs/", "--endpoint-url", f.endpoint}
		if stdin == "" {
			args = append(args, statement)
		}
		_, stderr, _ := call(t, nil, stdin, args...)
		if !strings.Contains(stderr, `\x1b[2J\u202e`) || strings.ContainsAny(stderr, "\x1b\u202e") {
			t.Errorf("stderr: %q", stderr)
		}
	}
}
