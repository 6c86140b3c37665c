package doctor

import (
	"bytes"
	"io"

	"github.com/stagelog/stagelog/internal/encoding/lines"
)

// unpack is the text of an object, whatever it is packed in: an HTTP client on the way may have unpacked it, and error
// output is packed in its own way.
func unpack(body []byte) (_ []byte, err error) {
	plain, _, err := lines.Open(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	return io.ReadAll(io.LimitReader(plain, largestObject))
}
