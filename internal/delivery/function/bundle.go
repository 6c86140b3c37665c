package function

import (
	"archive/zip"
	"compress/flate"
	"fmt"
	"io"
	"time"
)

// BootstrapName is the name of the file that Lambda's provided.* runtimes run.
const BootstrapName = "bootstrap"

// Bundle writes the zip of a function whose only file is a bootstrap. The same bootstrap always results in the same bytes, so
// that Lambda's CodeSha256 shows whether the code changed.
func Bundle(w io.Writer, bootstrap io.Reader) error {
	z := zip.NewWriter(w)
	z.RegisterCompressor(zip.Deflate, func(out io.Writer) (io.WriteCloser, error) {
		return flate.NewWriter(out, flate.BestCompression)
	})
	h := &zip.FileHeader{Name: BootstrapName, Method: zip.Deflate, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)}
	h.SetMode(0o755)
	f, err := z.CreateHeader(h)
	if err != nil {
		return fmt.Errorf("bundle function: %w", err)
	}
	if _, err := io.Copy(f, bootstrap); err != nil {
		return fmt.Errorf("bundle function: %w", err)
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("bundle function: %w", err)
	}
	return nil
}
