package buffer

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"

	"github.com/stagelog/stagelog/internal/durable/atomicfile"
)

// newBlock is a block of a replacement: a whole block of the damaged folder, or one made of pieces.
type newBlock struct {
	index  int
	pieces []piece // nil for a whole block
}

// layout arranges whole blocks, which keep their numbers, and pieces by sequence.
func (c *check) layout() (blocks []newBlock, err error) {
	pieces := c.pieces
	before := 0 // number of the whole block before
	for i := 0; i <= len(c.whole); i++ {
		n, free := len(pieces), math.MaxInt
		if i < len(c.whole) {
			b := c.whole[i]
			for n = 0; n < len(pieces) && pieces[n].seq < b.first; n++ {
			}
			if free = b.index - before - 1; n > 0 && free == 0 {
				// There is no number for a block between the two: this one becomes pieces.
				buf, err := c.readBlock(b.index)
				if err != nil {
					return nil, err
				}
				more, _, _ := c.walk(b.index, 0, buf)
				pieces = append(append(pieces[:n:n], more...), pieces[n:]...)
				continue
			}
		}
		blocks = append(blocks, split(pieces[:n], before+1, free)...)
		pieces = pieces[n:]
		if i < len(c.whole) {
			before = c.whole[i].index
			blocks = append(blocks, newBlock{index: before})
		}
	}
	return blocks, nil
}

// split distributes pieces over at most free blocks; only the last one may exceed the maximum size.
func split(pieces []piece, index, free int) (blocks []newBlock) {
	size, from := 0, 0
	for i, p := range pieces {
		if size += p.size(); size > maxBlockSize && i > from && free > 1 {
			blocks = append(blocks, newBlock{index, pieces[from:i]})
			index, free, size, from = index+1, free-1, p.size(), i
		}
	}
	if from < len(pieces) {
		blocks = append(blocks, newBlock{index, pieces[from:]})
	}
	return blocks
}

// write writes a replacement of the stream's folder.
func (c *check) write(folder string) error {
	if !c.badMeta {
		for _, name := range []string{"meta.inf", "meta.sum"} {
			data, err := os.ReadFile(filepath.Join(c.path, name))
			if err == nil {
				err = atomicfile.WriteFile(filepath.Join(folder, name), data, 0o600)
			}
			if err != nil {
				return err
			}
		}
	}
	blocks, err := c.layout()
	if err != nil {
		return err
	}
	var source []byte // content of the block sourceIndex
	sourceIndex := 0
	for i, b := range blocks {
		path := filepath.Join(folder, "msgs", strconv.Itoa(b.index)+blockSuffix)
		if b.pieces == nil {
			// The server goes on writing to the last block.
			if i == len(blocks)-1 || os.Link(c.blockPath(b.index), path) != nil {
				err = copyFile(path, c.blockPath(b.index))
			}
			if err != nil {
				return err
			}
			continue
		}
		var buf []byte
		hash := blockHash(c.name, b.index)
		for _, p := range b.pieces {
			e := entry{seq: p.seq, time: p.time, subject: []byte(p.subject), headers: p.header, data: p.value}
			if c.prefix == nil {
				e.subject = c.subject
			}
			if p.value == nil {
				if sourceIndex != p.index {
					if source, err = c.readBlock(p.index); err != nil {
						return err
					}
					sourceIndex = p.index
				}
				e.headers, e.data = source[p.headers.from:p.headers.to], source[p.data.from:p.data.to]
			}
			buf = appendEntry(buf, hash, e)
		}
		if err := writeFile(path, bytes.NewReader(buf)); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(to, from string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	return errors.Join(writeFile(to, f), f.Close())
}

// writeFile writes and syncs a new file.
func writeFile(path string, content io.Reader) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Sync(), f.Close())
}
