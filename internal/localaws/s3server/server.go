// Package s3server is S3, from both sides. Server is an embedded S3 server for one machine:
// SigV4, bucket policies, one admin account and reader accounts; objects are plain files
// below one directory, synced before they are acknowledged. Client puts, lists and reads
// objects there, at AWS, or at any other S3-compatible store.
//
// The server inside (versitygw) has process-wide state: one may run per process, and it
// makes the directory of its buckets the working directory of the process, because its
// file names are relative to it. Whoever runs a Server must use absolute paths from then
// on and must not change the working directory.
package s3server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"

	"github.com/stagelog/stagelog/internal/durable/atomicfile"
)

const (
	bucketsFolder = "buckets" // the server's root: one folder per bucket
	sidecarFolder = "meta"    // where a file system without user attributes keeps them
	socketName    = "s3"

	// maxSocketPath is the longest name of a unix socket that every system takes (macOS's
	// is the shortest).
	maxSocketPath = 103

	maxConnections = 4096
	maxRequests    = 1024
	maxParts       = 10_000 // of a multipart upload, S3's limit
)

// Account is somebody who may sign requests to the server.
type Account struct {
	AccessKeyID     string
	SecretAccessKey string
	ARN             string // what a bucket policy's Principal names: arn:aws:iam::111122223333:root
}

// Config says where the objects are and who is who.
type Config struct {
	Dir     string    // made when missing; its absolute path is taken at once
	Region  string    // that signatures must name
	Admin   Account   // owns every bucket and may do everything
	Readers []Account // may do what a bucket policy says
	Logger  *slog.Logger
}

// Server is the embedded S3 server. It serves while Run runs.
type Server struct {
	cfg     Config
	root    string // absolute, holds the buckets
	sidecar string // absolute; empty when the file system keeps user attributes
	runDir  string // private, holds the socket
	socket  string

	settings *settings
}

// New prepares the directory and checks that it can be used. It starts nothing.
func New(cfg Config) (*Server, error) {
	if cfg.Admin.AccessKeyID == "" || cfg.Admin.SecretAccessKey == "" {
		return nil, errors.New("bucket: the admin account has no credentials")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Logger = cfg.Logger.With("component", "s3")
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("find bucket directory %s: %w", cfg.Dir, err)
	}
	s := &Server{cfg: cfg, root: filepath.Join(dir, bucketsFolder)}
	if err := os.MkdirAll(s.root, 0o700); err != nil {
		return nil, atomicfile.Unusable("bucket directory", dir, err)
	}
	if s.sidecar, err = chooseSidecar(dir, s.root); err != nil {
		return nil, atomicfile.Unusable("bucket directory", dir, err)
	}
	if s.runDir, err = privateDir(os.TempDir(), "/tmp", "/dev/shm"); err != nil {
		return nil, err
	}
	s.socket = filepath.Join(s.runDir, socketName)
	s.settings = &settings{dir: filepath.Join(dir, "settings"), root: s.root}
	return s, nil
}

// Run serves until ctx ends, then lets requests under way finish for a few seconds. It
// changes the working directory of the process and leaves it changed.
func (s *Server) Run(ctx context.Context) (err error) {
	if err := s.makeRunDir(); err != nil {
		return fmt.Errorf("make folder for the S3 server's socket: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(s.runDir), os.Remove(s.runLink())) }()
	store, err := s.backend()
	if err != nil {
		return err
	}
	expiring, stop := context.WithCancel(ctx)
	expired := make(chan struct{})
	go func() { defer close(expired); s.expire(expiring) }()
	defer func() { stop(); <-expired }()
	err = embedgw.RunVersityGW(ctx, store, &embedgw.Config{
		RootUserAccess:    s.cfg.Admin.AccessKeyID,
		RootUserSecret:    s.cfg.Admin.SecretAccessKey,
		Region:            s.cfg.Region,
		Ports:             []string{s.socket},
		SocketPerm:        "0600",
		MaxConnections:    maxConnections,
		MaxRequests:       maxRequests,
		MultipartMaxParts: maxParts,
		KeepAlive:         true,
		Quiet:             true,
		IAMService:        newAccounts(s.cfg.Admin, s.cfg.Readers),
	})
	if err != nil {
		return fmt.Errorf("run S3 server: %w", err)
	}
	return nil
}

func (s *Server) backend() (*synced, error) {
	var attributes meta.MetadataStorer = meta.XattrMeta{}
	if s.sidecar != "" {
		sidecar, err := meta.NewSideCar(s.sidecar)
		if err != nil {
			return nil, fmt.Errorf("open folder of object attributes: %w", err)
		}
		attributes = sidecar
	}
	opts := posix.PosixOpts{NewDirPerm: 0o700, NewFilePerm: 0o600}
	opts.SetNewDirPerm(0o700)
	opts.SetNewFilePerm(0o600)
	files, err := posix.New(s.root, attributes, opts)
	if err != nil {
		return nil, fmt.Errorf("open bucket directory: %w", err)
	}
	return &synced{Posix: files, root: s.root, sidecar: s.sidecar, settings: s.settings}, nil
}

// Ready waits until the server takes connections, or ctx ends.
func (s *Server) Ready(ctx context.Context) error {
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for {
		conn, err := s.dial(ctx, "", "")
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the S3 server: %w", errors.Join(ctx.Err(), err))
		case <-again.C:
		}
	}
}

// dial connects to the server whatever the address.
func (s *Server) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", s.socket)
}

// chooseSidecar says where the attributes of objects are kept: in the files themselves
// (an empty answer), or in a folder of their own. What was chosen once stays.
func chooseSidecar(dir, root string) (string, error) {
	sidecar := filepath.Join(dir, sidecarFolder)
	if _, err := os.Stat(sidecar); err == nil {
		return sidecar, nil
	}
	probe, err := os.CreateTemp(root, ".probe-*")
	if err != nil {
		return "", err
	}
	path := probe.Name()
	defer os.Remove(path) //nolint:errcheck // an empty file that no listing shows
	if err := probe.Close(); err != nil {
		return "", err
	}
	if (meta.XattrMeta{}).StoreAttribute(nil, "", path, "probe", []byte("stagelog")) == nil {
		return "", nil
	}
	return sidecar, os.Mkdir(sidecar, 0o700)
}

// runDirName is what the names of folders for the socket begin with.
const runDirName = "stagelog-"

// privateDir names a folder for the socket in the first of the places that exists and
// whose name leaves room for it: the data directory's may be too long. Run makes it.
func privateDir(places ...string) (string, error) {
	for _, place := range places {
		dir := filepath.Join(place, runDirName+rand.Text()[:12])
		if info, err := os.Stat(place); err == nil && info.IsDir() && len(filepath.Join(dir, socketName)) <= maxSocketPath {
			return dir, nil
		}
	}
	return "", fmt.Errorf("no place for the S3 server's socket in %v: set TMPDIR to a short path", places)
}

// makeRunDir makes the folder for the socket, and removes the one of a run that was killed: a
// link in the data directory says which that was.
func (s *Server) makeRunDir() error {
	left, err := os.Readlink(s.runLink())
	if err == nil && strings.HasPrefix(filepath.Base(left), runDirName) {
		err = errors.Join(os.RemoveAll(left), os.Remove(s.runLink()))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(s.runDir, s.runLink()); err != nil {
		return err
	}
	return os.Mkdir(s.runDir, 0o700)
}

func (s *Server) runLink() string { return filepath.Join(filepath.Dir(s.root), "run") }
