package deliver

import (
	"bytes"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/stagelog/stagelog/internal/delivery/objectkey"
	"github.com/stagelog/stagelog/internal/record"
)

// Bounds of a cut.
const (
	// maxPartitions is the most active partitions of a stream (Firehose's quota).
	maxPartitions = 500
	// maxCutBytes closes a cut whatever the size hint: Firehose's largest, and no cut
	// shall take long to repeat.
	maxCutBytes = 128 << 20
	// zeroBuffering is the interval that an interval of 0 stands for.
	zeroBuffering = time.Second
	// maxSegmentBytes is the most bytes between two slashes of a key with partition
	// values. S3 takes more; stores that keep objects in folders do not, and a key that
	// the bucket never takes would hold up the stream for ever.
	maxSegmentBytes = 255
	// maxKeyBytes is S3's limit of a key.
	maxKeyBytes = 1024
	// maxNamesBytes bounds the names of a cut's partitions: its intent is one document,
	// and NATS's default max_payload is 1 MiB.
	maxNamesBytes = 400 << 10
)

// cut is the range of frames and the objects that are put together.
type cut struct {
	dest                 Destination
	good, failed, source objectkey.Prefix
	keys                 []string // partition keys

	first, last uint64
	since       time.Time // when it was opened
	oldest      time.Time // arrival of the oldest record
	count       Counts

	mem     *memory
	objects map[string]*object // by part
	order   []*object
	data    *object           // the one data object of a cut without partitions
	targets map[string]target // of the standing intent, in recovery
	active  int               // data objects of partitions
	names   int               // bytes of their parts and prefixes
	line    []byte            // space for error lines and parts
	convert *conversion       // of good records; nil is none

	flushes []*flush
}

// Counts is what was delivered.
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

// newCut opens a cut whose first frame is first.
func newCut(d Destination, mem *memory, first uint64, now time.Time) (*cut, error) {
	c := &cut{dest: d, mem: mem, first: first, since: now, objects: map[string]*object{}}
	if d.Size <= 0 {
		c.dest.Size = int64(record.DefaultHints(false).SizeMiB) << 20
	}
	if d.Interval <= 0 {
		c.dest.Interval = zeroBuffering
	}
	var err error
	if c.good, c.failed, err = objectkey.ParsePrefixes(d.Prefix, d.ErrorPrefix); err != nil {
		return nil, err
	}
	if d.Backup != nil {
		if c.source, err = objectkey.ParsePrefix(d.Backup.Prefix); err != nil {
			return nil, err
		}
	}
	if d.Partitioning {
		c.keys = c.good.PartitionKeys()
	}
	c.convert = newConversion(d.Conversion)
	return c, nil
}

// full says whether the size closes the cut.
func (c *cut) full() bool {
	return c.biggest() >= c.dest.Size || c.count.BytesIn >= max(maxCutBytes, c.dest.Size)
}

// biggest is the size of the largest object.
func (c *cut) biggest() int64 {
	var n int64
	for _, o := range c.order {
		n = max(n, o.rawBytes)
	}
	return n
}

// aged says whether the age closes the cut.
func (c *cut) aged(now time.Time) bool { return now.Sub(c.since) >= c.dest.Interval }

// add adds record i of the call with its result.
func (c *cut) add(call *call, i int, arrived time.Time) error {
	rec, res := call.records[i], &call.results[i]
	if c.oldest.IsZero() || arrived.Before(c.oldest) {
		c.oldest = arrived
	}
	c.count.In++
	c.count.BytesIn += int64(len(rec))
	if b := c.dest.Backup; b != nil && call.kind != callCorrupt {
		o, err := c.object(kindSource, kindSource, b.Compression)
		if err != nil {
			return err
		}
		if err := o.write(rec, arrived); err != nil {
			return err
		}
	}
	switch res.Status {
	case record.OK:
		return c.addGood(call, i, arrived)
	case record.Dropped:
		c.count.Dropped++
		return nil
	}
	return c.addFailed(call, i, arrived, failure{objectkey.ProcessingFailed, res.Code, res.Message})
}

func (c *cut) addGood(call *call, i int, arrived time.Time) error {
	res := &call.results[i]
	if c.convert != nil {
		return c.addConverted(call, i, arrived)
	}
	o, err := c.place(call, i, arrived)
	if o == nil || err != nil {
		return err
	}
	if err := o.write(res.Data, arrived); err != nil {
		return err
	}
	c.out(res.Data)
	if n := len(res.Data); c.dest.AppendDelimiter && (n == 0 || res.Data[n-1] != '\n') {
		return o.more([]byte{'\n'})
	}
	return nil
}

func (c *cut) out(data []byte) {
	c.count.Out++
	c.count.BytesOut += int64(len(data))
}

// place is the data object of a good record; nil when it went to the error output.
func (c *cut) place(call *call, i int, arrived time.Time) (*object, error) {
	o := c.data
	if o == nil || len(c.keys) > 0 {
		var why failure
		var err error
		if o, why, err = c.dataObject(call.results[i].Partition, arrived); err != nil {
			return nil, err
		}
		if o == nil {
			return nil, c.addFailed(call, i, arrived, why)
		}
	}
	return o, nil
}

// dataObject returns the object for records of that partition; nil, and the reason, when there
// can be none.
func (c *cut) dataObject(partition map[string]string, arrived time.Time) (o *object, why failure, err error) {
	if len(c.keys) == 0 {
		c.data, err = c.object(kindData, kindData, c.compression())
		return c.data, failure{}, err
	}
	part := append(c.line[:0], kindData...)
	for _, key := range c.keys {
		part = append(append(part, 0), partition[key]...)
	}
	c.line = part
	if o = c.objects[string(part)]; o != nil {
		return o, failure{}, nil
	}
	for _, key := range c.keys {
		if !usable(partition[key]) {
			return nil, failure{objectkey.PartitioningFailed, record.CodePartitionKeys, record.MessagePartitionKeys}, nil
		}
	}
	prefix := c.good.Append(nil, arrived, objectkey.Vars{Partition: partition})
	if !c.fits(prefix) {
		return nil, failure{objectkey.PartitioningFailed, record.CodePartitionKeys, "The evaluated prefix is too long for an object's key"}, nil
	}
	if c.active >= maxPartitions || c.names+len(part)+len(prefix) > maxNamesBytes {
		return nil, failure{objectkey.PartitioningFailed, record.CodeTooManyPartitions, record.MessageTooManyPartitions}, nil
	}
	c.active++
	c.names += len(part) + len(prefix)
	if o, err = c.object(kindData, string(part), c.compression()); err == nil {
		o.partition = make(map[string]string, len(c.keys))
		for _, key := range c.keys {
			o.partition[key] = partition[key]
		}
	}
	return o, failure{}, err
}

// usable says whether a partition value can stand in a key.
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

// fits says whether an object's key can begin with that prefix.
func (c *cut) fits(prefix []byte) bool {
	const restBytes = 80 // version, time and id
	if utf8.RuneCount(prefix) > objectkey.MaxEvaluated ||
		len(prefix)+len(c.dest.Stream)+restBytes+max(len(c.dest.FileExtension), 10) > maxKeyBytes {
		return false
	}
	for segment := range bytes.SplitSeq(prefix, []byte("/")) {
		if len(segment) > maxSegmentBytes {
			return false
		}
	}
	return true
}

// failure is the reason for which a record goes to the error output. kind selects the object.
type failure struct {
	kind    string
	code    record.ErrorCode // by default CodeProcessingFailed with its message
	message string
}

// addFailed adds the source record to the error output.
func (c *cut) addFailed(call *call, i int, arrived time.Time, why failure) error {
	if why.code == "" {
		why.code, why.message = record.CodeProcessingFailed, record.MessageProcessingFailed
	}
	attempts := call.results[i].Attempts
	if attempts == 0 {
		attempts = call.attempts
	}
	o, err := c.object(why.kind, why.kind, c.dest.Compression)
	if err != nil {
		return err
	}
	var table *objectkey.CatalogTable
	if why.kind == objectkey.ConversionFailed {
		table = &c.dest.Conversion.Table
	}
	c.line = objectkey.ErrorRecord{
		RawData: call.records[i], ErrorCode: why.code, ErrorMessage: why.message,
		AttemptsMade: attempts, Arrived: arrived, AttemptsEnded: call.ended,
		LambdaARN: call.functionARN, Table: table,
	}.AppendLine(c.line[:0])
	c.count.Failed++
	return o.write(c.line, arrived)
}

// object is the object of that part, made when it is not there. In recovery it keeps the
// compression that it had.
func (c *cut) object(kind, part, compression string) (*object, error) {
	if o := c.objects[part]; o != nil {
		return o, nil
	}
	if t, ok := c.targets[part]; ok {
		compression = t.Compression
	}
	o, err := c.mem.object(kind, part, compression, c.convert, len(c.keys) > 0 && kind == kindData)
	if err != nil {
		return nil, err
	}
	c.objects[part] = o
	c.order = append(c.order, o)
	return o, nil
}

// close ends all objects.
func (c *cut) close() error {
	for _, o := range c.order {
		if err := o.close(); err != nil {
			return err
		}
	}
	return nil
}

// release takes back what the cut holds.
func (c *cut) release() {
	for _, o := range c.order {
		c.mem.release(o)
	}
	c.order, c.objects, c.data = nil, nil, nil
}
