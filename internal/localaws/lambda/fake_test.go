package lambda

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/stagelog/stagelog/internal/delivery/function"
	"github.com/stagelog/stagelog/internal/record/recordtest"
)

// TestMain is also the function under test: the bootstrap of a test is a script that runs this binary with an argument.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "play" {
		lambda.Start(player{said: os.Args[2]})
		return
	}
	os.Exit(m.Run())
}

// player is a function that says which version of it runs, and what it was given.
type player struct{ said string }

func (p player) Invoke(ctx context.Context, event []byte) ([]byte, error) {
	if bytes.Contains(event, []byte("fail")) {
		return nil, fmt.Errorf("as requested")
	}
	if path := os.Getenv("NOTE"); path != "" && bytes.Contains(event, []byte("note")) {
		return nil, os.WriteFile(path, event, 0o600)
	}
	return json.Marshal(map[string]string{"said": p.said, "got": string(event), "var": os.Getenv("VAR"), "base": os.Getenv("BASE")})
}

// zipOf returns the code of a function that echoes a text.
func zipOf(t testing.TB, said string) []byte {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := function.Bundle(&b, strings.NewReader("#!/bin/sh\nexec '"+self+"' play '"+said+"'\n")); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// otherZip has a file that is no bootstrap.
func otherZip(t testing.TB, name string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create(name)
	if err == nil {
		_, err = io.WriteString(w, "x")
	}
	if err != nil || z.Close() != nil {
		t.Fatal("zip", err)
	}
	return b.Bytes()
}

// world is one service with its disk and its store.
type world struct {
	*Service
	t     testing.TB
	cfg   Config
	store *recordtest.Store
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, store: &recordtest.Store{}, cfg: Config{Region: "us-east-1", Account: "000000000000",
		Dir: filepath.Join(t.TempDir(), "functions"), Environment: map[string]string{"BASE": "base", "VAR": "base"},
		Now: func() time.Time { return time.UnixMilli(1_795_000_000_123) },
		FetchObject: func(_ context.Context, bucket, key string) ([]byte, error) {
			if bucket != "code" || key != "f.zip" {
				return nil, os.ErrNotExist
			}
			return zipOf(t, "fetched"), nil
		}}}
	w.restart()
	t.Cleanup(func() {
		if err := w.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return w
}

// restart ends the service and opens another one on the same disk and store.
func (w *world) restart() {
	w.t.Helper()
	if w.Service != nil {
		if err := w.Close(context.Background()); err != nil {
			w.t.Errorf("Close: %v", err)
		}
	}
	s, err := New(context.Background(), w.cfg, w.store)
	if err != nil {
		w.t.Fatalf("New: %v", err)
	}
	w.Service = s
}

// reply is an answer of the API.
type reply struct {
	status  int
	header  http.Header
	body    map[string]any
	text    string
	errType string
}

// call sends one request. headers are pairs.
func (w *world) call(method, path, body string, headers ...string) reply {
	w.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	out := reply{status: rec.Code, header: rec.Header(), text: rec.Body.String(), errType: rec.Header().Get("X-Amzn-ErrorType")}
	_ = json.Unmarshal(rec.Body.Bytes(), &out.body) // not every answer is an object
	return out
}

const functions = "/2015-03-31/functions"

// create creates a function that echoes a text. more holds further members, each as JSON.
func (w *world) create(name, said string, more ...string) reply {
	w.t.Helper()
	members := slices.Concat([]string{
		fmt.Sprintf(`"FunctionName":%q,"Runtime":"provided.al2023","Handler":"bootstrap","Role":"arn:aws:iam::000000000000:role/r","Timeout":60`, name),
		`"Code":{"ZipFile":"` + base64.StdEncoding.EncodeToString(zipOf(w.t, said)) + `"}`}, more)
	return w.call("POST", functions, "{"+strings.Join(members, ",")+"}")
}

// said invokes a function through the API and gives a member of its answer.
func (w *world) said(name, member string) string {
	w.t.Helper()
	r := w.call("POST", functions+"/"+name+"/invocations", `{"x":1}`)
	if r.status != 200 || r.header.Get("X-Amz-Function-Error") != "" {
		w.t.Fatalf("Invoke %s: got %d %s", name, r.status, r.text)
	}
	v, _ := r.body[member].(string)
	return v
}
