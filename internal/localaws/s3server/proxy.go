package s3server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"time"

	"github.com/stagelog/stagelog/internal/delivery/bucket"
	"github.com/stagelog/stagelog/internal/localaws/wire"
)

// Handler returns a handler that forwards each request to the S3 server unchanged, because signatures cover the
// host, the raw path, the query and the headers.
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
			r.Out.URL.RawQuery = r.In.URL.RawQuery // as signed, even if it cannot be parsed
			r.Out.Host = r.In.Host
			for name, values := range r.In.Header {
				if _, kept := r.Out.Header[name]; !kept && !perConnection(name) {
					r.Out.Header[name] = values
				}
			}
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			switch {
			case errors.Is(err, wire.ErrSlowBody) || errors.Is(context.Cause(r.Context()), wire.ErrSlowBody):
				wire.WriteError(w, wire.RESTXML, &wire.Error{Code: "RequestTimeout", Message: "The request's body arrives too slowly."})
			case errors.Is(err, context.Canceled): // the client has disconnected
			default:
				s.cfg.Logger.Warn("forwarding request to the S3 server failed", "method", r.Method, "error", err)
				wire.WriteError(w, wire.RESTXML, &wire.Error{Code: "ServiceUnavailable", Message: "Please reduce your request rate.", Status: http.StatusServiceUnavailable})
			}
		},
	}
}

// Client returns a client of this server for one of its accounts, using the socket.
func (s *Server) Client(as Account) *bucket.Client {
	return bucket.Isolated(bucket.Config{
		Endpoint:        "http://s3",
		Region:          s.cfg.Region,
		AccessKeyID:     as.AccessKeyID,
		SecretAccessKey: as.SecretAccessKey,
		Transport:       s.transport(),
	})
}

// transport returns a transport that dials the socket, does not modify requests or responses, and ignores the
// environment.
func (s *Server) transport() *http.Transport {
	return &http.Transport{
		DialContext:           s.dial,
		DisableCompression:    true,
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       time.Minute,
		ExpectContinueTimeout: time.Second,
	}
}

// perConnection reports whether a header concerns the connection and not the request.
func perConnection(name string) bool {
	switch name {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}
