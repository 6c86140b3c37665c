package s3server

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/stagelog/stagelog/internal/durable/atomicfile"
)

// settings stores the bucket configurations that the S3 server does not support: public access block, default
// encryption and lifecycle. Each bucket has a file with the documents as received. Nothing is public
// regardless of the public access block, encryption is that of the disk, and lifecycles are applied (see
// lifecycle.go).
type settings struct {
	dir  string // of the files
	root string // of the buckets
	log  *slog.Logger
	mu   sync.Mutex
}

// setting describes one of them.
type setting struct {
	query     string // parameter that selects it
	code      string // S3's error if it is not set
	message   string
	otherwise string // document of a new bucket; "": not set
	element   string // root element of its document
}

const s3Namespace = `xmlns="http://s3.amazonaws.com/doc/2006-03-01/"`

// knownSettings lists the settings. Since 2023 new buckets in S3 have a public access block and SSE-S3.
var knownSettings = []setting{
	{"publicAccessBlock", "NoSuchPublicAccessBlockConfiguration", "The public access block configuration was not found",
		`<PublicAccessBlockConfiguration ` + s3Namespace + `><BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>true</IgnorePublicAcls><BlockPublicPolicy>true</BlockPublicPolicy><RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>`,
		"PublicAccessBlockConfiguration"},
	{"encryption", "ServerSideEncryptionConfigurationNotFoundError", "The server side encryption configuration was not found", sseS3, "ServerSideEncryptionConfiguration"},
	{"lifecycle", "NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist", "", "LifecycleConfiguration"},
}

const sseS3 = `<ServerSideEncryptionConfiguration ` + s3Namespace + `><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault><BucketKeyEnabled>false</BucketKeyEnabled></Rule></ServerSideEncryptionConfiguration>`

const maxSetting = 256 << 10

// settingOf returns the setting and the bucket of a request, and whether it is about a setting.
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

// over returns a handler that serves the settings and passes other requests to next, the S3 server. Requests
// about settings go to next as well, because it verifies the signature; it returns 501 if that is valid.
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
		resp := &heldResponse{header: http.Header{}, status: http.StatusOK}
		next.ServeHTTP(resp, r)
		switch {
		case resp.status != http.StatusNotImplemented:
			resp.send(w)
		case !signedInHeader(r, adminKey, what.query):
			writeS3Error(w, http.StatusForbidden, "AccessDenied", "Access Denied")
		default:
			st.serve(w, r, what, bucket, body)
		}
	})
}

// signedInHeader reports whether the signature that the S3 server verified is in the header, by that key. A
// signature in the query takes precedence over the header, which is then unverified, so the query must
// contain nothing but the requested setting.
func signedInHeader(r *http.Request, key, asked string) bool {
	query, err := url.ParseQuery(r.URL.RawQuery)
	for name := range query {
		if name != asked && name != "x-id" { // set by SDKs to identify the operation
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

// check refuses an invalid or unsupported document.
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
				return "NotImplemented", "KMS is not supported: SSEAlgorithm must be AES256."
			}
		}
	case "lifecycle":
		return checkLifecycle(body)
	}
	return "", ""
}

func (st *settings) file(bucket string) string { return filepath.Join(st.dir, bucket+".json") }

// checksumKey is the key of the documents' checksum in a bucket's file. Earlier versions did not write it.
const checksumKey = "checksum"

// read returns the bucket's documents. A damaged file is set aside, and the bucket has the defaults until they are set again.
func (st *settings) read(bucket string) (map[string]string, error) {
	data, err := os.ReadFile(st.file(bucket))
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]string{}, nil
	}
	if err != nil {
		return nil, err
	}
	have := map[string]string{}
	err = json.Unmarshal(data, &have)
	sum, ok := have[checksumKey]
	delete(have, checksumKey)
	if err == nil && (!ok || sum == checksum(have)) && wellFormed(have) {
		return have, nil
	}
	aside := st.file(bucket) + ".damaged"
	st.log.Error("settings of a bucket are damaged; using the defaults", "bucket", bucket, "file", aside)
	return map[string]string{}, os.Rename(st.file(bucket), aside)
}

// wellFormed reports whether the documents were accepted as they are.
func wellFormed(have map[string]string) bool {
	for _, s := range knownSettings {
		if text := have[s.query]; text != "" {
			if code, _ := s.check([]byte(text)); code != "" {
				return false
			}
		}
	}
	return true
}

func checksum(have map[string]string) string {
	data, err := json.Marshal(have) // with sorted keys
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return strconv.FormatUint(uint64(crc32.ChecksumIEEE(data)), 16)
}

func (st *settings) write(bucket string, have map[string]string) error {
	have[checksumKey] = checksum(have)
	data, err := json.Marshal(have)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(st.dir, 0o700); err != nil {
		return err
	}
	return atomicfile.WriteFile(st.file(bucket), data, 0o600)
}

// forget deletes the settings of a deleted bucket, so that a new bucket of that name starts with the defaults.
func (st *settings) forget(bucket string) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if err := os.Remove(st.file(bucket)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete settings of bucket %s: %w", bucket, err)
	}
	return nil
}

// heldResponse buffers a response that may be replaced.
type heldResponse struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (h *heldResponse) Header() http.Header         { return h.header }
func (h *heldResponse) WriteHeader(status int)      { h.status = status }
func (h *heldResponse) Write(p []byte) (int, error) { return h.body.Write(p) }

func (h *heldResponse) send(w http.ResponseWriter) {
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
