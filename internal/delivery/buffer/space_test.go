package buffer

import (
	"errors"
	"strings"
	"testing"

	"github.com/stagelog/stagelog/internal/record"
)

// openOne opens a new buffer with one log. The test closes it.
func openOne(t *testing.T) (*Buffer, *Log) {
	t.Helper()
	b, err := Open(t.Context(), Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	l, err := b.Log(t.Context(), "s", 0)
	if err != nil {
		t.Fatal(err)
	}
	return b, l
}

func TestAppendReservesDiskSpace(t *testing.T) {
	b, l := openOne(t)
	s, err := b.Store(t.Context(), "delivery")
	if err != nil {
		t.Fatal(err)
	}
	free := int64(minFreeBytes)
	b.dir.free = func() (int64, error) { return free, nil }
	if _, err := l.Append(t.Context(), []byte("x")); !errors.Is(err, record.ErrFull) || !strings.Contains(err.Error(), "free up disk space") {
		t.Errorf("Append on a nearly full disk = %v, want ErrFull and advice", err)
	}
	if _, err := s.Set(t.Context(), "k", []byte("v")); err != nil {
		t.Errorf("Set on a nearly full disk = %v, want nil", err)
	}
	free++
	if seq, err := l.Append(t.Context(), []byte("x")); err != nil || seq != 1 {
		t.Errorf("Append with enough space = %d, %v, want 1", seq, err)
	}
}

func TestEscapeRoundTrip(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{"", "a", "A", "_", "__", "_2E", ".", "a.b", "a_b", "*", ">", " ", "/", "\\", "ä", "\x00", "a-b", "$G"} {
		e := escape(name)
		if strings.ContainsAny(e, " .*>/\\$\x00") {
			t.Errorf("escape(%q) = %q contains a character that JetStream rejects", name, e)
		}
		if other, ok := seen[e]; ok {
			t.Errorf("escape(%q) = escape(%q) = %q", name, other, e)
		}
		seen[e] = name
		if back, ok := tokenKey(keyToken(name)); !ok || back != name {
			t.Errorf("tokenKey(keyToken(%q)) = %q, %v", name, back, ok)
		}
	}
	for _, token := range []string{"", "x", "k_", "k_2", "k_2e", "k_ZZ", "ka.b", "k "} {
		if key, ok := tokenKey(token); ok {
			t.Errorf("tokenKey(%q) = %q, want none", token, key)
		}
	}
}
