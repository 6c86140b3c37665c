package deliver

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/stagelog/stagelog/internal/delivery/objectkey"
	"github.com/stagelog/stagelog/internal/record"
)

// Bounds of a flush.
const (
	// maxPartitions limits the active partitions of a stream (Firehose's quota).
	maxPartitions = 500
	// maxFlushBytes closes a flush regardless of the size hint. It is Firehose's maximum, and keeps
	// the work bounded that is repeated after a crash.
	maxFlushBytes = 128 << 20
	// zeroBuffering is the effective interval if the configured one is 0.
	zeroBuffering = time.Second
	// maxSegmentBytes limits the bytes between two slashes of a key with partition values. S3
	// accepts more; stores that keep objects in folders do not, and a key that the bucket always
	// rejects would block the stream.
	maxSegmentBytes = 255
	// maxKeyBytes is S3's limit for the length of a key.
	maxKeyBytes = 1024
	// maxNamesBytes bounds the names of a flush's partitions: the delivery state is one document,
	// and NATS's default max_payload is 1 MiB.
	maxNamesBytes = 400 << 10
)

// flush holds a range of frames and the objects that are put for it.
type flush struct {
	dest                 Destination
	good, failed, source objectkey.Prefix
	keys                 []string // partition keys

	first, last uint64
	lastSum     uint32    // record.FrameSum of the newest frame
	known       uint64    // first frame that is not lost
	knownSum    uint32    // record.FrameSum of known
	sum         uint32    // checksum of the sums of all frames that are not lost
	lost        bool      // storage has lost some of the frames
	since       time.Time // when the flush was opened
	oldest      time.Time // arrival of the oldest record
	count       Counts

	mem     *memory
	objects map[string]*object // by part
	order   []*object
	data    *object           // the only data object, without partitions
	targets map[string]target // of the pending flush, during recovery
	active  int               // number of partitions
	names   int               // total bytes of the partitions' parts and prefixes
	line    []byte            // reused buffer for error lines and parts
	convert *conversion       // of good records; nil means none

	requests []*flushRequest
}

// Counts holds the number of delivered records, bytes and objects.
type Counts struct {
	In, Out, Failed, Dropped int64 // records; In is the sum of the others
	BytesIn, BytesOut        int64 // of source records, and of records in data objects before compression
	Batches                  int64
	Objects                  int64
}

func (c *Counts) add(o Counts) {
	c.In += o.In
	c.Out += o.Out
	c.Failed += o.Failed
	c.Dropped += o.Dropped
	c.BytesIn += o.BytesIn
	c.BytesOut += o.BytesOut
	c.Batches += o.Batches
	c.Objects += o.Objects
}

// newFlush opens a flush whose first frame is first.
func newFlush(d Destination, mem *memory, first uint64, now time.Time) (*flush, error) {
	f := &flush{dest: d, mem: mem, first: first, since: now, objects: map[string]*object{}}
	if d.Size <= 0 {
		f.dest.Size = int64(record.DefaultHints(false).SizeMiB) << 20
	}
	if d.Interval <= 0 {
		f.dest.Interval = zeroBuffering
	}
	var err error
	if f.good, f.failed, err = objectkey.ParsePrefixes(d.Prefix, d.ErrorPrefix); err != nil {
		return nil, err
	}
	if d.Backup != nil {
		if f.source, err = objectkey.ParsePrefix(d.Backup.Prefix); err != nil {
			return nil, err
		}
	}
	if d.Partitioning {
		f.keys = f.good.PartitionKeys()
	}
	f.convert = newConversion(d.Conversion)
	return f, nil
}

// frameEnds notes that the flush contains all records of a frame.
func (f *flush) frameEnds(s span) {
	f.last, f.lastSum = s.seq, s.sum
	f.count.Batches++
	f.lost = f.lost || s.lost
	if s.lost {
		return
	}
	if f.known == 0 {
		f.known, f.knownSum = s.seq, s.sum
	}
	f.sum = max(1, crc32.Update(f.sum, crc32.IEEETable, binary.LittleEndian.AppendUint32(nil, s.sum)))
}

// full reports whether the flush has reached its size limit.
func (f *flush) full() bool {
	return f.count.BytesIn >= max(maxFlushBytes, f.dest.Size) ||
		slices.ContainsFunc(f.order, func(o *object) bool { return o.rawBytes >= f.dest.Size })
}

// aged reports whether the flush has reached its age limit.
func (f *flush) aged(now time.Time) bool { return now.Sub(f.since) >= f.dest.Interval }

// add adds record i of the call with its result.
func (f *flush) add(call *call, i int, arrived time.Time) error {
	rec, res := call.records[i], &call.results[i]
	if f.oldest.IsZero() || arrived.Before(f.oldest) {
		f.oldest = arrived
	}
	f.count.In++
	f.count.BytesIn += int64(len(rec))
	if b := f.dest.Backup; b != nil && call.kind != callCorrupt {
		o, err := f.object(kindSource, kindSource, b.Compression)
		if err != nil {
			return err
		}
		if err := o.write(rec, arrived); err != nil {
			return err
		}
	}
	switch res.Status {
	case record.OK:
		return f.addGood(call, i, arrived)
	case record.Dropped:
		f.count.Dropped++
		return nil
	}
	return f.addFailed(call, i, arrived, failure{objectkey.ProcessingFailed, res.Code, res.Message})
}

func (f *flush) addGood(call *call, i int, arrived time.Time) error {
	res := &call.results[i]
	if f.convert != nil {
		return f.addConverted(call, i, arrived)
	}
	o, err := f.place(call, i, arrived)
	if o == nil || err != nil {
		return err
	}
	if err := o.write(res.Data, arrived); err != nil {
		return err
	}
	f.out(res.Data)
	if n := len(res.Data); f.dest.AppendDelimiter && (n == 0 || res.Data[n-1] != '\n') {
		return o.more([]byte{'\n'})
	}
	return nil
}

func (f *flush) out(data []byte) {
	f.count.Out++
	f.count.BytesOut += int64(len(data))
}

// place returns the data object of a good record, or nil if the record went to the error output.
func (f *flush) place(call *call, i int, arrived time.Time) (*object, error) {
	o := f.data
	if o == nil || len(f.keys) > 0 {
		var why failure
		var err error
		if o, why, err = f.dataObject(call.results[i].Partition, arrived); err != nil {
			return nil, err
		}
		if o == nil {
			return nil, f.addFailed(call, i, arrived, why)
		}
	}
	return o, nil
}

// dataObject returns the object for records of that partition, or nil and the reason why the
// partition is not allowed.
func (f *flush) dataObject(partition map[string]string, arrived time.Time) (o *object, why failure, err error) {
	if len(f.keys) == 0 {
		f.data, err = f.object(kindData, kindData, f.compression())
		return f.data, failure{}, err
	}
	part := append(f.line[:0], kindData...)
	for _, key := range f.keys {
		part = append(append(part, 0), partition[key]...)
	}
	f.line = part
	if o = f.objects[string(part)]; o != nil {
		return o, failure{}, nil
	}
	for _, key := range f.keys {
		if !usable(partition[key]) {
			return nil, failure{objectkey.PartitioningFailed, record.CodePartitionKeys, record.MessagePartitionKeys}, nil
		}
	}
	prefix := f.good.Append(nil, arrived, objectkey.Vars{Partition: partition})
	if !f.fits(prefix) {
		return nil, failure{objectkey.PartitioningFailed, record.CodePartitionKeys, "The evaluated prefix is too long for an object's key"}, nil
	}
	if f.active >= maxPartitions || f.names+len(part)+len(prefix) > maxNamesBytes {
		return nil, failure{objectkey.PartitioningFailed, record.CodeTooManyPartitions, record.MessageTooManyPartitions}, nil
	}
	f.active++
	f.names += len(part) + len(prefix)
	if o, err = f.object(kindData, string(part), f.compression()); err == nil {
		o.partition = make(map[string]string, len(f.keys))
		for _, key := range f.keys {
			o.partition[key] = partition[key]
		}
	}
	return o, failure{}, err
}

// usable reports whether a partition value can be part of a key.
func usable(value string) bool {
	if value == "" || !utf8.ValidString(value) {
		return false
	}
	for segment := range strings.SplitSeq(value, "/") {
		if segment == "." || segment == ".." {
			return false
		}
	}
	return !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// fits reports whether an object's key can begin with that prefix.
func (f *flush) fits(prefix []byte) bool {
	const restBytes = 80 // version, time and id
	if utf8.RuneCount(prefix) > objectkey.MaxEvaluated ||
		len(prefix)+len(f.dest.Stream)+restBytes+max(len(f.dest.FileExtension), 10) > maxKeyBytes {
		return false
	}
	for segment := range bytes.SplitSeq(prefix, []byte("/")) {
		if len(segment) > maxSegmentBytes {
			return false
		}
	}
	return true
}

// failure is the reason why a record goes to the error output. kind selects the object.
type failure struct {
	kind    string
	code    record.ErrorCode // "" means CodeProcessingFailed with its message
	message string
}

// addFailed adds the source record to the error output.
func (f *flush) addFailed(call *call, i int, arrived time.Time, why failure) error {
	if why.code == "" {
		why.code, why.message = record.CodeProcessingFailed, record.MessageProcessingFailed
	}
	attempts := call.results[i].Attempts
	if attempts == 0 {
		attempts = call.attempts
	}
	o, err := f.object(why.kind, why.kind, f.dest.Compression)
	if err != nil {
		return err
	}
	var table *objectkey.CatalogTable
	if why.kind == objectkey.ConversionFailed {
		table = &f.dest.Conversion.Table
	}
	f.line = objectkey.ErrorRecord{
		RawData: call.records[i], ErrorCode: why.code, ErrorMessage: why.message,
		AttemptsMade: attempts, Arrived: arrived, AttemptsEnded: call.ended,
		LambdaARN: call.functionARN, Table: table,
	}.AppendLine(f.line[:0])
	f.count.Failed++
	return o.write(f.line, arrived)
}

// object returns the object of that part and creates it if needed. During recovery it keeps the
// compression of the pending flush.
func (f *flush) object(kind, part, compression string) (*object, error) {
	if o := f.objects[part]; o != nil {
		return o, nil
	}
	if t, ok := f.targets[part]; ok {
		compression = t.Compression
	}
	o, err := f.mem.object(kind, part, compression, f.convert, len(f.keys) > 0 && kind == kindData)
	if err != nil {
		return nil, err
	}
	f.objects[part] = o
	f.order = append(f.order, o)
	return o, nil
}

// close closes all objects.
func (f *flush) close() error {
	for _, o := range f.order {
		if err := o.close(); err != nil {
			return err
		}
	}
	return nil
}

// release returns the memory of the flush to the pool.
func (f *flush) release() {
	for _, o := range f.order {
		f.mem.release(o)
	}
	f.order, f.objects, f.data = nil, nil, nil
}
