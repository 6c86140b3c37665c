package lines_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/snappy/xerial"
	"github.com/klauspost/compress/zstd"

	"github.com/stagelog/stagelog/internal/encoding/lines"
	"github.com/stagelog/stagelog/internal/encoding/parquet"
)

func TestOpenReadsParquetRowsAsLines(t *testing.T) {
	schema, err := parquet.NewSchema([]parquet.Column{{Name: "requestid", Type: parquet.String}, {Name: "status", Type: parquet.String}})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := parquet.NewConverter(schema).AppendRows(nil, []byte(`{"requestId":"a","status":"200"}{"requestId":"b"}`))
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	w, err := parquet.NewWriter(&file, schema, parquet.Snappy)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got, form, err := read(file.Bytes())
	if want := "{\"requestid\":\"a\",\"status\":\"200\"}\n{\"requestid\":\"b\"}\n"; got != want || form != lines.Parquet || err != nil {
		t.Errorf("Open = %q, %s, %v, want %q", got, form, err, want)
	}
	for n := range file.Len() {
		if _, _, err := read(file.Bytes()[:n]); n > 4 && !errors.Is(err, lines.ErrCorrupt) {
			t.Fatalf("first %d bytes: %v, want ErrCorrupt", n, err)
		}
	}
}

// plain is long enough for several blocks of each form.
var plain = strings.Repeat(`{"request_id":"a","status":"200"}`+"\n", 20_000)

func TestOpenReadsEveryForm(t *testing.T) {
	for form, packed := range packings(t) {
		t.Run(string(form), func(t *testing.T) {
			got, found, err := read(packed)
			if err != nil || found != form {
				t.Fatalf("Open = %s, %v, want %s", found, err, form)
			}
			if got != plain {
				t.Errorf("%d bytes, want %d", len(got), len(plain))
			}
		})
	}
}

func TestOpenReadsStartOfTruncatedObject(t *testing.T) {
	for form, packed := range packings(t) {
		if form == lines.Plain || form == lines.Zip { // Plain has no end marker, and Zip has its directory at the end
			continue
		}
		got, _, err := read(packed[:len(packed)-10])
		if err == nil || !strings.HasPrefix(plain, got) {
			t.Errorf("%s: %d bytes and error %v, want the first bytes and an error", form, len(got), err)
		}
	}
}

// Every form is found in gzip, and gzip in every form. The beginning of a truncated object is read.
func TestOpenReadsFormsInEachOther(t *testing.T) {
	gz := func(data []byte) []byte {
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	for form, packed := range packings(t) {
		for _, body := range [][]byte{gz(packed), gz(gz(packed))} {
			got, found, err := read(body)
			if err != nil || got != plain || found != lines.Gzip {
				t.Errorf("%s in gzip: %d bytes, %s, %v", form, len(got), found, err)
			}
			if form == lines.Zip {
				continue
			}
			if got, _, err = read(body[:len(body)-20]); err == nil && got != plain || !strings.HasPrefix(plain, got) {
				t.Errorf("%s in truncated gzip: %d bytes, %v", form, len(got), err)
			}
		}
	}
}

// Text in UTF-16 and marks of byte order are converted, and gzip members may be between plain text.
func TestOpenReadsTextOfEveryKind(t *testing.T) {
	var member bytes.Buffer
	z := gzip.NewWriter(&member)
	fmt.Fprint(z, "{2}")
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		"\xef\xbb\xbf{1}":                                     "{1}",
		"\xff\xfe{\x00\xfc\x00=\xd8\x00\xde}\x00":             "{ü😀}",
		"\xfe\xff\x00{\x00\xfc\xd8=\xde\x00\x00}":             "{ü😀}",
		"{1}" + member.String():                               "{1}{2}",
		member.String() + "{1}" + member.String() + "{3}\n":   "{2}{1}{2}{3}\n",
		"{1}\x1f\x8b":                                         "{1}\x1f\x8b",
		strings.Repeat("x", 64<<10-1) + member.String() + "y": strings.Repeat("x", 64<<10-1) + "{2}y",
	} {
		if got, _, err := read([]byte(in)); got != want || err != nil {
			t.Errorf("%.40q: got %.40q, %v; want %.40q", in, got, err, want)
		}
	}
}

func TestOpenDetectsCorruptObject(t *testing.T) {
	if _, _, err := lines.Open(strings.NewReader("PK\x03\x04 and no archive")); !errors.Is(err, lines.ErrCorrupt) {
		t.Errorf("Open = %v, want ErrCorrupt", err)
	}
	// The block's length is 4 GiB.
	got, form, err := read([]byte("\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01\xff\xff\xff\xff"))
	if form != lines.Snappy || got != "" || !errors.Is(err, lines.ErrCorrupt) {
		t.Errorf("Open = %q, %s, %v, want ErrCorrupt", got, form, err)
	}
}

func TestOpenReadsShortObject(t *testing.T) {
	for _, text := range []string{"", "{", "{}\n"} {
		if got, form, err := read([]byte(text)); got != text || form != lines.Plain || err != nil {
			t.Errorf("Open(%q) = %q, %s, %v", text, got, form, err)
		}
	}
}

func TestLines(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"lines":                             {"{1}\n{2}\n", "{1}|{2}"},
		"no newline at the end":             {"{1}\n{2}", "{1}|{2}"},
		"blank lines and carriage returns":  {"\r\n {1} \r\n\n\t{2}\n", "{1}|{2}"},
		"short, run together":               {`{"a":1}{"b":2}`, `{"a":1}{"b":2}`},
		"run together, last one incomplete": {`{"a":"0123456789"}{"b":"}{\"}{"}{"c":"01`, `{"a":"0123456789"}{"b":"}{\"}{"}|{"c":"01`},
		"too long":                          {"{1}\n" + strings.Repeat("x", 100) + "\n{2}\n", "{1}|" + strings.Repeat("x", 40) + "!|{2}"},
		"too long at the end":               {strings.Repeat("x", 100), strings.Repeat("x", 40) + "!"},
		"empty":                             {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			err := lines.Lines(strings.NewReader(c.in), 20, 40, func(line []byte, truncated bool) error {
				text := string(line)
				if truncated {
					text += "!"
				}
				got = append(got, text)
				return nil
			})
			if err != nil || strings.Join(got, "|") != c.want {
				t.Errorf("got %q, %v\nwant %q", strings.Join(got, "|"), err, c.want)
			}
		})
	}
}

// The parts are complete objects, and together they are the whole line.
func TestLinesSplitsLongLinesLosslessly(t *testing.T) {
	var all []string
	for i := range 2000 {
		all = append(all, fmt.Sprintf(`{"n":%d,"s":%q,"o":{"x":"}"}}`, i, strings.Repeat(`"{\`, i%7)))
	}
	var got strings.Builder
	err := lines.Lines(strings.NewReader(strings.Join(all, "")), 1000, 2000, func(line []byte, truncated bool) error {
		if truncated || line[0] != '{' || line[len(line)-1] != '}' {
			return fmt.Errorf("incomplete part: %.80s", line)
		}
		got.Write(line)
		return nil
	})
	if err != nil || got.String() != strings.Join(all, "") {
		t.Errorf("%d bytes and %v, want %d", got.Len(), err, len(strings.Join(all, "")))
	}
}

// One damaged object does not take the rest of a long line with it.
func TestLinesGoOnAfterDamage(t *testing.T) {
	var text strings.Builder
	for i := range 2000 {
		if i == 1000 {
			text.WriteString(`{"n":"no end}`)
		}
		fmt.Fprintf(&text, `{"n":%d,"path":"/orders/{id}"}`, i)
	}
	found := 0
	err := lines.Lines(strings.NewReader(text.String()), 1000, 2000, func(line []byte, truncated bool) error {
		for object := range bytes.SplitSeq(line, []byte("}{")) {
			if bytes.HasSuffix(bytes.TrimSuffix(object, []byte("}")), []byte(`"/orders/{id}"`)) {
				found++
			}
		}
		if truncated {
			return errors.New("the rest of the line was skipped")
		}
		return nil
	})
	if err != nil || found != 2000 {
		t.Errorf("%d whole objects and %v, want 2000", found, err)
	}
}

func read(packed []byte) (string, lines.Form, error) {
	r, form, err := lines.Open(bytes.NewReader(packed))
	if err != nil {
		return "", form, err
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	return string(got), form, err
}

// packings returns plain in every form.
func packings(t *testing.T) map[lines.Form][]byte {
	t.Helper()
	packed := func(open func(io.Writer) (io.WriteCloser, error), text string) []byte {
		var out bytes.Buffer
		w, err := open(&out)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	gz := func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil }
	var archive bytes.Buffer
	z := zip.NewWriter(&archive)
	for _, part := range []string{plain[:1000], plain[1000:]} {
		w, err := z.Create("lines")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, part); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	var hadoop []byte
	for block := range slices.Chunk([]byte(plain), 100_000) {
		half := len(block) / 2
		hadoop = binary.BigEndian.AppendUint32(hadoop, uint32(len(block)))
		for _, part := range [][]byte{block[:half], block[half:]} {
			block := snappy.Encode(nil, part)
			hadoop = append(binary.BigEndian.AppendUint32(hadoop, uint32(len(block))), block...)
		}
	}
	return map[lines.Form][]byte{
		lines.Plain:  []byte(plain),
		lines.Gzip:   slices.Concat(packed(gz, plain[:5000]), packed(gz, plain[5000:])), // two members
		lines.Zip:    archive.Bytes(),
		lines.Snappy: xerial.Encode(nil, []byte(plain)),
		lines.Framed: packed(func(w io.Writer) (io.WriteCloser, error) { return s2.NewWriter(w, s2.WriterSnappyCompat()), nil }, plain),
		lines.Hadoop: hadoop,
		lines.Zstd:   packed(func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) }, plain),
	}
}
