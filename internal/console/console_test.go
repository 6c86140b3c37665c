package console

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestEmptyLakeShowsFillCommand(t *testing.T) {
	doc := pageAt(t, New(config(newLake(t))), "/")
	if got := text(section(t, doc, "No requests found")); !strings.Contains(got, "stagelog up") {
		t.Errorf("GET / over an empty lake: got %q, want the command that fills it", got)
	}
}

// A page that was opened before the first import shows the first requests soon after it.
func TestFirstRequestsAppearAtOnce(t *testing.T) {
	now := testNow
	l := newLake(t)
	cfg := config(l)
	cfg.Now = func() time.Time { return now }
	c := New(cfg)
	if got := text(section(t, pageAt(t, c, "/customers"), "No requests found")); got == "" {
		t.Fatal("GET /customers over an empty lake: no message")
	}
	if _, err := l.DB().Exec(`INSERT INTO request_rows (object, line, duplicate, time, request_id, key_id, customer) VALUES (1, 1, false, ?::TIMESTAMP, 'r1', 'k1', 'Acme')`, now.Add(-time.Minute)); err != nil {
		t.Fatal(err)
	}
	now = now.Add(keepReach)
	if w := get(c, "/customers"); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "Acme") {
		t.Errorf("%v later the page lacks the customer: %d\n%s", keepReach, w.Code, w.Body)
	}
}
