package deliver_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/snappy/xerial"
)

// decode decompresses an object with readers of other projects.
var decode = map[string]func(body []byte) ([]byte, error){
	"":             func(body []byte) ([]byte, error) { return body, nil },
	"UNCOMPRESSED": func(body []byte) ([]byte, error) { return body, nil },
	"GZIP": func(body []byte) ([]byte, error) {
		r, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(r)
	},
	"ZIP": func(body []byte) ([]byte, error) {
		r, err := zip.NewReader(bytes.NewReader(body), int64(len(body)))
		if err != nil {
			return nil, err
		}
		if len(r.File) != 1 || r.File[0].Method != zip.Deflate || !regexp.MustCompile(`^[0-9a-f-]{36}$`).MatchString(r.File[0].Name) {
			return nil, fmt.Errorf("%d entries, the first %+v", len(r.File), r.File[0].FileHeader)
		}
		f, err := r.File[0].Open()
		if err != nil {
			return nil, err
		}
		return io.ReadAll(f)
	},
	"Snappy": func(body []byte) ([]byte, error) {
		if !bytes.HasPrefix(body, []byte("\x82SNAPPY\x00")) {
			return nil, fmt.Errorf("begins with %x", body[:min(len(body), 8)])
		}
		if len(body) == 16 {
			return nil, nil
		}
		return xerial.Decode(body)
	},
	"HADOOP_SNAPPY": decodeHadoop,
}

// decodeHadoop reads blocks as Hadoop's BlockDecompressorStream does: a length, then
// chunks with a length each until the first length is reached.
func decodeHadoop(body []byte) ([]byte, error) {
	var all []byte
	for len(body) > 0 {
		want := int(binary.BigEndian.Uint32(body))
		body = body[4:]
		for got := 0; got < want; {
			n := binary.BigEndian.Uint32(body)
			if n > 256<<10 {
				return nil, fmt.Errorf("chunk of %d bytes: over the codec's buffer", n)
			}
			block, err := snappy.Decode(nil, body[4:4+n])
			if err != nil {
				return nil, err
			}
			body, got, all = body[4+n:], got+len(block), append(all, block...)
		}
	}
	return all, nil
}

func TestCompressionRoundTrip(t *testing.T) {
	headers := map[string][2]string{ // extension, Content-Encoding
		"": {"", ""}, "UNCOMPRESSED": {"", ""}, "GZIP": {".gz", "gzip"}, "ZIP": {".zip", "zip"},
		"Snappy": {".snappy", "snappy-java"}, "HADOOP_SNAPPY": {".snappy", "hadoop-snappy"},
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 300_000) // does not compress
	for i := range noise {
		noise[i] = byte('a' + rnd.IntN(26))
	}
	contents := map[string][]string{
		"one byte":   {"x"},
		"lines":      {strings.Repeat("a line of text ", 20), strings.Repeat("another one ", 5000)},
		"large":      {string(noise[:200_000]), string(noise), strings.Repeat("y", 131072)},
		"bad record": {"bad"},
	}
	for compression, head := range headers {
		for name, records := range contents {
			for _, partitioned := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/partitioned=%v", compression, name, partitioned), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						w, records := newWorld(), slices.Clone(records)
						w.dest.Compression, w.dest.Size = compression, 1<<20
						if partitioned {
							w.dest.Partitioning, w.dest.Prefix, w.dest.ErrorPrefix = true, "logs/!{partitionKeyFromLambda:customer}/", "errors/!{firehose:error-output-type}/"
							for i := range records {
								records[i] += "@c"
							}
						}
						w.append(records...)
						w.deliverAll(t, nil)
						for key, o := range w.objects {
							if !strings.HasSuffix(key, head[0]) || o.meta.ContentEncoding != head[1] || o.meta.ContentType != "application/octet-stream" {
								t.Errorf("object %s has %+v, want %q and %q", key, o.meta, head[0], head[1])
							}
							got, err := decode[compression](o.body)
							if err != nil {
								t.Fatalf("object %s: %v", key, err)
							}
							want := strings.Join(records, "\n") + "\n"
							if strings.HasPrefix(want, "bad") {
								if !bytes.Contains(got, []byte(`"rawData":"YmFk`)) {
									t.Errorf("error object %s = %q", key, got)
								}
							} else if string(got) != want {
								t.Errorf("object %s has %d bytes, want %d", key, len(got), len(want))
							}
						}
						if len(w.objects) != 1 {
							t.Errorf("%d objects, want 1", len(w.objects))
						}
					})
				})
			}
		}
	}
}

// TestSpoolToFileRoundTrip delivers objects larger than the spool keeps in memory.
func TestSpoolToFileRoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.dest.Compression, w.dest.Size = "UNCOMPRESSED", 60<<20
		var want int
		for i := range 40 {
			r := strings.Repeat(string(rune('a'+i%26)), 1_000_000)
			w.append(r)
			want += len(r) + 1
		}
		w.deliverAll(t, nil)
		if len(w.objects) != 1 {
			t.Fatalf("%d objects, want 1", len(w.objects))
		}
		for key, o := range w.objects {
			if len(o.body) != want {
				t.Errorf("object %s has %d bytes, want %d", key, len(o.body), want)
			}
		}
	})
}
