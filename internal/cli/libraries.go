package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"os"
	"regexp"
	"strings"

	fiberlog "github.com/gofiber/fiber/v3/log"
)

// logLibraries sends to log what libraries print to os.Stderr, and what they log with package log or fiber's logger, so
// that stderr has lines of one shape only. It must be called before a library runs, because it replaces os.Stderr; a
// process whose output goes elsewhere is left alone. end returns once everything printed so far is logged.
func (e *env) logLibraries(log *slog.Logger) (end func(), err error) {
	if e.stderr != io.Writer(os.Stderr) {
		return func() {}, nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("redirect the output of libraries: %w", err)
	}
	os.Stderr = w // the Go runtime still prints crashes to file descriptor 2
	stdlog.SetOutput(w)
	stdlog.SetFlags(0)
	fiberlog.SetOutput(w)
	logged := make(chan struct{})
	go func() {
		defer close(logged)
		logLines(r, log.With("component", "library"))
	}()
	return func() {
		_ = w.Close() // a library that prints later gets an error, which it ignores
		<-logged
	}, nil
}

// escapes matches the escape sequences with which the S3 server colours its lines.
var escapes = regexp.MustCompile("\x1b\\[[0-9;]*m")

// logLines logs each line of r until it ends. Parts of a very long line are logged as lines.
func logLines(r io.Reader, log *slog.Logger) {
	lines := bufio.NewReader(r)
	for {
		line, _, err := lines.ReadLine()
		if err != nil {
			return
		}
		text := strings.TrimSpace(escapes.ReplaceAllString(string(line), ""))
		if text == "" {
			continue
		}
		level := slog.LevelWarn
		if strings.HasPrefix(text, "[PANIC]") || strings.HasPrefix(text, "[INTERNAL ERROR]") {
			level = slog.LevelError
		}
		log.Log(context.Background(), level, text)
	}
}
