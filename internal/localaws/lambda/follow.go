package lambda

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/stagelog/stagelog/internal/durable/atomicfile"
	"github.com/stagelog/stagelog/internal/localaws/documents"
	"github.com/stagelog/stagelog/internal/localaws/wire"
	"github.com/stagelog/stagelog/internal/record"
)

// Follow applies the changes of other processes of the cluster until ctx ends.
func (s *Service) Follow(ctx context.Context) error { return s.shared.Follow(ctx, s.cfg.Logger) }

// Refresh applies the changes that other processes made before the call.
func (s *Service) Refresh(ctx context.Context) error { return s.shared.Refresh(ctx) }

// begin applies the changes of other processes, and then locks writing.
func (s *Service) begin(ctx context.Context) *wire.Error {
	if err := s.shared.Refresh(ctx); err != nil {
		s.cfg.Logger.Error("functions not changed", "error", err)
		return internal("The functions could not be read.")
	}
	s.writing.Lock()
	return nil
}

// apply implements the callback of documents.Share. The caller holds writing.
func (s *Service) apply(ctx context.Context, changes []documents.Change) error {
	for _, c := range changes {
		name, ours := strings.CutPrefix(c.Key, keyPrefix)
		if !ours {
			continue
		}
		if c.Value == nil {
			s.replace(name, nil)
			continue
		}
		doc, err := documents.Decode[document](c.Key, c.Value)
		if err == nil {
			err = doc.checkVersion()
		}
		if err != nil {
			s.cfg.Logger.Error("change of another process ignored", "error", err)
			continue
		}
		if d, ok := s.uploaded(name); ok && d.doc.sameProcess(*doc) {
			s.annotated(*doc)
			continue
		}
		d, err := s.deployOrBreak(ctx, *doc)
		if err != nil {
			return err
		}
		s.replace(name, d)
	}
	return nil
}

// uploaded finds a function that is not a builtin.
func (s *Service) uploaded(name string) (*deployed, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	d, ok := s.functions[name]
	return d, ok
}

// sameProcess reports whether the documents differ at most in what does not affect a function's processes.
func (d document) sameProcess(other document) bool {
	for _, doc := range []*document{&d, &other} {
		doc.RevisionID, doc.ModifiedMilli, doc.Tags, doc.Statements = "", 0, nil, nil
	}
	return reflect.DeepEqual(d, other)
}

// pieceBytes is the size of the pieces of a zip in the store.
const pieceBytes = documents.MaxBytes / 2

// codePrefix returns the beginning of the keys of a function's zips, or of one of them.
func codePrefix(name, file string) string {
	if file == "" {
		return name + "/"
	}
	return name + "/" + file + "/"
}

func pieceKey(name, file string, piece int) string {
	return fmt.Sprintf("%s%03d", codePrefix(name, file), piece)
}

// shareCode stores doc's zip for the other processes of the cluster, unless the function has the same code already.
func (s *Service) shareCode(ctx context.Context, doc document) error {
	if d, ok := s.uploaded(doc.Name); s.cfg.Code == nil || ok && d.doc.CodeFile == doc.CodeFile {
		return nil
	}
	zipped, err := os.ReadFile(s.zipFile(doc))
	if err != nil {
		return fmt.Errorf("read the code of function %s: %w", doc.Name, err)
	}
	piece := 0
	for data := range slices.Chunk(zipped, pieceBytes) {
		if _, err := s.cfg.Code.Set(ctx, pieceKey(doc.Name, doc.CodeFile, piece), data); err != nil {
			return fmt.Errorf("store the code of function %s: %w", doc.Name, err)
		}
		piece++
	}
	return nil
}

// errUnread marks code that could not be read now; a later try may succeed.
var errUnread = errors.New("the store did not answer")

// readCode returns doc's zip. If this process does not have it, readCode gets it from the other processes of the cluster.
func (s *Service) readCode(ctx context.Context, doc document) ([]byte, error) {
	zipped, err := os.ReadFile(s.zipFile(doc))
	if !errors.Is(err, fs.ErrNotExist) || s.cfg.Code == nil {
		return zipped, err
	}
	for piece := 0; int64(len(zipped)) < doc.CodeBytes; piece++ {
		data, _, err := s.cfg.Code.Get(ctx, pieceKey(doc.Name, doc.CodeFile, piece))
		switch {
		case errors.Is(err, record.ErrNotFound):
			return nil, err
		case err != nil:
			return nil, fmt.Errorf("%w: %w", errUnread, err)
		}
		zipped = append(zipped, data...)
	}
	if sum := sha256.Sum256(zipped); base64.StdEncoding.EncodeToString(sum[:]) != doc.CodeSHA256 {
		return nil, errors.New("it differs from what was uploaded")
	}
	if err := os.MkdirAll(s.functionDir(doc.Name), 0o700); err != nil {
		return nil, err
	}
	return zipped, atomicfile.WriteFile(s.zipFile(doc), zipped, 0o600)
}

// oldCode returns the keys of a function's zips in the store, except keep. It is called before the function's document is
// written: what another process stores later may be in use then.
func (s *Service) oldCode(ctx context.Context, name, keep string) (old []string) {
	if s.cfg.Code == nil {
		return nil
	}
	s.logRemoval(name, s.cfg.Code.All(ctx, codePrefix(name, ""), func(key string, _ []byte, _ uint64) error {
		if keep == "" || !strings.HasPrefix(key, codePrefix(name, keep)) {
			old = append(old, key)
		}
		return nil
	}))
	return old
}

// forgetCode removes zips from the store. It only logs failures, which waste space.
func (s *Service) forgetCode(ctx context.Context, name string, old []string) {
	var errs []error
	for _, key := range old {
		errs = append(errs, s.cfg.Code.Delete(ctx, key))
	}
	s.logRemoval(name, errors.Join(errs...))
}

func (s *Service) zipFile(doc document) string {
	return filepath.Join(s.functionDir(doc.Name), doc.CodeFile)
}

// checkVersion returns an error for a document of a newer version of stagelog.
func (d *document) checkVersion() error {
	if d.Version != 1 {
		return fmt.Errorf("function %s was written by a newer version of stagelog", d.Name)
	}
	return nil
}
