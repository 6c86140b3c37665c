package firehose

import (
	"context"
	"strings"

	"github.com/stagelog/stagelog/internal/localaws/documents"
	"github.com/stagelog/stagelog/internal/localaws/wire"
)

// Follow applies the changes of other processes of the cluster until ctx ends.
func (s *Service) Follow(ctx context.Context) error { return s.shared.Follow(ctx, s.cfg.Logger) }

// Refresh applies the changes that other processes made before the call.
func (s *Service) Refresh(ctx context.Context) error { return s.shared.Refresh(ctx) }

// Needs sets the function that refreshes the functions and tables of streams before the changes of other processes are
// applied. It is called before Follow.
func (s *Service) Needs(refresh func(context.Context) error) { s.shared.Needs(refresh) }

// changing applies the changes of other processes, then runs fn with Service.change held.
func (s *Service) changing(ctx context.Context, action, stream string, fn func() *wire.Error) *wire.Error {
	if err := s.shared.Refresh(ctx); err != nil {
		return s.failed(action, stream, err)
	}
	s.change.Lock()
	defer s.change.Unlock()
	return fn()
}

// apply implements the callback of documents.Share. The caller holds Service.change.
func (s *Service) apply(ctx context.Context, changes []documents.Change) error {
	for _, c := range changes {
		name, ours := strings.CutPrefix(c.Key, keyPrefix)
		if !ours {
			continue
		}
		if c.Value == nil {
			s.closeStream(name)
			continue
		}
		stream, err := documents.Decode[Stream](c.Key, c.Value)
		if err != nil {
			s.cfg.Logger.Error("change of another process ignored", "error", err)
			continue
		}
		if err := s.follow(ctx, *stream); err != nil {
			return err
		}
	}
	return nil
}

// follow makes a stream match the definition that another process has stored. That process finishes a deletion.
func (s *Service) follow(ctx context.Context, stream Stream) error {
	l := s.find(stream.Name)
	if l != nil && (stream.Status == StatusDeleting || !l.current().Created.Equal(stream.Created)) {
		s.closeStream(stream.Name)
		l = nil
	}
	switch {
	case stream.Status == StatusDeleting:
		return nil
	case l == nil:
		accepting, err := s.ingest.Open(ctx, stream.Name)
		if err != nil {
			return err
		}
		s.add(&live{stream: stream}, accepting)
	default:
		l.set(stream)
	}
	s.cfg.OnChange(stream)
	return nil
}

// closeStream stops a stream here, and leaves its records to the process that deletes it.
func (s *Service) closeStream(name string) {
	if s.find(name) == nil {
		return
	}
	s.ingest.Close(name)
	s.cfg.OnClose(name)
	s.remove(name)
}
