package objectkey_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/delivery/objectkey"
)

func TestObjectName(t *testing.T) {
	id := objectkey.Origin{Stream: "amazon-apigateway-acme", Version: 3, First: 1, Last: 2, At: at}.ID()
	got := objectkey.ObjectName("amazon-apigateway-acme", 3, at, id, ".gz")
	form := regexp.MustCompile(`^amazon-apigateway-acme-3-2026-09-09-03-04-05-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\.gz$`)
	if !form.MatchString(got) {
		t.Errorf("ObjectName = %q, want the form %s", got, form)
	}
}

// TestNamesWithinOneSecondDiffer simulates ten thousand flushes within one second.
func TestNamesWithinOneSecondDiffer(t *testing.T) {
	seen := map[string]objectkey.Origin{}
	for i := range uint64(10_000) {
		for _, part := range []string{"data", "processing-failed"} {
			o := objectkey.Origin{Stream: "s", Version: 1, First: i, Last: i, At: at, Part: part}
			name := objectkey.ObjectName("s", 1, at, o.ID(), "")
			if other, ok := seen[name]; ok {
				t.Fatalf("%+v and %+v have the name %s", o, other, name)
			}
			seen[name] = o
		}
	}
}

func TestIDDependsOnEveryField(t *testing.T) {
	base := objectkey.Origin{Stream: "s", Version: 1, Shard: 2, First: 3, Last: 4, At: at, Part: "p"}
	again := base
	again.At = at.In(time.FixedZone("", 3600)) // the same moment
	if again.ID() != base.ID() {
		t.Errorf("ID of the same origin = %s, then %s", base.ID(), again.ID())
	}
	others := map[string]func(*objectkey.Origin){
		"stream":  func(o *objectkey.Origin) { o.Stream = "s2" },
		"version": func(o *objectkey.Origin) { o.Version++ },
		"shard":   func(o *objectkey.Origin) { o.Shard++ },
		"first":   func(o *objectkey.Origin) { o.First++ },
		"last":    func(o *objectkey.Origin) { o.Last++ },
		"at":      func(o *objectkey.Origin) { o.At = o.At.Add(time.Millisecond) },
		"part":    func(o *objectkey.Origin) { o.Part = "" },
	}
	for name, change := range others {
		o := base
		change(&o)
		if o.ID() == base.ID() {
			t.Errorf("ID stays %s when %s changes", o.ID(), name)
		}
	}
}

func TestRandomStrings(t *testing.T) {
	next, same := objectkey.Origin{Stream: "s"}.Random(), objectkey.Origin{Stream: "s"}.Random()
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{2}$`)
	seen := map[string]bool{}
	for range 100 {
		s := next()
		if !form.MatchString(s) || len(s) != 11 || seen[s] {
			t.Errorf("Random = %q, want 11 new characters", s)
		}
		if again := same(); again != s {
			t.Errorf("Random of the same origin = %q, then %q", s, again)
		}
		seen[s] = true
	}
}

func TestExtension(t *testing.T) {
	tests := []struct{ compression, fileExtension, ext, encoding string }{
		{"", "", "", ""},
		{"UNCOMPRESSED", "", "", ""},
		{"GZIP", "", ".gz", "gzip"},
		{"ZIP", "", ".zip", "zip"},
		{"Snappy", "", ".snappy", "snappy-java"},
		{"HADOOP_SNAPPY", "", ".snappy", "hadoop-snappy"},
		{"PARQUET", "", ".parquet", ""},
		{"GZIP", ".json.gz", ".json.gz", "gzip"},
		{"UNCOMPRESSED", ".json", ".json", ""},
	}
	for _, tt := range tests {
		if ext, enc := objectkey.Extension(tt.compression, tt.fileExtension); ext != tt.ext || enc != tt.encoding {
			t.Errorf("Extension(%q, %q) = %q, %q, want %q, %q", tt.compression, tt.fileExtension, ext, enc, tt.ext, tt.encoding)
		}
	}
}

func TestErrorLineMatchesFirehose(t *testing.T) {
	e := objectkey.ErrorRecord{
		RawData: []byte("FAIL this one\n"), ErrorCode: "Lambda.ProcessingFailedStatus",
		ErrorMessage: "ProcessingFailed status set for record", AttemptsMade: 1,
		Arrived: time.UnixMilli(1789014240448).UTC(), AttemptsEnded: time.UnixMilli(1789014301529).UTC(),
		LambdaARN: "arn:aws:lambda:us-west-2:123456789012:function:f",
	}
	const want = `{"rawData":"RkFJTCB0aGlzIG9uZQo=","errorCode":"Lambda.ProcessingFailedStatus","errorMessage":"ProcessingFailed status set for record",` +
		`"attemptsMade":1,"arrivalTimestamp":1789014240448,"attemptEndingTimestamp":1789014301529,"lambdaARN":"arn:aws:lambda:us-west-2:123456789012:function:f"}` + "\n"
	got := e.AppendLine(nil)
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("AppendLine (-want +got):\n%s", diff)
	}
	for name, line := range map[string]string{
		"ours": want,
		"documented": `{"attemptsMade":1,"arrivalTimestamp":1789014240448,"errorCode":"Lambda.ProcessingFailedStatus","errorMessage":"ProcessingFailed status set for record",` +
			`"attemptEndingTimestamp":1789014301529,"rawData":"RkFJTCB0aGlzIG9uZQo=","lambdaArn":"arn:aws:lambda:us-west-2:123456789012:function:f"}`,
	} {
		parsed, err := objectkey.ParseErrorLine([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(e, parsed); diff != "" {
			t.Errorf("ParseErrorLine of %s (-want +got):\n%s", name, diff)
		}
	}
}

func TestErrorLineEscapes(t *testing.T) {
	e := objectkey.ErrorRecord{ErrorCode: "a\"b\\", ErrorMessage: "line\nline \x00 \xff é", LambdaARN: ""}
	line := e.AppendLine(nil)
	if !json.Valid(line) || strings.Count(string(line), "\n") != 1 || strings.Contains(string(line), "lambda") {
		t.Errorf("AppendLine = %q, want one line of JSON without a function", line)
	}
}

func TestParseErrorLineErrorsOmitContent(t *testing.T) {
	for _, line := range []string{"", "secret", `{"rawData":"secret!"}`, `{"errorCode":"secret"}`, `{"rawData":7}`, `["secret"]`, `{"secret`} {
		if _, err := objectkey.ParseErrorLine([]byte(line)); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("ParseErrorLine(%q) = %v, want an error without the content", line, err)
		}
	}
}

func FuzzParseErrorLine(f *testing.F) {
	f.Add([]byte(`{"rawData":"RkFJTA==","errorCode":"x","lambdaArn":"y"}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := objectkey.ParseErrorLine(line)
		if err != nil {
			return
		}
		again, err := objectkey.ParseErrorLine(e.AppendLine(nil))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(e.RawData, again.RawData); diff != "" {
			t.Errorf("record changed in the round trip (-want +got):\n%s", diff)
		}
	})
}

func BenchmarkErrorLine(b *testing.B) {
	e := objectkey.ErrorRecord{RawData: make([]byte, 374), ErrorCode: "Lambda.ProcessingFailedStatus", ErrorMessage: "m", LambdaARN: "arn"}
	var dst []byte
	for b.Loop() {
		dst = e.AppendLine(dst[:0])
	}
}
