package s3server

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/stagelog/stagelog/internal/durable/atomicfile"
)

// settings are the configurations of buckets that the server inside has no place for: public
// access block, default encryption and lifecycle. They are kept as they came, one file for each
// bucket, and answered. What they ask for: nothing here is public whatever they say; the disk's
// own encryption is what there is; a lifecycle is carried out, see lifecycle.go.
type settings struct {
	dir  string // a file for each bucket
	root string // of the buckets
	mu   sync.Mutex
}

// setting is one of them: the name in the query, and what S3 says when it is not there.
type setting struct {
	query   string
	code    string
	message string
	otherwise,
	element string // its document's element, and what a new bucket has
}

const s3Namespace = `xmlns="http://s3.amazonaws.com/doc/2006-03-01/"`

// knownSettings: since 2023 S3 makes each bucket with a public access block and SSE-S3.
var knownSettings = []setting{
	{"publicAccessBlock", "NoSuchPublicAccessBlockConfiguration", "The public access block configuration was not found",
		`<PublicAccessBlockConfiguration ` + s3Namespace + `><BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>true</IgnorePublicAcls><BlockPublicPolicy>true</BlockPublicPolicy><RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>`,
		"PublicAccessBlockConfiguration"},
	{"encryption", "ServerSideEncryptionConfigurationNotFoundError", "The server side encryption configuration was not found", sseS3, "ServerSideEncryptionConfiguration"},
	{"lifecycle", "NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist", "", "LifecycleConfiguration"},
}

const sseS3 = `<ServerSideEncryptionConfiguration ` + s3Namespace + `><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault><BucketKeyEnabled>false</BucketKeyEnabled></Rule></ServerSideEncryptionConfiguration>`

const maxSetting = 256 << 10

// settingOf says which setting of which bucket a request is about.
func settingOf(r *http.Request) (setting, string, bool) {
	bucket := strings.Trim(r.URL.Path, "/")
	if bucket == "" || strings.Contains(bucket, "/") {
		return setting{}, "", false
	}
	query := r.URL.Query()
	for _, s := range knownSettings {
		if query.Has(s.query) {
			return s, bucket, true
		}
	}
	return setting{}, "", false
}

// over serves the settings before next, which is the server inside. It is asked first in any
// case: it checks the signature, and answers 501 to who has a good one.
func (st *settings) over(adminKey string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		what, bucket, ok := settingOf(r)
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(io.LimitReader(r.Body, maxSetting+1))
		if err != nil || len(body) > maxSetting {
			writeS3Error(w, http.StatusBadRequest, "MaxMessageLengthExceeded", "Your request was too big.")
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		answer := &held{header: http.Header{}, status: http.StatusOK}
		next.ServeHTTP(answer, r)
		switch {
		case answer.status != http.StatusNotImplemented:
			answer.send(w)
		case !signedInHeader(r, adminKey, what.query):
			writeS3Error(w, http.StatusForbidden, "AccessDenied", "Access Denied")
		default:
			st.serve(w, r, what, bucket, body)
		}
	})
}

// signedInHeader says whether the signature that the server inside found good is the header's, and
// of that key. A signature in the query counts before the header, which may then say anything, so
// there must be nothing else in the query than what is asked for.
func signedInHeader(r *http.Request, key, asked string) bool {
	query, err := url.ParseQuery(r.URL.RawQuery)
	for name := range query {
		if name != asked && name != "x-id" { // by which SDKs tell operations apart
			return false
		}
	}
	headers := r.Header.Values("Authorization")
	return err == nil && len(headers) == 1 && strings.HasPrefix(headers[0], "AWS4-HMAC-SHA256 Credential="+key+"/")
}

func (st *settings) serve(w http.ResponseWriter, r *http.Request, what setting, bucket string, body []byte) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if info, err := os.Stat(filepath.Join(st.root, bucket)); err != nil || !info.IsDir() {
		writeS3Error(w, http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist")
		return
	}
	have, err := st.read(bucket)
	if err != nil {
		writeS3Error(w, http.StatusInternalServerError, "InternalError", "We encountered an internal error. Please try again.")
		return
	}
	switch r.Method {
	case http.MethodGet:
		text, set := have[what.query]
		if !set {
			text = what.otherwise
		}
		if text == "" {
			writeS3Error(w, http.StatusNotFound, what.code, what.message)
			return
		}
		w.Header().Set("Content-Type", "application/xml")
		_, _ = io.WriteString(w, xml.Header+text)
		return
	case http.MethodPut:
		if code, message := what.check(body); code != "" {
			status := http.StatusBadRequest
			if code == "NotImplemented" {
				status = http.StatusNotImplemented
			}
			writeS3Error(w, status, code, message)
			return
		}
		have[what.query] = string(bytes.TrimSpace(bytes.TrimPrefix(body, []byte(xml.Header))))
	case http.MethodDelete:
		have[what.query] = ""
		if what.query == "encryption" { // S3 resets it to SSE-S3
			have[what.query] = sseS3
		}
	default:
		writeS3Error(w, http.StatusMethodNotAllowed, "MethodNotAllowed", "The specified method is not allowed against this resource.")
		return
	}
	if err := st.write(bucket, have); err != nil {
		writeS3Error(w, http.StatusInternalServerError, "InternalError", "We encountered an internal error. Please try again.")
		return
	}
	if r.Method == http.MethodDelete {
		w.WriteHeader(http.StatusNoContent)
	}
}

// check refuses a document that is not what it should be, or asks for what is not here.
func (s setting) check(body []byte) (code, message string) {
	var root struct {
		XMLName xml.Name
		KMS     []string `xml:"Rule>ApplyServerSideEncryptionByDefault>SSEAlgorithm"`
	}
	if err := xml.Unmarshal(body, &root); err != nil || root.XMLName.Local != s.element {
		return "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema"
	}
	switch s.query {
	case "encryption":
		for _, algorithm := range root.KMS {
			if algorithm != "AES256" {
				return "NotImplemented", "There is no KMS here: SSEAlgorithm is AES256."
			}
		}
	case "lifecycle":
		return checkLifecycle(body)
	}
	return "", ""
}

func (st *settings) file(bucket string) string { return filepath.Join(st.dir, bucket+".json") }

func (st *settings) read(bucket string) (map[string]string, error) {
	have := map[string]string{}
	data, err := os.ReadFile(st.file(bucket))
	if errors.Is(err, fs.ErrNotExist) {
		return have, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &have)
	}
	return have, err
}

func (st *settings) write(bucket string, have map[string]string) error {
	data, err := json.Marshal(have)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(st.dir, 0o700); err != nil {
		return err
	}
	return atomicfile.WriteFile(st.file(bucket), data, 0o600)
}

// forget drops the settings of a bucket that is deleted: one made anew begins anew.
func (st *settings) forget(bucket string) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if err := os.Remove(st.file(bucket)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget the settings of bucket %s: %w", bucket, err)
	}
	return nil
}

// held is an answer that may be replaced by another.
type held struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (h *held) Header() http.Header         { return h.header }
func (h *held) WriteHeader(status int)      { h.status = status }
func (h *held) Write(p []byte) (int, error) { return h.body.Write(p) }

func (h *held) send(w http.ResponseWriter) {
	for name, values := range h.header {
		w.Header()[name] = values
	}
	w.WriteHeader(h.status)
	_, _ = w.Write(h.body.Bytes())
}

func writeS3Error(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_ = xml.NewEncoder(w).Encode(struct {
		XMLName       xml.Name `xml:"Error"`
		Code, Message string
	}{Code: code, Message: message})
}
