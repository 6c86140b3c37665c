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

// A deliverer stands in for a Firehose that does what moto's does not: it puts what deliver
// makes of a record into the bucket.
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
	res := answer(http.StatusOK, `{"RecordId":"1","Encrypted":false}`)
	res.Header.Del("X-Amzn-Errortype")
	return res, nil
}

// recordable is a good chain whose bucket moto lets read: it denies by a statement whatever its
// condition says, and moto's calls come without TLS.
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

// nameAt is an object's name as Firehose gives it.
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

// examineRecord examines a chain whose Firehose delivers so.
func examineRecord(t *testing.T, s *moto.Server, b *built, target doctor.Target, o doctor.Options, deliver func([]byte) (string, []byte)) found {
	t.Helper()
	o.Record = true
	c := provision.NewClients(s.Config(deliverer{t, b.c.S3, deliver}))
	return examine(t, c, target, o)
}

func TestARecordThatComesBackEnriched(t *testing.T) {
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
		f.wants(t, "record: accepted", doctor.OK, doctor.Marker)
		f.wants(t, "record: delivered", doctor.OK, "s3://"+testBucket+"/logs/")
		f.wants(t, "record: record enriched", doctor.OK, "usage_plan Gold", "customer Acme Corp")
		if failed := f.with(doctor.Failed); failed != nil {
			t.Errorf("%s: failed: %v", format, failed)
		}
		if sent["api_id"] != b.ref.API || sent["stage"] != "prod" || sent["key_id"] != b.key ||
			!strings.HasPrefix(sent["request_id"], doctor.Marker) || sent["request_id"] != sent["extended_request_id"] {
			t.Errorf("the record that was sent: %v", sent)
		}
	}
}

func TestARecordThatComesBackOtherwise(t *testing.T) {
	s := moto.Start(t)
	b := recordable().build(t, provision.NewClients(s.Config(nil)))
	unknown := enriched(`"usage_plan":"-","customer":"-","usage_plan_id":"-"`)
	for _, tc := range []struct {
		name    string
		foreign bool
		deliver func([]byte) (string, []byte)
		check   string
		status  doctor.Status
		says    []string
	}{
		{"as it went in", false, func(r []byte) (string, []byte) { return nameAt("logs/", ".gz"), gzipped(r) },
			"record: record enriched", doctor.Failed, []string{"not enriched"}},
		{"of an unknown customer", false, func(r []byte) (string, []byte) { return nameAt("logs/", ".gz"), gzipped(unknown(r)) },
			"record: record enriched", doctor.Failed, []string{"usage_plan came out as -", "should be Gold"}},
		{"somebody else's chain", true, func(r []byte) (string, []byte) {
			if !strings.Contains(string(r), `"key_id":"stagelog-doctor"`) {
				t.Errorf("a record for a foreign chain names somebody's key: %s", r)
			}
			return nameAt("logs/", ".gz"), gzipped(unknown(r))
		}, "record: record enriched", doctor.OK, []string{"customer -", "nobody is billed"}},
		{"in the error output", false, func(r []byte) (string, []byte) {
			e := objectkey.ErrorRecord{RawData: r, ErrorCode: "Lambda.FunctionTimedOut", ErrorMessage: "The Lambda function invocation timed out.", AttemptsMade: 4, Arrived: time.Now(), AttemptsEnded: time.Now()}
			return nameAt("errors/processing-failed/", ""), e.AppendLine(nil)
		}, "record: delivered", doctor.Failed, []string{"error output", "Lambda.FunctionTimedOut", "4 attempts", "--timeout"}},
		{"not JSON", false, func(r []byte) (string, []byte) {
			return nameAt("logs/", ""), bytes.ReplaceAll(r, []byte(`"`), []byte("“"))
		}, "record: record enriched", doctor.Failed, []string{"not JSON"}},
		{"never", false, func([]byte) (string, []byte) { return "", nil },
			"record: delivered", doctor.Failed, []string{"not in the bucket after 300ms", "no error is logged"}},
	} {
		target := b.own()
		if tc.foreign {
			target = b.target()
		}
		o := doctor.Options{Timeout: 300 * time.Millisecond}
		f := examineRecord(t, s, b, target, o, tc.deliver)
		f.wants(t, tc.check, tc.status, tc.says...)
		if n := len(f.with(doctor.Failed)); (tc.status == doctor.Failed) != (n == 1) {
			t.Errorf("%s: failed: %v", tc.name, f.with(doctor.Failed))
		}
	}
	b.logError(t, `{"errorCode":"S3.AccessDenied","message":"Access was denied"}`)
	f := examineRecord(t, s, b, b.own(), doctor.Options{Timeout: time.Millisecond}, func([]byte) (string, []byte) { return "", nil })
	f.wants(t, "record: delivered", doctor.Failed, "Firehose's error log says: S3.AccessDenied: Access was denied")
}

// moto puts records as they come, at once, and calls no function: doctor must not call that enriched.
func TestMotoEnrichesNothing(t *testing.T) {
	s := moto.Start(t)
	b := recordable().build(t, provision.NewClients(s.Config(nil)))
	told := 0
	f := examine(t, b.c, b.own(), doctor.Options{Record: true, Progress: func(string) { told++ }})
	f.wants(t, "record: delivered", doctor.OK)
	f.wants(t, "record: record enriched", doctor.Failed, "not enriched")
	if told == 0 {
		t.Error("nothing was told of the wait")
	}

	s.Reset()
	b = apiableChain()
	b.build(t, b.clients(s))
	f = examine(t, b.c, b.target(), doctor.Options{Record: true})
	f.wants(t, "record: delivered", doctor.OK)
	f.wants(t, "record: record enriched", doctor.Skipped, "as it should")
	if failed := f.with(doctor.Failed); failed != nil {
		t.Errorf("Apiable's chain fails: %v", failed)
	}

	s.Reset()
	b = good()
	b.noBucket = true
	b.build(t, b.clients(s))
	f = examine(t, b.c, b.own(), doctor.Options{Record: true})
	f.wants(t, "record: accepted", doctor.Skipped, "there is no bucket")
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
