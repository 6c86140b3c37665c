package cli

import (
	"io"
	"os"
)

// paint colours text for a terminal. No meaning depends on colour alone.
type paint struct{ on bool }

const (
	green  = "32"
	yellow = "33"
	red    = "31"
	faint  = "2"
	bold   = "1"
)

func (p paint) it(colour, text string) string {
	if !p.on || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// paintFor returns colours if w is a terminal and the environment does not disable them (no-color.org).
func (e *env) paintFor(w io.Writer) paint {
	return paint{on: isTerminal(w) && e.getenv("NO_COLOR") == "" && e.getenv("TERM") != "dumb"}
}

// isTerminal reports whether an input or output is a character device other than the null device.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}
