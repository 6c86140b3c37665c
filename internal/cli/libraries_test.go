package cli

import (
	"bytes"
	stdlog "log"
	"log/slog"
	"os"
	"strings"
	"testing"

	fiberlog "github.com/gofiber/fiber/v3/log"
	"github.com/versity/versitygw/debuglogger"
)

func TestOutputOfLibrariesIsLogged(t *testing.T) {
	stderr, flags := os.Stderr, stdlog.Flags()
	defer func() {
		os.Stderr = stderr
		stdlog.SetOutput(stderr)
		stdlog.SetFlags(flags)
		fiberlog.SetOutput(stderr)
	}()
	var out bytes.Buffer
	end, err := (&env{stderr: os.Stderr}).logLibraries(slog.New(slog.NewTextHandler(&out, nil)))
	if err != nil {
		t.Fatal(err)
	}
	debuglogger.InternalError(os.ErrPermission)
	stdlog.Print("http: superfluous WriteHeader\nsecond line")
	fiberlog.Error("failed to shut down")
	os.Stderr.WriteString(strings.Repeat("x", 10_000)) //nolint:errcheck // to a pipe
	end()
	for _, want := range []string{
		`level=ERROR msg="[INTERNAL ERROR]: permission denied" component=library`, `level=WARN msg="http: superfluous WriteHeader" component=library`,
		`msg="second line"`, "failed to shut down", "xxx",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in the log:\n%s", want, out.String())
		}
	}
	for line := range strings.Lines(out.String()) {
		if !strings.HasPrefix(line, "time=") {
			t.Errorf("line without the log's shape: %q", line)
		}
	}
}

func TestLibrariesAreLeftAloneInOtherProcesses(t *testing.T) {
	stderr := os.Stderr
	end, err := (&env{stderr: &bytes.Buffer{}}).logLibraries(slog.New(slog.DiscardHandler))
	if err != nil || os.Stderr != stderr {
		t.Errorf("os.Stderr was replaced (%v)", err)
	}
	end()
}
