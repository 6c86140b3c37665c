package cli

import (
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stagelog/stagelog/internal/lake"
	"github.com/stagelog/stagelog/internal/testenv"
)

// fakeS3 is a fake S3 server with one bucket and S3's error responses.
type fakeS3 struct {
	name, region string
	endpoint     string

	mu      sync.Mutex
	objects map[string]string
	// refuse may handle a request instead of the bucket, and reports whether it did. It may be nil.
	refuse func(w http.ResponseWriter, r *http.Request) bool
	calls  []string // "METHOD REGION" of each request
}

// newFakeS3 serves a bucket in eu-west-1 and sets credentials for it in a new working folder.
func newFakeS3(t *testing.T, name string, objects map[string]string) *fakeS3 {
	t.Helper()
	f := &fakeS3{name: name, region: "eu-west-1", objects: objects}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	f.endpoint = server.URL
	t.Chdir(t.TempDir())
	testenv.Isolate(t)
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIAFAKEFAKEFAKEFAKE", "AWS_SECRET_ACCESS_KEY": "fake", "AWS_REGION": f.region, "AWS_MAX_ATTEMPTS": "1",
	} {
		t.Setenv(name, value)
	}
	return f
}

// run runs a command over the bucket.
func (f *fakeS3) run(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return call(t, nil, "", append(args, "--endpoint-url", f.endpoint)...)
}

// lake returns the path of the lake of a prefix for a command outside a pipeline's directory.
func (f *fakeS3) lake(t *testing.T, prefix string) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(cache, "stagelog", "lake", lake.FileName(f.name, prefix, f.endpoint+"/"+os.Getenv("AWS_ACCESS_KEY_ID")))
}

func (f *fakeS3) remove(keys ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, key := range keys {
		delete(f.objects, key)
	}
}

// asked returns the Region that a request is signed for.
func asked(r *http.Request) string {
	_, scope, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	return strings.Split(scope+"///", "/")[2]
}

// refuse writes an error response like S3, without a body for HEAD.
func refuse(w http.ResponseWriter, r *http.Request, status int, code, message, more string) {
	w.Header().Set("X-Amz-Request-Id", "TX0000000000REQUEST")
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		fmt.Fprintf(w, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>%s</Message>%s<RequestId>TX0000000000REQUEST</RequestId><HostId>host</HostId></Error>",
			code, message, more)
	}
}

func (f *fakeS3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, r.Method+" "+asked(r))
	if f.refuse != nil && f.refuse(w, r) {
		return
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	body, found := f.objects[key]
	switch {
	case bucket != f.name:
		refuse(w, r, http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist", "<BucketName>"+bucket+"</BucketName>")
	case r.Method == http.MethodHead && key == "":
		w.Header().Set("X-Amz-Bucket-Region", f.region)
	case r.Method != http.MethodGet:
		refuse(w, r, http.StatusMethodNotAllowed, "MethodNotAllowed", "The specified method is not allowed against this resource.", "")
	case key == "":
		f.list(w, r)
	case !found:
		refuse(w, r, http.StatusNotFound, "NoSuchKey", "The specified key does not exist.", "<Key>"+key+"</Key>")
	default:
		_, _ = io.WriteString(w, body)
	}
}

// list serves ListObjectsV2 with all objects in one page.
func (f *fakeS3) list(w http.ResponseWriter, r *http.Request) {
	type content struct {
		Key, LastModified, ETag string
		Size                    int
	}
	type prefix struct{ Prefix string }
	out := struct {
		XMLName        xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
		Name           string
		IsTruncated    bool
		Contents       []content
		CommonPrefixes []prefix
	}{Name: f.name}
	q := r.URL.Query()
	for _, key := range slices.Sorted(maps.Keys(f.objects)) {
		rest, below := strings.CutPrefix(key, q.Get("prefix"))
		if !below || key <= q.Get("start-after") {
			continue
		}
		if folder, _, inside := strings.Cut(rest, "/"); inside && q.Get("delimiter") == "/" {
			if p := (prefix{q.Get("prefix") + folder + "/"}); !slices.Contains(out.CommonPrefixes, p) {
				out.CommonPrefixes = append(out.CommonPrefixes, p)
			}
			continue
		}
		out.Contents = append(out.Contents, content{key, time.Now().UTC().Format(time.RFC3339), fmt.Sprintf(`"%d"`, len(f.objects[key])), len(f.objects[key])})
	}
	w.Header().Set("Content-Type", "application/xml")
	_ = xml.NewEncoder(w).Encode(out)
}
