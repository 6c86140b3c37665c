//go:build cgo

package lake_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/aws/smithy-go"

	"github.com/stagelog/stagelog/internal/lake"
	"github.com/stagelog/stagelog/internal/record"
)

// The escape of a lone surrogate is U+FFFD in JSON and in a column of text.
func TestImportReplacesLoneSurrogates(t *testing.T) {
	l := open(t, "")
	importAll(t, l, &bucket{name: "b", bodies: map[string][]byte{
		"a": []byte(`{"request_id":"r1","uri":"\ud800","x":{"y":["\ud83d\ude00\\ud800","\udc00\ud800\u0041"]},"\udfff":1}`),
		"b": []byte(`{"request_id":"r2","status":"200"}`),
	}}, lake.ImportOptions{})
	want(t, "rows", ask(t, l, "SELECT request_id, path, CAST(extra AS VARCHAR) FROM requests ORDER BY 1"),
		"r1|\uFFFD|{\"x\":{\"y\":[\"\\ud83d\\ude00\\\\ud800\",\"\\ufffd\\ufffd\\u0041\"]},\"\uFFFD\":1}", "r2|NULL|NULL")
}

// Every special character in every column is imported unchanged, except NUL.
func TestImportKeepsEveryCharacter(t *testing.T) {
	names := []string{"request_id", "extended_request_id", "api_id", "stage", "key_id", "customer", "usage_plan", "usage_plan_id", "method", "resource_path", "uri", "ip", "user_agent", "error"}
	specials := []string{`"`, `""`, ",", "\\", "\u2028", "\uFEFF", "\u0085", "\u202E", "\x7f", "\r\n", "\x1eJ", "\x1e\x1e", "\n1\x1f2\n"}
	for c := range 32 {
		specials = append(specials, string(rune(c)))
	}
	b := &bucket{name: "b", bodies: map[string][]byte{}}
	var wanted []string
	for i, special := range specials {
		line, row := map[string]string{"other": special}, []string{}
		for k, name := range names {
			line[name] = fmt.Sprintf("%d%s%d", i, special, k)
			row = append(row, strings.ReplaceAll(line[name], "\x00", "\uFFFD"))
		}
		text, err := json.Marshal(line)
		if err != nil {
			t.Fatal(err)
		}
		b.bodies[fmt.Sprintf("o%02d-%s", i, strings.Trim(special, "\x00"))] = text
		extra, err := json.Marshal(map[string]string{"other": special})
		if err != nil {
			t.Fatal(err)
		}
		wanted = append(wanted, strings.Join(append(row, string(extra)), "|"))
	}
	l := open(t, "")
	if sum := importAll(t, l, b, lake.ImportOptions{}); sum.Rows != int64(len(specials)) || sum.Bad != 0 {
		t.Errorf("%+v", sum)
	}
	want(t, "rows", ask(t, l, `SELECT request_id, extended_request_id, api_id, stage, key_id, customer, usage_plan, usage_plan_id, method, route, path,
		ip, user_agent, error, CAST(extra AS VARCHAR) FROM requests ORDER BY object`), wanted...)
	if sum := importAll(t, l, b, lake.ImportOptions{}); sum.Imported != 0 {
		t.Errorf("imported again: %+v", sum)
	}
}

// Objects of random bytes, whatever their names and first bytes, do not stop the import of the others.
func TestImportSurvivesRandomObjects(t *testing.T) {
	heads := []string{"", "{", "\"", "x\ry\n", "\x1f\x8b\x08\x00", "PK\x03\x04", "\x82SNAPPY\x00", "\xff\x06\x00\x00sNaPpY", "\x28\xb5\x2f\xfd", "PAR1"}
	exts := []string{"", ".gz", ".zst", ".snappy", ".hsnappy", ".zip", ".parquet", ".json"}
	whole := gzipped(t, strings.Repeat(`{"request_id":"","status":"200"}`+"\n", 500))
	for seed := range uint64(4) {
		random := rand.New(rand.NewPCG(seed, 12))
		b := &bucket{name: "b", bodies: map[string][]byte{}}
		for i := range 150 {
			body := []byte(heads[i%len(heads)])
			for range random.IntN(3000) {
				body = append(body, byte(random.Uint32()))
			}
			if i%10 == 9 { // gzip, truncated or with a damaged byte
				body = append([]byte{}, whole[:1+random.IntN(len(whole)-1)]...)
				body[random.IntN(len(body))] ^= byte(1 + random.IntN(255))
			}
			b.bodies[fmt.Sprintf("o%03d%s", i, exts[random.IntN(len(exts))])] = body
			b.bodies[fmt.Sprintf("o%03d-good", i)] = fmt.Appendf(nil, `{"request_id":"good-%d","status":"200"}`, i)
		}
		l := open(t, "")
		if sum := importAll(t, l, b, lake.ImportOptions{}); sum.Imported != 300 {
			t.Errorf("seed %d: %+v", seed, sum)
		}
		want(t, fmt.Sprintf("seed %d", seed), ask(t, l, "SELECT count(*) FROM requests WHERE starts_with(request_id, 'good-')"), "150")
	}
}

// vanishing is a bucket in which some listed objects no longer exist.
type vanishing struct {
	*bucket
	gone map[string]bool
}

func (v vanishing) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	if v.gone[key] {
		return nil, fmt.Errorf("get object: %w", record.ErrNotFound)
	}
	return v.bucket.Get(ctx, key)
}

// Objects that disappear or change between the listing and the read do not stop the import.
func TestImportSkipsVanishedObjects(t *testing.T) {
	b := &bucket{name: "b", bodies: map[string][]byte{"bad\xff": []byte(`{"request_id":"r","status":"200"}`)}}
	for i := range 60 {
		b.bodies[fmt.Sprintf("o%02d", i)] = fmt.Appendf(nil, `{"request_id":"r%d","status":"200"}`, i)
	}
	b.sort()
	v := vanishing{b, map[string]bool{}}
	for i := 0; i < 60; i += 2 {
		v.gone[fmt.Sprintf("o%02d", i)] = true
	}
	b.bodies["o01"] = []byte(`{"request_id":"changed","status":"200"}`) // after the listing
	l := open(t, "")
	sum, err := l.Import(t.Context(), v, lake.ImportOptions{})
	if err != nil || sum.Skipped != 31 || sum.Imported != 30 || len(sum.Problems) != 20 {
		t.Errorf("%+v, %v", sum, err)
	}
	delete(b.bodies, "bad\xff")
	v.gone = nil
	b.sort()
	if sum, err = l.Import(t.Context(), v, lake.ImportOptions{}); err != nil || sum.Skipped != 0 || sum.Imported != 31 {
		t.Errorf("again: %+v, %v", sum, err)
	}
	want(t, "rows", ask(t, l, "SELECT count(*), count(DISTINCT request_id), count(*) FILTER (request_id = 'changed') FROM requests"), "60|60|1")
}

// faulty is a bucket that fails to return some objects.
type faulty struct {
	*bucket
	refused map[string]error
	cut     map[string]io.Reader // follows the first half of the body
}

func (f faulty) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	if err := f.refused[key]; err != nil {
		return nil, fmt.Errorf("get object %s: %w", key, err)
	}
	if end := f.cut[key]; end != nil {
		return io.NopCloser(io.MultiReader(bytes.NewReader(f.bodies[key][:len(f.bodies[key])/2]), end)), nil
	}
	return f.bucket.Get(ctx, key)
}

// packed returns an object of each format, with the same number of requests.
func packed(t *testing.T) map[string][]byte {
	var text strings.Builder
	for i := range 500 {
		fmt.Fprintf(&text, "{\"requestId\":\"r%d\",\"status\":\"200\"}\n", i)
	}
	lines := strings.Split(strings.TrimSpace(text.String()), "\n")
	return map[string][]byte{"plain": []byte(text.String()), "gzip": gzipped(t, text.String()), "zip": zipped(t, text.String()), "parquet": parquetFile(t, lines...)}
}

// An object whose transfer is interrupted is not imported in part; the next import reads it.
func TestImportRepeatsInterruptedTransfer(t *testing.T) {
	for name, end := range map[string]io.Reader{"error": iotest.ErrReader(io.ErrUnexpectedEOF), "early end": strings.NewReader("")} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TMPDIR", t.TempDir())
			b := &bucket{name: "b", bodies: packed(t)}
			f := faulty{bucket: b, cut: map[string]io.Reader{}}
			for form := range b.bodies {
				f.cut[form] = end
			}
			b.bodies["whole"] = []byte(`{"requestId":"r","status":"200"}`)
			b.sort()
			l := open(t, "")
			sum, err := l.Import(t.Context(), f, lake.ImportOptions{})
			if err != nil || sum.Imported != 1 || sum.Skipped != 4 || sum.Bad != 0 || len(sum.Problems) != 4 {
				t.Errorf("%+v, %v", sum, err)
			}
			want(t, "rows", ask(t, l, "SELECT count(*) FROM requests"), "1")
			if left, err := fs.Glob(os.DirFS(os.Getenv("TMPDIR")), "*/*"); err != nil || len(left) > 0 {
				t.Errorf("files left: %s, %v", left, err)
			}
			if sum := importAll(t, l, b, lake.ImportOptions{}); sum.Imported != 4 || sum.Rows != 2000 || len(sum.Problems) > 0 {
				t.Errorf("again: %+v", sum)
			}
		})
	}
}

// refusals are S3's responses for one object that it does not return.
var refusals = []string{"AccessDenied", "InvalidObjectState", "InvalidRequest", "KMS.DisabledException", "KMS.NotFoundException", "KMS.KMSInvalidStateException"}

// An object that S3 refuses to return does not stop the import of the others, unless it refuses all.
func TestImportSkipsRefusedObjects(t *testing.T) {
	b := &bucket{name: "b", bodies: map[string][]byte{}}
	f := faulty{bucket: b, refused: map[string]error{}}
	for i, code := range refusals {
		b.bodies[fmt.Sprintf("o%02d", 2*i)] = fmt.Appendf(nil, `{"request_id":"r%d","status":"200"}`, i)
		f.refused[fmt.Sprintf("o%02d", 2*i)] = &smithy.GenericAPIError{Code: code, Message: "because"}
	}
	b.sort()
	l := open(t, "")
	if _, err := l.Import(t.Context(), f, lake.ImportOptions{}); !errors.Is(err, f.refused["o00"]) {
		t.Errorf("Import = %v, want the first refusal", err)
	}
	b.bodies["o01"] = []byte(`{"request_id":"good","status":"200"}`)
	b.sort()
	for try, imported := range []int{1, 0} {
		sum, err := l.Import(t.Context(), f, lake.ImportOptions{})
		if err != nil || sum.Imported != imported || sum.Skipped != len(refusals) {
			t.Errorf("import %d: %+v, %v", try, sum, err)
		}
		for i, p := range sum.Problems {
			if want := "S3 refused to return it: because (" + refusals[i] + ")"; p.Reason != want || p.Key != fmt.Sprintf("o%02d", 2*i) {
				t.Errorf("%+v, want %s", p, want)
			}
		}
	}
	f.refused["o00"] = &smithy.GenericAPIError{Code: "KMS.ThrottlingException"}
	if _, err := l.Import(t.Context(), f, lake.ImportOptions{}); !errors.Is(err, f.refused["o00"]) {
		t.Errorf("Import = %v, want the throttling", err)
	}
	if sum := importAll(t, l, b, lake.ImportOptions{}); sum.Imported != len(refusals) {
		t.Errorf("after the refusals: %+v", sum)
	}
}

// A disk that is full while an object is copied to it is not the object's fault.
func TestImportFailsWithTheDisk(t *testing.T) {
	for _, form := range []string{"zip", "parquet"} {
		b := &bucket{name: "b", bodies: map[string][]byte{form: packed(t)[form]}}
		b.sort()
		l := open(t, "")
		good := os.TempDir()
		t.Setenv("TMPDIR", "/dev/null") // no file can be created there
		if sum, err := l.Import(t.Context(), b, lake.ImportOptions{}); err == nil {
			t.Errorf("%s: Import = %+v, want an error", form, sum)
		}
		t.Setenv("TMPDIR", good)
		if sum := importAll(t, l, b, lake.ImportOptions{}); sum.Rows != 500 || len(sum.Problems) > 0 {
			t.Errorf("%s: %+v", form, sum)
		}
	}
}

// randomJSON returns a random JSON value, at times with a syntax error.
func randomJSON(random *rand.Rand, depth int) string {
	names := []string{"request_id", "status", "latency", "bytes", "request_time", "customer", "uri", "api_key", "rawData", "errorCode", "", "\\u0000", "\\ud800", "\x1f\x1e"}
	scalars := []string{"null", "true", "-0", "1e999", "-1E-9", "12345678901234567890", "0.1", `"200"`, `"-"`, `""`, `"\ud800\u0000\n"`, `"\\\""`, `"é\u202e"`, `"1783951509123"`,
		"01", "tru", "'x'", `"\x"`, "\"a\rb\"", "\xff", ""}
	switch {
	case depth > 0 && random.IntN(3) > 0:
		parts := []string{}
		for range random.IntN(5) {
			parts = append(parts, `"`+names[random.IntN(len(names))]+`":`+randomJSON(random, depth-1))
		}
		return "{" + strings.Join(parts, ",") + "}"
	case depth > 0 && random.IntN(6) == 0:
		return strings.Repeat("[", random.IntN(2000)) + randomJSON(random, depth-1) + strings.Repeat("]", random.IntN(2000))
	case random.IntN(8) > 0:
		return scalars[random.IntN(14)]
	}
	return scalars[random.IntN(len(scalars))]
}

// Objects of random JSON, valid or not, do not stop the import of the others. A valid line beside them is always imported.
func TestImportSurvivesRandomJSON(t *testing.T) {
	for seed := range uint64(4) {
		random := rand.New(rand.NewPCG(seed, 7))
		b := &bucket{name: "b", bodies: map[string][]byte{}}
		for i := range 150 {
			var body strings.Builder
			for range random.IntN(30) {
				body.WriteString(randomJSON(random, 4) + []string{"\n", "\n", "\r\n", "", ","}[random.IntN(5)])
			}
			b.bodies[fmt.Sprintf("o%03d", i)] = []byte(body.String())
			b.bodies[fmt.Sprintf("o%03d-good", i)] = fmt.Appendf(nil, "%s\n{\"request_id\":\"good-%d\",\"status\":\"200\"}\n", strings.ReplaceAll(randomJSON(random, 3), "rawData", "raw"), i)
		}
		l := open(t, "")
		sum := importAll(t, l, b, lake.ImportOptions{})
		if sum.Imported != 300 || sum.Rows < 150 || sum.Bad == 0 {
			t.Errorf("seed %d: %+v", seed, sum)
		}
		want(t, fmt.Sprintf("seed %d", seed), ask(t, l, "SELECT count(*) FROM requests WHERE starts_with(request_id, 'good-')"), "150")
		want(t, "rows", ask(t, l, "SELECT count(*) FROM request_rows"), fmt.Sprint(sum.Rows))
	}
}

// No reason of a problem quotes a damaged object.
func TestProblemsQuoteNoContent(t *testing.T) {
	for form, body := range packed(t) {
		b := &bucket{name: "b", bodies: map[string][]byte{}}
		for i := range 200 {
			damaged := bytes.Clone(body)
			copy(damaged[i*len(damaged)/200:], "\x1b[2JSECRET")
			b.bodies[fmt.Sprintf("o%03d", i)] = damaged[:len(body)]
		}
		l := open(t, "")
		importAll(t, l, b, lake.ImportOptions{})
		want(t, form, ask(t, l, "SELECT problem FROM objects WHERE problem LIKE '%2J%' OR problem LIKE '%SECRET%' OR problem LIKE '%' || chr(27) || '%'"))
	}
}
