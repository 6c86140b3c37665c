//go:build cgo

package lake

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/stagelog/stagelog/internal/record"
)

// goodLines are well-formed lines of all shapes, with a verb for the request id, or for JSON text with it.
var goodLines = []string{
	`{"request_id":"%s","status":"200"}`,
	`{"requestId":"%s","ip":"203.0.113.7"}`,
	` {"requestId":"%s","identity":{"sourceIp":"::1"},"http":{"status":404,"x":[{}]},"path":"/a}{"} `,
	`[{"request_id":"%s","customer":"M\u00fcller \"& S\u00f6hne\"","user_agent":"\u001f\u001e\n"}]`,
	"\uFEFF" + `{"request_id":"%s","status":"200"}`,
	`2026-11-28T08:30:00.000Z {"request_id":"%s","status":"200"}`,
	`{"request_id":"%s","status":"200"}{"a":{}}`,
}

var goodWrappers = []string{
	`{"message":%s}`,
	`{"log":%s,"stream":"stdout","time":"2026-11-28T08:30:00Z"}`,
	`{"messageType":"DATA_MESSAGE","logGroup":"g","logStream":"s","subscriptionFilters":[],"logEvents":[{"id":"1","timestamp":1795854600000,"message":%s}]}`,
}

// goodLine returns a well-formed line with a request id.
func goodLine(random *rand.Rand, id string) string {
	line := fmt.Sprintf(goodLines[random.IntN(len(goodLines))], id)
	for wraps := random.IntN(3 * maxWraps); wraps > 0 && wraps <= maxWraps; wraps-- {
		text, err := json.Marshal(line)
		if err != nil {
			panic(err)
		}
		line = fmt.Sprintf(goodWrappers[random.IntN(len(goodWrappers))], text)
	}
	return line
}

// zstdWriter is kept, because a new one needs much memory.
var zstdWriter, _ = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))

// packed returns the parts of an object as one of its writers compresses them.
func packed(t *testing.T, random *rand.Rand, parts [][]byte) []byte {
	t.Helper()
	zip := func(data []byte) []byte {
		var out bytes.Buffer
		w, err := gzip.NewWriterLevel(&out, gzip.HuffmanOnly)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	all := bytes.Join(parts, nil)
	switch random.IntN(5) {
	case 0:
		return zip(all)
	case 1:
		return zip(zip(all))
	case 2:
		return zstdWriter.EncodeAll(all, nil)
	case 3: // each part on its own, some of them not compressed
		var out []byte
		for i, part := range parts {
			if i == 0 || random.IntN(2) == 0 {
				part = zip(part)
			} else { // what begins like gzip after gzip is a damaged member
				part = bytes.ReplaceAll(part, []byte("\x1f\x8b"), nil)
			}
			out = append(out, part...)
		}
		return out
	}
	return all
}

// inMemory is a bucket of one object.
type inMemory []byte

func (m inMemory) Bucket() string { return "b" }

func (m inMemory) List(_ context.Context, _, _ string, fn func(record.Object) error) error {
	return fn(record.Object{Key: "o", ETag: "e", Size: int64(len(m))})
}

func (m inMemory) Get(context.Context, string) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(m)), nil
}

// mixed returns an object of well-formed lines and arbitrary bytes between them, and the lines.
func mixed(t *testing.T, seed uint64, junk []byte) (object inMemory, good []string) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 0))
	var parts [][]byte
	for i := range 1 + random.IntN(20) {
		good = append(good, goodLine(random, fmt.Sprintf("good-%d", i)))
		parts = append(parts, []byte(good[i]+"\n"))
		if cut := random.IntN(len(junk) + 1); random.IntN(3) > 0 {
			parts = append(parts, append(bytes.Clone(junk[:cut]), '\n'))
			junk = junk[cut:]
		}
	}
	return packed(t, random, parts), good
}

// junks are bytes that confuse readers.
var junks = []string{
	"{\"a\":\n\"}{\n\x00\xff\xfe\n{\"request_id\":\"x\",\"status\":",
	"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\nPAR1\nPK\x03\x04\n[[[[{{{{",
	"{\"rawData\":\"x\",\"errorCode\":\"y\"}\n{\"message\":\"{\\\"a\\\":\"}\n{“a”:“b}",
	`{"logEvents":[{"message":"{"}],"messageType":"DATA_MESSAGE"}{"log":"[{]"}""x""` + strings.Repeat("\n{\"a\":-,'b':\"\xfa\\x", 9),
}

// Whatever bytes are between them, and however the object is compressed, each well-formed line is a row.
func FuzzObjectKeepsGoodLines(f *testing.F) {
	for seed := range uint64(24) {
		f.Add(seed, []byte(junks[int(seed)%len(junks)]))
	}
	f.Fuzz(func(t *testing.T, seed uint64, junk []byte) {
		object, good := mixed(t, seed, junk)
		var rows bytes.Buffer
		var r read
		if err := r.parse(t.Context(), bytes.NewReader(object), &rows, Mapping{}.reader(1), maxPlainBytes); err != nil {
			t.Fatal(err)
		}
		if found := int64(bytes.Count(rows.Bytes(), []byte("\n"))); found != r.count.rows || r.bytes != int64(rows.Len()) {
			t.Errorf("%d rows of %d bytes, but counted %d of %d", found, rows.Len(), r.count.rows, r.bytes)
		}
		for i, line := range good {
			if id := fmt.Sprintf("\x1fgood-%d\x1f", i); !bytes.Contains(rows.Bytes(), []byte(id)) {
				t.Errorf("line %d is lost: problem %q, %+v: %s", i, r.problem, r.count, line)
			}
		}
	})
}

// DuckDB accepts the rows of such objects.
func TestImportKeepsGoodLines(t *testing.T) {
	for i, junk := range junks {
		object, good := mixed(t, uint64(i), []byte(junk))
		l, err := Open(t.Context(), "", Options{})
		if err != nil {
			t.Fatal(err)
		}
		sum, err := l.Import(t.Context(), object, ImportOptions{})
		var found int
		if err == nil {
			err = l.DB().QueryRow("SELECT count(*) FROM requests WHERE starts_with(request_id, 'good-')").Scan(&found)
		}
		if err != nil || found != len(good) {
			t.Errorf("junk %d: %d of %d good lines, %+v, %v", i, found, len(good), sum, err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}
