package demo

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/stagelog/stagelog/internal/delivery/bucket"
	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/encoding/lines"
	"github.com/stagelog/stagelog/internal/record"
)

// readBack counts the records of the objects: the delivered ones as the reader, the error objects, which a reader cannot
// see, as the administrator.
func (d *demo) readBack(ctx context.Context) error {
	reader, admin := d.server.Reader().Bucket(d.pipeline.Bucket), d.server.Admin().Bucket(d.pipeline.Bucket)
	keys, err := listKeys(ctx, reader, d.pipeline.Deliver.Prefix)
	d.result.Reader.List = outcome(err)
	if err != nil {
		return fmt.Errorf("list the bucket as the reader: %w", err)
	}
	d.result.Objects = append(d.result.Objects, keys...)
	for _, key := range keys {
		all, err := readLines(ctx, reader, key)
		d.result.Reader.Get = outcome(err)
		if err != nil {
			return fmt.Errorf("read %s as the reader: %w", key, err)
		}
		for _, line := range all {
			var fields struct {
				Customer string `json:"customer"`
			}
			if err := json.Unmarshal(line, &fields); err != nil {
				return fmt.Errorf("a line of %s is not JSON: %w", key, err)
			}
			d.result.Customers[fields.Customer]++
			d.result.RecordsDelivered++
		}
	}
	d.result.Reader.Put = outcome(reader.Put(ctx, d.pipeline.Deliver.Prefix+"reader-was-here", strings.NewReader("x"), record.Meta{Size: 1}))
	failed, err := listKeys(ctx, admin, d.pipeline.Deliver.ErrorOutput())
	if err != nil {
		return fmt.Errorf("list the error output: %w", err)
	}
	for _, key := range failed {
		all, err := readLines(ctx, admin, key)
		if err != nil {
			return fmt.Errorf("read %s: %w", key, err)
		}
		d.result.RecordsFailed += int64(len(all))
	}
	return nil
}

// outcome returns "ok", or S3's error code.
func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	return cmp.Or(awserr.Code(err), "failed")
}

func listKeys(ctx context.Context, b bucket.Bucket, prefix string) (keys []string, err error) {
	err = b.List(ctx, prefix, "", func(o record.Object) error {
		keys = append(keys, o.Key)
		return nil
	})
	return keys, err
}

// maxLine limits a line of an object.
const maxLine = 1 << 20

// readLines returns the lines of an object, decompressed.
func readLines(ctx context.Context, b bucket.Bucket, key string) (all [][]byte, err error) {
	body, err := b.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	plain, _, err := lines.Open(body)
	if err != nil {
		return nil, err
	}
	err = lines.Lines(plain, maxLine, maxLine, func(line []byte, _ bool) error {
		all = append(all, bytes.Clone(line))
		return nil
	})
	return all, errors.Join(err, plain.Close())
}
