package cli

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
)

func TestConfirm(t *testing.T) {
	for _, tt := range []struct {
		name, answer string
		terminal     bool
		yes, json    bool
		usage        bool
		want         string // of the error; "" for none
	}{
		{"--yes", "", false, true, false, false, ""},
		{"--yes at a terminal", "no\n", true, true, false, false, ""},
		{"stdin is not a terminal", "yes\n", false, false, false, true, "stdin is not a terminal; pass --yes to confirm"},
		{"--json", "yes\n", false, false, true, true, "--json does not prompt; pass --yes to confirm"},
		{"yes", "yes\n", true, false, false, false, ""},
		{"y is not enough", "y\n", true, false, false, false, "not confirmed; nothing was changed"},
		{"end of input", "", true, false, false, false, "not confirmed; nothing was changed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			p := &prompter{out: &out, assumeYes: tt.yes, json: tt.json}
			if tt.terminal {
				p.in = bufio.NewReader(strings.NewReader(tt.answer))
			}
			err := p.confirm("Delete everything?")
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != tt.want || errors.As(err, &usageError{}) != tt.usage {
				t.Errorf("confirm = %v, want %q (usage error: %v)", err, tt.want, tt.usage)
			}
			if asked := strings.Contains(out.String(), "Delete everything?"); asked != (tt.terminal && !tt.yes) {
				t.Errorf("printed %q", out.String())
			}
		})
	}
}

func TestPrompterRequiresTerminal(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, e := range []*env{{stdin: strings.NewReader("yes\n")}, {stdin: null}} {
		if p := e.prompter(false); p.interactive() || p.confirm("Continue?") == nil {
			t.Errorf("the prompter reads from %T", e.stdin)
		}
	}
}
