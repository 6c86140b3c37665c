package console

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestAnEmptyLakeSaysHowToFillIt(t *testing.T) {
	doc := pageAt(t, New(config(newLake(t))), "/")
	if got := text(section(t, doc, "Nothing here")); !strings.Contains(got, "stagelog up") {
		t.Errorf("GET / over an empty lake: got %q, want the command that fills it", got)
	}
}

// A page that was opened before the first import shows the first requests a moment after it.
func TestTheFirstRequestsAreSeenAtOnce(t *testing.T) {
	now := testNow
	db := newLake(t)
	cfg := config(db)
	cfg.Now = func() time.Time { return now }
	c := New(cfg)
	if got := text(section(t, pageAt(t, c, "/customers"), "Nothing here")); got == "" {
		t.Fatal("an empty lake has customers")
	}
	if _, err := db.Exec(`INSERT INTO request_rows (object, line, duplicate, time, request_id, key_id, customer) VALUES (1, 1, false, ?::TIMESTAMP, 'r1', 'k1', 'Acme')`, now.Add(-time.Minute)); err != nil {
		t.Fatal(err)
	}
	now = now.Add(keepReach)
	if w := get(c, "/customers"); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "Acme") {
		t.Errorf("%v later the page does not know the customer: %d\n%s", keepReach, w.Code, w.Body)
	}
}
