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
	// Parquet is no CompressionFormat: it is what objects are when their format is converted.
	Parquet = "PARQUET"
)

// ContentType is the Content-Type of every object that Firehose writes, whatever is in it.
const ContentType = "application/octet-stream"

// ObjectName is the name that stands behind the evaluated prefix:
// <stream>-<version>-<yyyy>-<MM>-<dd>-<HH>-<mm>-<ss>-<id><ext>. at is in the stream's time
// zone.
func ObjectName(stream string, version int, at time.Time, id, ext string) string {
	name := append(make([]byte, 0, len(stream)+len(id)+len(ext)+32), stream...)
	name = append(name, '-')
	name = strconv.AppendInt(name, int64(version), 10)
	name = at.AppendFormat(name, "-2006-01-02-15-04-05-")
	return string(append(append(name, id...), ext...))
}

// Origin is where the records of an object come from. Two objects with the same records of
// the same stream have the same Origin.
type Origin struct {
	Stream  string
	Version int
	Shard   int
	// First and Last are the sequence numbers of the object's cut.
	First, Last uint64
	// At is the arrival of the oldest record, to the millisecond. It sets a stream apart
	// from a deleted one of the same name, whose sequence numbers were the same.
	At time.Time
	// Part tells the objects of one cut apart: its kind and partition.
	Part string
}

func (o Origin) sum() [sha256.Size]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%q %d %d %d %d %d %q", o.Stream, o.Version, o.Shard, o.First, o.Last, o.At.UnixMilli(), o.Part))
}

// ID is the id of the object in its name: it has the form of a UUID (version 8: made by
// own rules) and is a function of the origin alone. So a put that is repeated has the
// same name, and two cuts within one second do not.
func (o Origin) ID() string {
	sum := o.sum()
	sum[6] = sum[6]&0x0f | 0x80
	sum[8] = sum[8]&0x3f | 0x80
	id := hex.EncodeToString(sum[:16])
	return id[:8] + "-" + id[8:12] + "-" + id[12:16] + "-" + id[16:20] + "-" + id[20:]
}

// Random gives the values of !{firehose:random-string}, one after the other, as a function
// of the origin: 11 characters like the first ones of a UUID, as Firehose's are.
func (o Origin) Random() func() string {
	sum, n := o.sum(), 0
	return func() string {
		n++
		next := sha256.Sum256(append(sum[:], strconv.Itoa(n)...))
		digits := hex.EncodeToString(next[:5])
		return digits[:8] + "-" + digits[8:]
	}
}

// Extension is the extension of an object's name and its Content-Encoding for a
// CompressionFormat ("" is UNCOMPRESSED), or for Parquet. fileExtension, when it is not "", replaces the
// extension. The values are those that Firehose writes, which for HADOOP_SNAPPY are not
// those that it documents.
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
		ext = ".parquet" // Firehose says hadoop-snappy, which it is not, and readers that believe it fail
	}
	if fileExtension != "" {
		ext = fileExtension
	}
	return ext, contentEncoding
}
