package cli

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
)

// paint colours text for a terminal. Colour never is the only thing that says something.
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

// paintFor colours where w is a terminal and nobody asked for no colour (no-color.org).
func (e *env) paintFor(w io.Writer) paint {
	return paint{on: isTerminal(w) && e.getenv("NO_COLOR") == "" && e.getenv("TERM") != "dumb"}
}

// isTerminal says whether somebody may be looking at, or typing into, an input or output.
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

// ask puts a question that "yes" answers. Where nobody can answer it is an error that names
// the flag that answers it.
func (e *env) ask(question string) error {
	if e.json || !isTerminal(e.stdin) {
		return usageError{fmt.Errorf("nobody is here to say yes: give --yes")}
	}
	fmt.Fprintf(e.stderr, "%s Only yes goes on: ", question)
	answer, err := bufio.NewReader(e.stdin).ReadString('\n')
	if err != nil && err != io.EOF {
		return fmt.Errorf("read the answer: %w", err)
	}
	if strings.TrimSpace(answer) != "yes" {
		return fmt.Errorf("nothing was changed")
	}
	return nil
}
