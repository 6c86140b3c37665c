package objectkey

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"
)

// Compression formats, spelled as in CompressionFormat.
const (
	Uncompressed = "UNCOMPRESSED"
	Gzip         = "GZIP"
	Zip          = "ZIP"
	Snappy       = "Snappy"
	HadoopSnappy = "HADOOP_SNAPPY"
	// Parquet is not a CompressionFormat; it stands for objects with record format conversion.
	Parquet = "PARQUET"
)

// ContentType is the Content-Type of every object, as in Firehose.
const ContentType = "application/octet-stream"

// ObjectName returns the name that follows the evaluated prefix:
// <stream>-<version>-<yyyy>-<MM>-<dd>-<HH>-<mm>-<ss>-<id><ext>. at is in the stream's time
// zone.
func ObjectName(stream string, version int, at time.Time, id, ext string) string {
	name := append(make([]byte, 0, len(stream)+len(id)+len(ext)+32), stream...)
	name = append(name, '-')
	name = strconv.AppendInt(name, int64(version), 10)
	name = at.AppendFormat(name, "-2006-01-02-15-04-05-")
	return string(append(append(name, id...), ext...))
}

// Origin identifies the records of an object. Two objects with the same records of the
// same stream have the same Origin.
type Origin struct {
	Stream  string
	Version int
	Shard   int
	// Epoch changes when the shard's sequence numbers may begin again; "" at first.
	Epoch string
	// First and Last are the sequence numbers of the first and last frame of the object's flush.
	First, Last uint64
	// At is the arrival of the oldest record, to the millisecond. It distinguishes a stream
	// from a deleted one of the same name, whose sequence numbers were the same.
	At time.Time
	// Part distinguishes the objects of one flush: the object's kind and partition.
	Part string
}

func (o Origin) sum() [sha256.Size]byte {
	text := fmt.Appendf(nil, "%q %d %d %d %d %d %q", o.Stream, o.Version, o.Shard, o.First, o.Last, o.At.UnixMilli(), o.Part)
	if o.Epoch != "" {
		text = fmt.Appendf(text, " %q", o.Epoch)
	}
	return sha256.Sum256(text)
}

// ID returns the id in the object's name: a UUID of version 8 (vendor-specific) that
// depends only on the origin. A repeated put has the same name; two flushes within one
// second have different names.
func (o Origin) ID() string {
	sum := o.sum()
	sum[6] = sum[6]&0x0f | 0x80
	sum[8] = sum[8]&0x3f | 0x80
	id := hex.EncodeToString(sum[:16])
	return id[:8] + "-" + id[8:12] + "-" + id[12:16] + "-" + id[16:20] + "-" + id[20:]
}

// Random returns a function that generates the successive values of
// !{firehose:random-string} from the origin: 11 characters that look like the beginning
// of a UUID, as Firehose's do.
func (o Origin) Random() func() string {
	sum, n := o.sum(), 0
	return func() string {
		n++
		next := sha256.Sum256(append(sum[:], strconv.Itoa(n)...))
		digits := hex.EncodeToString(next[:5])
		return digits[:8] + "-" + digits[8:]
	}
}

// Extension returns the extension of an object's name and its Content-Encoding for a
// CompressionFormat ("" means UNCOMPRESSED), or for Parquet. A fileExtension that is not ""
// replaces the extension. The values are those that Firehose writes; for HADOOP_SNAPPY they
// differ from its documentation.
func Extension(compression, fileExtension string) (ext, contentEncoding string) {
	switch compression {
	case Gzip:
		ext, contentEncoding = ".gz", "gzip"
	case Zip:
		ext, contentEncoding = ".zip", "zip"
	case Snappy:
		ext, contentEncoding = ".snappy", "snappy-java"
	case HadoopSnappy:
		ext, contentEncoding = ".snappy", "hadoop-snappy"
	case Parquet:
		ext = ".parquet" // Firehose sets hadoop-snappy, which is wrong and breaks readers that rely on it
	}
	if fileExtension != "" {
		ext = fileExtension
	}
	return ext, contentEncoding
}
