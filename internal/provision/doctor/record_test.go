package doctor_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/uuid"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/snappy/xerial"

	"github.com/stagelog/stagelog/internal/delivery/objectkey"
	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/provision/doctor"
	"github.com/stagelog/stagelog/internal/provision/moto"
	"github.com/stagelog/stagelog/internal/provision/policy"
)

// deliverer is a Firehose that, unlike moto's, passes each record to deliver and puts the
// returned object into the bucket.
type deliverer struct {
	t       *testing.T
	s3      *s3.Client
	deliver func(record []byte) (key string, object []byte) // nothing is put without a key
}

func (d deliverer) RoundTrip(req *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(req.Header.Get("X-Amz-Target"), ".PutRecord") {
		return http.DefaultTransport.RoundTrip(req)
	}
	var in struct{ Record struct{ Data []byte } }
	if err := errors.Join(json.NewDecoder(req.Body).Decode(&in), req.Body.Close()); err != nil {
		return nil, err
	}
	if key, object := d.deliver(in.Record.Data); key != "" {
		if _, err := d.s3.PutObject(req.Context(), &s3.PutObjectInput{Bucket: aws.String(testBucket), Key: &key, Body: bytes.NewReader(object)}); err != nil {
			return nil, err
		}
	}
	res := response(http.StatusOK, `{"RecordId":"1","Encrypted":false}`)
	res.Header.Del("X-Amzn-Errortype")
	return res, nil
}

// recordable returns a good chain without the statement that denies requests without TLS: moto
// ignores the condition of such a statement and denies every read.
func recordable() *built {
	b := good()
	d, err := policy.Parse(b.bucketPolicy)
	if err != nil {
		panic(err)
	}
	d.Statements = d.Statements[1:]
	b.bucketPolicy = d.JSON()
	return b
}

// nameAt returns an object name in Firehose's format.
func nameAt(prefix, ext string) string {
	now := time.Now().UTC()
	return prefix + now.Format("2006/01/02/15/") + objectkey.ObjectName(testStream, 1, now, uuid.NewString(), ext)
}

func enriched(fields string) func([]byte) []byte {
	return func(record []byte) []byte {
		other := []byte(`{"extended_request_id":"another","stage":"prod"}` + "\n")
		return append(other, strings.Replace(string(record), "}", ","+fields+"}", 1)...)
	}
}

// examineRecord examines a chain whose Firehose delivers with deliver.
func examineRecord(t *testing.T, s *moto.Server, b *built, target doctor.Target, o doctor.Options, deliver func([]byte) (string, []byte)) found {
	t.Helper()
	o.Record = true
	c := provision.NewClients(s.Config(deliverer{t, b.c.S3, deliver}))
	return examine(t, c, target, o)
}

func TestEnrichedRecordPasses(t *testing.T) {
	s := moto.Start(t)
	pack := map[types.CompressionFormat]func([]byte) []byte{
		types.CompressionFormatUncompressed: func(b []byte) []byte { return b },
		types.CompressionFormatGzip:         gzipped,
		types.CompressionFormatZip:          zipped,
		types.CompressionFormatSnappy:       func(b []byte) []byte { return xerial.Encode(nil, b) },
		types.CompressionFormatHadoopSnappy: hadoop,
	}
	for format, packed := range pack {
		s.Reset()
		b := recordable()
		b.to.CompressionFormat = format
		b.build(t, provision.NewClients(s.Config(nil)))
		var sent map[string]string
		f := examineRecord(t, s, b, b.own(), doctor.Options{}, func(record []byte) (string, []byte) {
			if err := json.Unmarshal(record, &sent); err != nil {
				t.Errorf("the record is not JSON: %v", err)
			}
			ext, _ := objectkey.Extension(string(format), "")
			return nameAt("logs/", ext), packed(enriched(`"usage_plan":"Gold","customer":"Acme Corp","usage_plan_id":"abc"`)(record))
		})
		f.expect(t, "record: accepted", doctor.OK, doctor.Marker)
		f.expect(t, "record: delivered", doctor.OK, "s3://"+testBucket+"/logs/")
		f.expect(t, "record: record enriched", doctor.OK, "usage_plan Gold", "customer Acme Corp")
		if failed := f.withStatus(doctor.Failed); failed != nil {
			t.Errorf("%s: failed: %v", format, failed)
		}
		if sent["api_id"] != b.ref.API || sent["stage"] != "prod" || sent["key_id"] != b.key ||
			!strings.HasPrefix(sent["request_id"], doctor.Marker) || sent["request_id"] != sent["extended_request_id"] {
			t.Errorf("the record that was sent: %v", sent)
		}
	}
}

func TestFaultyRecordsAreReported(t *testing.T) {
	s := moto.Start(t)
	b := recordable().build(t, provision.NewClients(s.Config(nil)))
	unknown := enriched(`"usage_plan":"-","customer":"-","usage_plan_id":"-"`)
	for _, tc := range []struct {
		name    string
		foreign bool
		deliver func([]byte) (string, []byte)
		check   string
		status  doctor.Status
		text    []string
	}{
		{"unchanged", false, func(r []byte) (string, []byte) { return nameAt("logs/", ".gz"), gzipped(r) },
			"record: record enriched", doctor.Failed, []string{"not enriched"}},
		{"unknown customer", false, func(r []byte) (string, []byte) { return nameAt("logs/", ".gz"), gzipped(unknown(r)) },
			"record: record enriched", doctor.Failed, []string{"usage_plan is -, want Gold"}},
		{"foreign chain", true, func(r []byte) (string, []byte) {
			if !strings.Contains(string(r), `"key_id":"stagelog-doctor"`) {
				t.Errorf("a record for a foreign chain has a real key: %s", r)
			}
			return nameAt("logs/", ".gz"), gzipped(unknown(r))
		}, "record: record enriched", doctor.OK, []string{"customer -", "no customer is billed"}},
		{"in the error output", false, func(r []byte) (string, []byte) {
			e := objectkey.ErrorRecord{RawData: r, ErrorCode: "Lambda.FunctionTimedOut", ErrorMessage: "The Lambda function invocation timed out.", AttemptsMade: 4, Arrived: time.Now(), AttemptsEnded: time.Now()}
			return nameAt("errors/processing-failed/", ""), e.AppendLine(nil)
		}, "record: delivered", doctor.Failed, []string{"error output", "Lambda.FunctionTimedOut", "4 attempts", "--timeout"}},
		{"not JSON", false, func(r []byte) (string, []byte) {
			return nameAt("logs/", ""), bytes.ReplaceAll(r, []byte(`"`), []byte("“"))
		}, "record: record enriched", doctor.Failed, []string{"not JSON"}},
		{"not delivered", false, func([]byte) (string, []byte) { return "", nil },
			"record: delivered", doctor.Failed, []string{"not in the bucket after 300ms", "no error is logged"}},
	} {
		target := b.own()
		if tc.foreign {
			target = b.target()
		}
		o := doctor.Options{Timeout: 300 * time.Millisecond}
		f := examineRecord(t, s, b, target, o, tc.deliver)
		f.expect(t, tc.check, tc.status, tc.text...)
		if n := len(f.withStatus(doctor.Failed)); (tc.status == doctor.Failed) != (n == 1) {
			t.Errorf("%s: failed: %v", tc.name, f.withStatus(doctor.Failed))
		}
	}
	b.logError(t, `{"errorCode":"S3.AccessDenied","message":"Access was denied"}`)
	f := examineRecord(t, s, b, b.own(), doctor.Options{Timeout: time.Millisecond}, func([]byte) (string, []byte) { return "", nil })
	f.expect(t, "record: delivered", doctor.Failed, "Firehose logged: S3.AccessDenied: Access was denied")
}

// moto puts records unchanged and calls no function: doctor must not report them as enriched.
func TestUnchangedRecordIsNotEnriched(t *testing.T) {
	s := moto.Start(t)
	b := recordable().build(t, provision.NewClients(s.Config(nil)))
	messages := 0
	f := examine(t, b.c, b.own(), doctor.Options{Record: true, Progress: func(string) { messages++ }})
	f.expect(t, "record: delivered", doctor.OK)
	f.expect(t, "record: record enriched", doctor.Failed, "not enriched")
	if messages == 0 {
		t.Error("no progress was reported during the wait")
	}

	s.Reset()
	b = apiableChain()
	b.build(t, b.clients(s))
	f = examine(t, b.c, b.target(), doctor.Options{Record: true})
	f.expect(t, "record: delivered", doctor.OK)
	f.expect(t, "record: record enriched", doctor.Skipped, "as expected")
	if failed := f.withStatus(doctor.Failed); failed != nil {
		t.Errorf("Apiable's chain fails: %v", failed)
	}

	s.Reset()
	b = good()
	b.noBucket = true
	b.build(t, b.clients(s))
	f = examine(t, b.c, b.own(), doctor.Options{Record: true})
	f.expect(t, "record: accepted", doctor.Skipped, "the bucket "+testBucket+" does not exist")
}

func gzipped(text []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	mustWrite(z.Write(text))
	mustWrite(0, z.Close())
	return b.Bytes()
}

func zipped(text []byte) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create("entry")
	mustWrite(0, err)
	mustWrite(w.Write(text))
	mustWrite(0, z.Close())
	return b.Bytes()
}

func hadoop(text []byte) []byte {
	packed := snappy.Encode(nil, text)
	out := binary.BigEndian.AppendUint32(nil, uint32(len(text)))
	return append(binary.BigEndian.AppendUint32(out, uint32(len(packed))), packed...)
}

func mustWrite(_ int, err error) {
	if err != nil {
		panic(err)
	}
}
