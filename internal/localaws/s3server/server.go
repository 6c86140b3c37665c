// Package s3server is an embedded S3 server for one machine, with SigV4, bucket policies, one admin account and
// reader accounts. Objects are plain files below one directory, synced before they are acknowledged.
//
// The underlying server (versitygw) has process-wide state: a process can run only one, and it changes the
// working directory of the process to that of its buckets, because its file names are relative. A process that
// runs a Server must use absolute paths and must not change the working directory.
package s3server

import (
	"cmp"
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
	"syscall"
	"time"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"

	"github.com/stagelog/stagelog/internal/durable/atomicfile"
	"github.com/stagelog/stagelog/internal/durable/retry"
)

const (
	bucketsFolder = "buckets" // the server's root: one folder per bucket
	sidecarFolder = "meta"    // attributes of objects on a file system without user attributes
	socketName    = "s3"

	// maxSocketPath is the longest path of a unix socket that all systems support (macOS has the
	// lowest limit).
	maxSocketPath = 103

	maxConnections = 4096
	maxRequests    = 1024
	maxParts       = 10_000 // of a multipart upload, S3's limit
)

// Account is an account that may sign requests to the server.
type Account struct {
	AccessKeyID     string
	SecretAccessKey string
	ARN             string // Principal in bucket policies: arn:aws:iam::111122223333:root
}

// Config configures a Server.
type Config struct {
	Dir     string    // of the objects; created if missing, made absolute by New
	Region  string    // of valid signatures
	Admin   Account   // owns all buckets and has all permissions
	Readers []Account // have the permissions of the bucket policies
	Logger  *slog.Logger
}

// Server is the embedded S3 server. It serves while Run runs.
type Server struct {
	cfg     Config
	root    string // absolute, holds the buckets
	sidecar string // absolute; "": the file system supports user attributes
	runDir  string // private, holds the socket
	socket  string

	settings *settings
}

// New prepares the directory and checks that it is usable. It starts no goroutine.
func New(cfg Config) (*Server, error) {
	if cfg.Admin.AccessKeyID == "" || cfg.Admin.SecretAccessKey == "" {
		return nil, errors.New("bucket: the admin account has no credentials")
	}
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
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
	s.settings = &settings{dir: filepath.Join(dir, "settings"), root: s.root, log: cfg.Logger}
	return s, nil
}

// Run serves until ctx ends, then waits a few seconds for requests in progress. It restarts a server that ends because
// of a shortage, for example of file descriptors. It changes the working directory of the process, and does not change
// it back.
func (s *Server) Run(ctx context.Context) (err error) {
	if err := s.makeRunDir(); err != nil {
		return fmt.Errorf("create directory for the S3 server's socket: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(s.runDir), os.Remove(s.runLink())) }()
	expiring, stop := context.WithCancel(ctx)
	expired := make(chan struct{})
	go func() { defer close(expired); s.expire(expiring) }()
	defer func() { stop(); <-expired }()
	policy := retry.Policy{
		First: 100 * time.Millisecond, Max: 2 * time.Second, Again: func(err error) bool { return ctx.Err() == nil && isShortage(err) },
		Failed: func(err error, wait time.Duration) {
			s.cfg.Logger.Error("S3 server stopped; restarting it", "error", err, "wait", wait)
		},
	}
	if err := policy.Do(ctx, func() error { return s.serve(ctx) }); err != nil && ctx.Err() == nil {
		return fmt.Errorf("run S3 server: %w", err)
	}
	return nil
}

// isShortage reports whether err is a shortage of the system that ends by itself. The server stops when it cannot
// accept a connection, for example because the process has no free file descriptor.
func isShortage(err error) bool {
	for _, shortage := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, shortage) {
			return true
		}
	}
	return false
}

// serve serves until ctx ends or the server fails.
func (s *Server) serve(ctx context.Context) error {
	store, err := s.backend()
	if err != nil {
		return err
	}
	return embedgw.RunVersityGW(ctx, store, &embedgw.Config{
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
}

// maxCopyBytes is the maximum size of a copied object or part (AWS: 5 GB). Left at zero, the backend refuses every copy.
const maxCopyBytes = 5 << 30

func (s *Server) backend() (*synced, error) {
	var attributes meta.MetadataStorer = meta.XattrMeta{}
	if s.sidecar != "" {
		sidecar, err := meta.NewSideCar(s.sidecar)
		if err != nil {
			return nil, fmt.Errorf("open directory of object attributes: %w", err)
		}
		attributes = sidecar
	}
	opts := posix.PosixOpts{CopyObjectThreshold: maxCopyBytes}
	opts.SetNewDirPerm(0o700)
	opts.SetNewFilePerm(0o600)
	files, err := posix.New(s.root, attributes, opts)
	if err != nil {
		return nil, fmt.Errorf("open bucket directory: %w", err)
	}
	return &synced{Posix: files, root: s.root, sidecar: s.sidecar, settings: s.settings}, nil
}

// Ready waits until the server accepts connections or ctx ends.
func (s *Server) Ready(ctx context.Context) error {
	retry := time.NewTicker(2 * time.Millisecond)
	defer retry.Stop()
	for {
		conn, err := s.dial(ctx, "", "")
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the S3 server: %w", errors.Join(ctx.Err(), err))
		case <-retry.C:
		}
	}
}

// dial connects to the server and ignores the address.
func (s *Server) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", s.socket)
}

// chooseSidecar returns the folder for the attributes of objects, or "" to store them in the files themselves. It
// keeps an earlier choice.
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

// runDirName is the prefix of the names of folders for the socket.
const runDirName = "stagelog-"

// privateDir returns a name for the socket's folder in the first of the places that exists and has a short enough
// path; that of the data directory may be too long. Run creates the folder.
func privateDir(places ...string) (string, error) {
	for _, place := range places {
		dir := filepath.Join(place, runDirName+rand.Text()[:12])
		if info, err := os.Stat(place); err == nil && info.IsDir() && len(filepath.Join(dir, socketName)) <= maxSocketPath {
			return dir, nil
		}
	}
	return "", fmt.Errorf("find a directory for the S3 server's socket in %v: none is usable; set TMPDIR to a short path", places)
}

// makeRunDir creates the folder for the socket, and removes that of a killed run, to which a link in the data
// directory points.
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
