package server

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/encoding/lines"
)

// TestWrappedLinesAreDelivered puts records into the stream of `up` that wrap lines, and reads the bucket.
func TestWrappedLinesAreDelivered(t *testing.T) {
	restoreDir(t)
	upstream := httptest.NewServer(http.NotFoundHandler())
	defer upstream.Close()
	const key = "0123456789-0123456789"
	cfg := testConfig(t, upstream.URL)
	const wrong = "key=" + key
	err := Run(t.Context(), cfg, func(ctx context.Context, c *Server) error {
		line := func(id string) string {
			return fmt.Sprintf(`{"request_id":%q,"key_id":%q,"api_id":"shop","stage":"prod","api_key":%q}`, id, c.KeyIDs()[0], key)
		}
		quote := func(text string) string {
			quoted, err := json.Marshal(text)
			if err != nil {
				t.Fatal(err)
			}
			return string(quoted)
		}
		envelope := func(kind string, messages ...string) []byte {
			var out bytes.Buffer
			z := gzip.NewWriter(&out)
			for i := range messages {
				messages[i] = `{"id":"7","timestamp":1795854600000,"message":` + quote(messages[i]) + `}`
			}
			fmt.Fprintf(z, `{"messageType":%q,"logGroup":"g","logStream":"s","logEvents":[%s]}`, kind, strings.Join(messages, ","))
			if err := z.Close(); err != nil {
				t.Fatal(err)
			}
			return out.Bytes()
		}
		_, err := c.ingest.Put(ctx, cfg.Pipeline.Stream(), [][]byte{
			[]byte(line("1")), envelope("DATA_MESSAGE", line("2"), wrong, line("3")), envelope("CONTROL_MESSAGE", "check"),
			[]byte(`{"log":` + quote(line("4")) + `}`), []byte(`{"log":"` + wrong + `"}`),
			[]byte("2026-11-28T08:30:00.000Z " + line("5")), []byte(line("6")),
		})
		return err
	})
	if err != nil {
		t.Fatalf("Run: %v", err)
	}

	var good, failed []string
	err = filepath.WalkDir(cfg.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".gz" {
			return err
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		plain, _, err := lines.Open(file)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(plain)
		for line := range strings.Lines(string(text)) {
			var fields struct {
				RequestID    string          `json:"request_id"`
				Customer     string          `json:"customer"`
				APIKey       string          `json:"api_key"`
				Unreadable   json.RawMessage `json:"unreadable_log_event"`
				Wrapper      json.RawMessage `json:"wrapper"`
				RawData      string          `json:"rawData"`
				ErrorMessage string          `json:"errorMessage"`
			}
			if err := json.Unmarshal([]byte(line), &fields); err != nil {
				t.Errorf("line %s: %v", line, err)
			}
			raw, err := base64.StdEncoding.DecodeString(fields.RawData)
			if err != nil {
				t.Errorf("raw data of %s: %v", line, err)
			}
			if len(raw) > 0 {
				failed = append(failed, string(raw)+" "+fields.ErrorMessage)
				continue
			}
			good = append(good, strings.Join([]string{fields.RequestID, fields.Customer, fields.APIKey, string(fields.Unreadable), string(fields.Wrapper)}, " "))
			if strings.Contains(line, key) {
				t.Errorf("a reader can see the API key in %s", line)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	const masked = " Acme *****************6789"
	want := []string{"1" + masked + "  ", "2" + masked + "  ", `   {"id":"7","timestamp":1795854600000,"log_group":"g","log_stream":"s"} `, "3" + masked + "  ",
		"4" + masked + "  ", "5" + masked + `  {"timestamp":"2026-11-28T08:30:00.000Z"}`, "6" + masked + "  "}
	if diff := cmp.Diff(want, good); diff != "" {
		t.Errorf("delivered (-want +got):\n%s", diff)
	}
	want = []string{`{"log":"` + wrong + `"} ProcessingFailed status set for record: the record wraps text that is not an access log line, in which an API key cannot be hidden`}
	if diff := cmp.Diff(want, failed); diff != "" {
		t.Errorf("error output (-want +got):\n%s", diff)
	}
}
