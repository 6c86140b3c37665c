package s3server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"time"

	"github.com/stagelog/stagelog/internal/delivery/bucket"
)

// Handler serves S3 by handing each request to the server as it came: signatures cover
// the host, the path as it was written, the query and the headers, so none may change.
func (s *Server) Handler() http.Handler {
	return s.settings.over(s.cfg.Admin.AccessKeyID, s.proxy())
}

func (s *Server) proxy() http.Handler {
	return &httputil.ReverseProxy{
		Transport:     s.transport(),
		FlushInterval: -1,
		ErrorLog:      slog.NewLogLogger(s.cfg.Logger.Handler(), slog.LevelWarn),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = "http", "s3"
			r.Out.URL.RawQuery = r.In.URL.RawQuery // as it was signed, even where it cannot be parsed
			r.Out.Host = r.In.Host
			for name, values := range r.In.Header {
				if _, kept := r.Out.Header[name]; !kept && !perConnection(name) {
					r.Out.Header[name] = values
				}
			}
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if errors.Is(err, context.Canceled) {
				return // the client has gone
			}
			s.cfg.Logger.Warn("hand request to the S3 server", "method", r.Method, "error", err)
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, `<?xml version="1.0" encoding="UTF-8"?>`+"\n"+
				`<Error><Code>ServiceUnavailable</Code><Message>Please reduce your request rate.</Message></Error>`)
		},
	}
}

// Client returns a client of this server for one of its accounts, over its socket.
func (s *Server) Client(as Account) *bucket.Client {
	return bucket.Isolated(bucket.Config{
		Endpoint:        "http://s3",
		Region:          s.cfg.Region,
		AccessKeyID:     as.AccessKeyID,
		SecretAccessKey: as.SecretAccessKey,
		Transport:       s.transport(),
	})
}

// transport returns a transport that dials the socket, changes nothing in requests or answers,
// and ignores the environment.
func (s *Server) transport() *http.Transport {
	return &http.Transport{
		DialContext:           s.dial,
		DisableCompression:    true,
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       time.Minute,
		ExpectContinueTimeout: time.Second,
	}
}

// perConnection says whether a header is about the connection and not the request.
func perConnection(name string) bool {
	switch name {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}
