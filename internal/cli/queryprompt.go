package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"golang.org/x/term"
)

// prompt calls run with the statement of each line, from a terminal with history and completion, or from stdin.
func prompt(ctx context.Context, e *env, at *logs, run func(context.Context, string) error) error {
	in := bufio.NewReader(e.stdin)
	read, end := func() (string, error) { return in.ReadString('\n') }, func() {}
	if stdin, ok := e.stdin.(*os.File); ok && term.IsTerminal(int(stdin.Fd())) {
		var err error
		if read, end, err = terminal(e, stdin, at); err != nil {
			return err
		}
	}
	defer end()
	for {
		statement, err := read()
		statement = strings.TrimSuffix(strings.TrimSpace(statement), ";")
		switch {
		case errors.Is(err, io.EOF) && statement == "", ctx.Err() != nil:
			return nil
		case err != nil && !errors.Is(err, io.EOF):
			return err
		case statement == "":
			continue
		case statement == "exit" || statement == "quit" || statement == `\q`:
			return nil
		}
		// Ctrl-C cancels the statement but not the prompt.
		running, stop := signal.NotifyContext(ctx, os.Interrupt)
		if err := run(running, statement); err != nil {
			fmt.Fprintln(e.stderr, printable(err))
		}
		stop()
	}
}

// terminal returns a function that reads lines with history and completion. The terminal is in raw
// mode only while it reads.
func terminal(e *env, stdin *os.File, at *logs) (read func() (string, error), end func(), err error) {
	fmt.Fprintln(e.stderr, "Enter SQL over the view requests. Tab completes, exit quits.")
	t := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{stdin, e.stderr}, "sql> ")
	t.AutoCompleteCallback = complete
	home, _, err := at.home()
	if err != nil {
		return nil, nil, fmt.Errorf("%w; give the statement as an argument", err)
	}
	historyFile := filepath.Join(home, "query_history")
	past, err := os.ReadFile(historyFile)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, nil, fmt.Errorf("read the query history: %w", err)
	}
	for line := range strings.Lines(string(past)) {
		t.History.Add(strings.TrimSpace(line))
	}
	if err := os.MkdirAll(filepath.Dir(historyFile), 0o700); err != nil {
		return nil, nil, err
	}
	history, err := os.OpenFile(historyFile, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, err
	}
	return func() (string, error) {
		before, err := term.MakeRaw(int(stdin.Fd()))
		if err != nil {
			return "", err
		}
		if columns, rows, err := term.GetSize(int(stdin.Fd())); err == nil {
			_ = t.SetSize(columns, rows)
		}
		line, err := t.ReadLine()
		if restoreErr := term.Restore(int(stdin.Fd()), before); err == nil {
			err = restoreErr
		}
		if strings.TrimSpace(line) != "" {
			fmt.Fprintln(history, line)
		}
		return line, err
	}, func() { _ = history.Close() }, nil
}

// complete extends the word before the cursor to the longest unambiguous completion on Tab.
func complete(line string, pos int, key rune) (string, int, bool) {
	if key != '\t' {
		return "", 0, false
	}
	begin := strings.LastIndexAny(line[:pos], " ,(=<>") + 1
	word := line[begin:pos]
	if word == "" {
		return line, pos, true
	}
	found := ""
	for _, w := range words {
		if len(w) < len(word) || !strings.EqualFold(w[:len(word)], word) {
			continue
		}
		if found == "" {
			found = w
			continue
		}
		n := 0
		for n < min(len(found), len(w)) && found[n] == w[n] {
			n++
		}
		found = found[:n]
	}
	if len(found) <= len(word) {
		return line, pos, true
	}
	return line[:begin] + found + line[pos:], begin + len(found), true
}
