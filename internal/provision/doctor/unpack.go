package doctor

import (
	"bytes"
	"io"

	"github.com/stagelog/stagelog/internal/encoding/lines"
)

// unpack returns the decompressed text of an object. It detects the compression from the content, because an HTTP client
// may have decompressed the object already, and error output is compressed differently.
func unpack(body []byte) (_ []byte, err error) {
	plain, _, err := lines.Open(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	return io.ReadAll(io.LimitReader(plain, largestObject))
}
