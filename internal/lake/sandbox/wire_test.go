package sandbox

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
)

// message returns a message of numbers.
func message(kind byte, numbers ...uint64) []byte {
	data := []byte{kind}
	for _, n := range numbers {
		data = binary.AppendUvarint(data, n)
	}
	return data
}

func readAll(data []byte) error {
	_, err := read(bufio.NewReader(bytes.NewReader(data)), func([]string) error { return nil }, func([]Cell) error { return nil })
	return err
}

// A child whose memory a statement has corrupted can write anything.
func TestReadRefusesMalformedResults(t *testing.T) {
	columns := message(columnsMessage, 1, 1, 'a')
	for name, c := range map[string]struct {
		data []byte
		want error
	}{
		"nothing":               {nil, errCut},
		"half a message":        {columns[:2], errCut},
		"no end":                {columns, errCut},
		"an unknown message":    {message('?'), errMalformed},
		"columns twice":         {slices.Concat(columns, columns), errMalformed},
		"a row without columns": {message(rowMessage, 0), errMalformed},
		"a row that is wider":   {slices.Concat(columns, message(rowMessage, 2, 0, 0, 0, 0)), errMalformed},
		"millions of columns":   {message(columnsMessage, maxMessage/2), errTooLong},
		"a long text":           {message(columnsMessage, 1, 1<<40), errTooLong},
	} {
		if err := readAll(c.data); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(slices.Concat(message(columnsMessage, 1, 1, 'a'), message(rowMessage, 1, uint64(Number), 1, '7'), message(endMessage, 1)))
	f.Add(message(errorMessage, 1, 3, 'b', 'a', 'd'))
	f.Fuzz(func(_ *testing.T, data []byte) { _ = readAll(data) })
}
