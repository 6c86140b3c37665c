package lambda

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/stagelog/stagelog/internal/durable/atomicfile"
	"github.com/stagelog/stagelog/internal/localaws/lambda/host"
	"github.com/stagelog/stagelog/internal/localaws/wire"
)

// maxZipBytes is Lambda's limit for a zip in a request. Only the unpacked limit applies to one from a bucket.
const maxZipBytes = 50 << 20

// functionDir returns a function's folder, which contains <sha256>.zip, the folder <sha256> unpacked from it, and run for the
// files of its processes.
func (s *Service) functionDir(name string) string { return filepath.Join(s.cfg.Dir, name) }

// zipOf returns the zip in a request, or the one in the bucket that the request names.
func (s *Service) zipOf(ctx context.Context, c *codeInput) ([]byte, *wire.Error) {
	switch {
	case c.ImageURI != "":
		return nil, invalid("Container images cannot run here: send a zip with a bootstrap, in ZipFile or in S3Bucket and S3Key.")
	case c.S3ObjectVersion != "" || c.SourceKMSKeyARN != "":
		return nil, invalid("S3ObjectVersion and SourceKMSKeyArn are not supported here.")
	case len(c.ZipFile) > 0 && c.S3Bucket != "":
		return nil, invalid("Please do not provide other FunctionCode parameters when providing a ZipFile.")
	case len(c.ZipFile) > maxZipBytes:
		return nil, &wire.Error{Code: "RequestTooLargeException", Status: 413, Message: fmt.Sprintf("A zip in a request can have at most %d bytes.", maxZipBytes)}
	case len(c.ZipFile) > 0:
		return c.ZipFile, nil
	case c.S3Bucket == "" || c.S3Key == "":
		return nil, invalid("Please provide a source for function code: ZipFile, or S3Bucket and S3Key.")
	case s.cfg.FetchObject == nil:
		return nil, invalid("S3Bucket is not supported here: send the zip in ZipFile.")
	}
	zipped, err := s.cfg.FetchObject(ctx, c.S3Bucket, c.S3Key)
	if err != nil {
		return nil, invalid("Error occurred while GetObject. The object %s in %s could not be read.", c.S3Key, c.S3Bucket)
	}
	return zipped, nil
}

// putCode unpacks and checks a zip for doc, and then stores it.
func (s *Service) putCode(doc *document, zipped []byte) *wire.Error {
	sum := sha256.Sum256(zipped)
	doc.CodeSHA256 = base64.StdEncoding.EncodeToString(sum[:])
	doc.CodeFile = hex.EncodeToString(sum[:]) + ".zip"
	doc.CodeBytes = int64(len(zipped))
	err := s.unpack(doc, zipped)
	if err == nil {
		err = atomicfile.WriteFile(s.zipFile(*doc), zipped, 0o600)
	}
	switch {
	case errors.Is(err, host.ErrZip), errors.Is(err, host.ErrRuntime):
		return invalid("%s.", capital(err.Error()))
	case err != nil:
		s.cfg.Logger.Error("function code not stored", "function", doc.Name, "error", err)
		return internal("The code could not be stored.")
	}
	return nil
}

// unpack ensures that doc's code is unpacked and can run on this machine.
func (s *Service) unpack(doc *document, zipped []byte) error {
	dir := s.codeDir(doc)
	if _, err := os.Stat(dir); err == nil {
		return host.Check(dir, doc.Architecture) // keep it: it may be running
	}
	if err := host.Unpack(zipped, dir); err != nil {
		return err
	}
	if err := host.Check(dir, doc.Architecture); err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	return nil
}

func (s *Service) codeDir(doc *document) string {
	return filepath.Join(s.functionDir(doc.Name), strings.TrimSuffix(doc.CodeFile, ".zip"))
}

// deploy creates the host of doc's code. It unpacks the code again if the unpacked files are missing.
func (s *Service) deploy(ctx context.Context, doc document) (*deployed, error) {
	if _, err := os.Stat(s.codeDir(&doc)); err != nil {
		zipped, err := s.readCode(ctx, doc)
		if err != nil {
			return nil, fmt.Errorf("read the code of function %s: %w", doc.Name, err)
		}
		if err := s.unpack(&doc, zipped); err != nil {
			return nil, fmt.Errorf("unpack function %s: %w", doc.Name, err)
		}
	}
	env := maps.Clone(s.cfg.Environment)
	if env == nil {
		env = map[string]string{}
	}
	maps.Copy(env, doc.Environment)
	f, err := host.New(host.Config{
		Name: doc.Name, ARN: s.arn(doc.Name), Handler: doc.Handler, Region: s.cfg.Region, CodeDir: s.codeDir(&doc),
		StateDir: filepath.Join(s.functionDir(doc.Name), "run"), MemoryMB: doc.MemoryMB, Timeout: doc.timeout(), Environment: env,
		Credentials: s.cfg.Credentials, Concurrency: s.cfg.Concurrency, Idle: s.cfg.Idle, Logger: s.cfg.Logger,
	})
	if err != nil {
		return nil, err
	}
	return &deployed{doc: doc, invoker: f, host: f}, nil
}

// removeUnused removes code that no function uses. It only logs failures, which waste disk space.
func (s *Service) removeUnused(name string) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.RLock()
	d := s.functions[name]
	s.mu.RUnlock()
	dir := s.functionDir(name)
	if d == nil {
		s.logRemoval(name, os.RemoveAll(dir))
		return
	}
	entries, err := os.ReadDir(dir)
	s.logRemoval(name, err)
	keep := strings.TrimSuffix(d.doc.CodeFile, ".zip")
	for _, e := range entries {
		if base := strings.TrimSuffix(e.Name(), ".zip"); base != keep && base != "run" {
			s.logRemoval(name, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
}

func (s *Service) logRemoval(name string, err error) {
	if err != nil {
		s.cfg.Logger.Warn("old function code not removed", "function", name, "error", err)
	}
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
