package deliver

import (
	"bufio"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/stagelog/stagelog/internal/delivery/objectkey"
	"github.com/stagelog/stagelog/internal/encoding/parquet"
)

// Kinds of objects: the first segments of their parts.
const (
	kindData   = "data"
	kindSource = "source"
	// Error objects have the error output type as their kind.
)

// spoolBytes limits the bytes of an object in memory. A partitioned flush can have 500 objects,
// so each of them gets less.
const (
	spoolBytes          = 8 << 20
	partitionSpoolBytes = 32 << 10
)

// object is an object under construction. Most are compressed while they grow. A partitioned flush
// has too many objects for a compressor each, so they are compressed when they are put.
type object struct {
	kind        string
	part        string // kind and partition values
	partition   map[string]string
	compression string      // or objectkey.Parquet
	convert     *conversion // if compression is objectkey.Parquet
	oldest      time.Time   // arrival of the oldest record
	records     int
	rawBytes    int64

	spool  *spool
	later  bool           // compressed when put; enc and gather are nil
	enc    *pooledEncoder // into the spool
	gather *bufio.Writer  // into the encoder
	closed bool
}

// write appends p, a record that arrived at the given time.
func (o *object) write(p []byte, arrived time.Time) error {
	if o.records == 0 || arrived.Before(o.oldest) {
		o.oldest = arrived
	}
	o.records++
	return o.more(p)
}

func (o *object) more(p []byte) error {
	o.rawBytes += int64(len(p))
	var err error
	if o.later {
		_, err = o.spool.Write(p)
	} else {
		_, err = o.gather.Write(p)
	}
	return err
}

// close flushes everything to the spool.
func (o *object) close() error {
	if o.closed || o.later {
		return nil
	}
	o.closed = true
	if err := o.gather.Flush(); err != nil {
		return err
	}
	return o.enc.Close()
}

// memory pools compressors and buffers, which are large.
type memory struct {
	dir      string
	encoders sync.Map // compression -> *sync.Pool of *pooledEncoder
	spools   sync.Pool
	buffers  sync.Pool
}

// pooledEncoder is an encoder and its pool; nil means that it is not reused.
type pooledEncoder struct {
	encoder
	pool *sync.Pool
}

func (e *pooledEncoder) release() {
	if e == nil || e.pool == nil {
		return
	}
	e.Reset(io.Discard)
	e.pool.Put(e)
}

func (m *memory) spool(limit int) *spool {
	if limit == spoolBytes {
		if s, ok := m.spools.Get().(*spool); ok {
			return s
		}
	}
	return &spool{dir: m.dir, limit: limit}
}

func (m *memory) encoder(compression string, convert *conversion, w io.Writer) (*pooledEncoder, error) {
	if compression == objectkey.Parquet {
		enc, err := parquet.NewWriter(w, convert.schema, convert.compression)
		if err != nil {
			return nil, err
		}
		return &pooledEncoder{encoder: enc}, nil
	}
	v, _ := m.encoders.LoadOrStore(compression, &sync.Pool{})
	pool := v.(*sync.Pool)
	if e, ok := pool.Get().(*pooledEncoder); ok {
		e.Reset(w)
		return e, nil
	}
	enc, err := newEncoder(compression, w, uuid.NewString())
	if err != nil {
		return nil, err
	}
	return &pooledEncoder{enc, pool}, nil
}

// object returns a new open object.
func (m *memory) object(kind, part, compression string, convert *conversion, later bool) (*object, error) {
	o := &object{kind: kind, part: part, compression: compression, convert: convert, later: later}
	if later {
		o.spool = m.spool(partitionSpoolBytes)
		return o, nil
	}
	o.spool = m.spool(spoolBytes)
	var err error
	if o.enc, err = m.encoder(compression, convert, o.spool); err != nil {
		m.release(o)
		return nil, err
	}
	if b, ok := m.buffers.Get().(*bufio.Writer); ok {
		b.Reset(o.enc)
		o.gather = b
	} else {
		o.gather = bufio.NewWriterSize(o.enc, gatherBytes)
	}
	return o, nil
}

// release returns the buffers of an object to the pools. The object must not be used afterwards.
func (m *memory) release(o *object) {
	if o.gather != nil {
		o.gather.Reset(nil)
		m.buffers.Put(o.gather)
	}
	o.enc.release()
	m.releaseSpool(o.spool)
	o.spool, o.gather, o.enc = nil, nil, nil
}

func (m *memory) releaseSpool(s *spool) {
	s.reset()
	if s.limit == spoolBytes {
		m.spools.Put(s)
	}
}

// body calls fn with the final bytes of the closed object.
func (m *memory) body(o *object, fn func(body io.ReadSeeker, size int64) error) error {
	from := o.spool
	if o.later {
		compressed := m.spool(spoolBytes)
		defer m.releaseSpool(compressed)
		if err := m.compress(o, compressed); err != nil {
			return fmt.Errorf("compress object: %w", err)
		}
		from = compressed
	}
	body, err := from.reader()
	if err != nil {
		return err
	}
	return fn(body, from.size)
}

func (m *memory) compress(o *object, to *spool) error {
	enc, err := m.encoder(o.compression, o.convert, to)
	if err != nil {
		return err
	}
	defer enc.release()
	body, err := o.spool.reader()
	if err != nil {
		return err
	}
	if _, err := io.CopyBuffer(struct{ io.Writer }{enc}, struct{ io.Reader }{body}, make([]byte, gatherBytes)); err != nil {
		return err
	}
	return enc.Close()
}

// name returns the object's key, which depends only on the flush, the object and the destination.
func (o *object) name(d Destination, origin objectkey.Origin, prefix objectkey.Prefix) string {
	zone := d.Zone
	if zone == nil {
		zone = time.UTC
	}
	at := o.oldest.In(zone)
	origin.Stream, origin.Version, origin.At, origin.Part = d.Stream, d.Version, at, o.part
	ext, _ := objectkey.Extension(o.compression, d.FileExtension)
	key := prefix.Append(nil, at, objectkey.Vars{ErrorOutputType: o.kind, Partition: o.partition, Random: origin.Random()})
	return string(append(key, objectkey.ObjectName(d.Stream, d.Version, at, origin.ID(), ext)...))
}
