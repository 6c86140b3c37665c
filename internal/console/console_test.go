package console

import (
	"strings"
	"testing"
)

func TestAnEmptyLakeSaysHowToFillIt(t *testing.T) {
	doc := pageAt(t, New(config(newLake(t))), "/")
	if got := text(section(t, doc, "Nothing here")); !strings.Contains(got, "stagelog up") {
		t.Errorf("GET / over an empty lake: got %q, want the command that fills it", got)
	}
}
