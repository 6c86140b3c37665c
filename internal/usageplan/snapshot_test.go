package usageplan_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/stagelog/stagelog/internal/record"
	"github.com/stagelog/stagelog/internal/usageplan"
)

var day0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func lookup(s *usageplan.Snapshot, key, api, stage string) string {
	plan, id, customer, known := s.Lookup([]byte(key), []byte(api), []byte(stage))
	return fmt.Sprintf("%s %s %s %v", plan, id, customer, known)
}

func TestSnapshotLookup(t *testing.T) {
	stages := func(names ...string) (all []record.StageRef) {
		for i := 0; i < len(names); i += 2 {
			all = append(all, record.StageRef{API: names[i], Stage: names[i+1]})
		}
		return all
	}
	s := usageplan.NewSnapshot(day0, usageplan.Listing{
		Plans: []usageplan.Plan{
			{ID: "p1", Name: "Gold", Stages: stages("shop", "prod", "shop", "beta", "bank", "prod")},
			{ID: "p2", Name: "Gold", Stages: stages("shop", "dev")},
			{ID: "p3", Name: "Bare"},
		},
		Keys: []usageplan.Key{
			{ID: "one", Name: "One", Plans: []string{"p1"}},
			{ID: "two", Name: "Two", Plans: []string{"p1"}},
			{ID: "two", Name: "Two", Plans: []string{"p2"}}, // listed once for each plan
			{ID: "none", Name: "None"},
			{ID: "nameless", Plans: []string{"p3"}},
		},
	}, nil)
	tests := []struct{ key, api, stage, want string }{
		{"one", "shop", "prod", "Gold p1 One true"},
		{"one", "shop", "beta", "Gold p1 One true"},
		{"one", "bank", "prod", "Gold p1 One true"},
		{"one", "bank", "dev", "  One true"}, // its only plan does not cover the stage
		{"one", "", "", "Gold p1 One true"},
		{"one", "bank", "", "Gold p1 One true"},
		{"one", "", "beta", "Gold p1 One true"},
		{"one", "", "dev", "  One true"},
		{"two", "shop", "prod", "Gold p1 Two true"},
		{"two", "shop", "dev", "Gold p2 Two true"},
		{"two", "bank", "dev", "  Two true"},
		{"two", "", "", "  Two true"},
		{"two", "shop", "", "  Two true"},
		{"two", "bank", "", "Gold p1 Two true"},
		{"two", "", "dev", "Gold p2 Two true"},
		{"none", "shop", "prod", "  None true"},
		{"nameless", "shop", "prod", "  nameless true"},
		{"nameless", "", "", "Bare p3 nameless true"},
		{"missing", "shop", "prod", "   false"},
		{"", "", "", "   false"},
	}
	decoded, err := usageplan.Decode(s.Encode())
	if err != nil {
		t.Fatalf("Decode: %v", err)
	}
	for _, tt := range tests {
		for name, s := range map[string]*usageplan.Snapshot{"built": s, "decoded": decoded} {
			if got := lookup(s, tt.key, tt.api, tt.stage); got != tt.want {
				t.Errorf("%s: Lookup(%s, %s, %s) = %q, want %q", name, tt.key, tt.api, tt.stage, got, tt.want)
			}
		}
	}
	if !decoded.At().Equal(day0) {
		t.Errorf("decoded At() = %v, want %v", decoded.At(), day0)
	}
}

func TestPlanWithManyStages(t *testing.T) {
	for _, n := range []int{1, 8, 9, 10, 100} {
		var stages []record.StageRef
		for i := range n {
			stages = append(stages, record.StageRef{API: fmt.Sprint("api", i%7), Stage: fmt.Sprint("s", i*2)})
		}
		s := usageplan.NewSnapshot(day0, usageplan.Listing{
			Plans: []usageplan.Plan{{ID: "p1", Name: "Gold", Stages: stages}, {ID: "p2", Name: "Silver"}},
			Keys:  []usageplan.Key{{ID: "k", Name: "Acme", Plans: []string{"p1", "p2"}}},
		}, nil)
		for i := range n {
			if got := lookup(s, "k", fmt.Sprint("api", i%7), fmt.Sprint("s", i*2)); got != "Gold p1 Acme true" {
				t.Errorf("stage %d of %d: %s", i, n, got)
			}
			if got := lookup(s, "k", fmt.Sprint("api", i%7), fmt.Sprint("s", i*2+1)); got != "  Acme true" {
				t.Errorf("stage outside of the plan's %d: %s", n, got)
			}
		}
	}
}

func TestDeletedKeysAreKeptForMonths(t *testing.T) {
	s := usageplan.NewSnapshot(day0, usageplan.Listing{
		Plans: []usageplan.Plan{{ID: "p1", Name: "Gold"}},
		Keys:  []usageplan.Key{{ID: "k", Name: "Acme", Plans: []string{"p1"}}},
	}, nil)
	gone := usageplan.NewSnapshot(day0.AddDate(0, 0, 1), usageplan.Listing{}, s)
	for days, want := range map[int]string{1: "Gold p1 Acme true", 90: "Gold p1 Acme true", 92: "   false"} {
		at := day0.AddDate(0, 0, days)
		if got := lookup(usageplan.NewSnapshot(at, usageplan.Listing{}, gone), "k", "", ""); got != want {
			t.Errorf("after %d days: %q, want %q", days, got, want)
		}
	}
	back := usageplan.NewSnapshot(day0.AddDate(0, 0, 2), usageplan.Listing{
		Plans: []usageplan.Plan{{ID: "p9", Name: "New"}},
		Keys:  []usageplan.Key{{ID: "k", Name: "Acme", Plans: []string{"p9"}}},
	}, gone)
	if got, want := lookup(back, "k", "", ""), "New p9 Acme true"; got != want {
		t.Errorf("recreated key: %q, want %q", got, want)
	}
}

func TestNewestDeletedKeysAreKept(t *testing.T) {
	var first, second usageplan.Listing
	for i := range 40_000 {
		first.Keys = append(first.Keys, usageplan.Key{ID: fmt.Sprint("a", i)})
		second.Keys = append(second.Keys, usageplan.Key{ID: fmt.Sprint("b", i)})
	}
	s := usageplan.NewSnapshot(day0, first, nil)
	s = usageplan.NewSnapshot(day0.AddDate(0, 0, 1), second, s)
	s = usageplan.NewSnapshot(day0.AddDate(0, 0, 2), usageplan.Listing{}, s)
	if keys, _ := s.Len(); keys != 50_000 {
		t.Errorf("%d deleted keys kept, want 50000", keys)
	}
	for i := range 40_000 {
		if got := lookup(s, fmt.Sprint("b", i), "", ""); got == "   false" {
			t.Fatalf("b%d, deleted last, was dropped before keys deleted first", i)
		}
	}
}

func TestWithDoesNotChangeOriginal(t *testing.T) {
	prod := []record.StageRef{{API: "shop", Stage: "prod"}}
	s := usageplan.NewSnapshot(day0, usageplan.Listing{
		Plans: []usageplan.Plan{{ID: "p1", Name: "Gold", Stages: prod}},
		Keys:  []usageplan.Key{{ID: "k", Name: "Acme", Plans: []string{"p1"}}},
	}, nil)
	next := s.With([]usageplan.Plan{{ID: "p1", Name: "Platinum", Stages: prod}, {ID: "p2", Name: "Silver", Stages: prod}},
		[]usageplan.Key{{ID: "new", Name: "New", Plans: []string{"p2"}}})
	for _, tt := range []struct {
		s         *usageplan.Snapshot
		key, want string
	}{
		{s, "k", "Gold p1 Acme true"}, {s, "new", "   false"},
		{next, "k", "Platinum p1 Acme true"}, {next, "new", "Silver p2 New true"},
	} {
		if got := lookup(tt.s, tt.key, "shop", "prod"); got != tt.want {
			t.Errorf("Lookup(%s) = %q, want %q", tt.key, got, tt.want)
		}
	}
	if !next.At().Equal(s.At()) {
		t.Errorf("With changed the time from %v to %v", s.At(), next.At())
	}
}

func TestDecodeRejects(t *testing.T) {
	const head, plan = "SLUP\x01\x00\x00\x00\x01", "\x01\x01p\x04Gold\x00"
	tests := []struct {
		name, body string
		ok         bool
	}{
		{"no plans and keys", head + "\x00\x00", true},
		{"a key in a plan", head + plan + "\x01\x01k\x04Acme\x00\x01\x00", true},
		{"missing plan", head + plan + "\x01\x01k\x04Acme\x00\x01\x01", false},
		{"more keys than bytes", head + plan + "\xff\xff\xff\xff\x7f", false},
		{"string beyond the end", head + "\x01\x7fp", false},
		{"unterminated number", head + "\xff", false},
		{"trailing bytes", head + "\x00\x00\x00", false},
		{"other version", "SLUP\x02\x00\x00\x00\x01\x00\x00", false},
		{"other magic", "SLUQ\x01\x00\x00\x00\x01\x00\x00", false},
		{"empty", "", false},
	}
	for _, tt := range tests {
		s, err := usageplan.Decode(usageplan.WithChecksum([]byte(tt.body + "crc!")))
		if (err == nil) != tt.ok {
			t.Errorf("%s: Decode: %v, want ok %v", tt.name, err, tt.ok)
		}
		if err == nil {
			s.Lookup([]byte("k"), nil, nil)
		}
	}
	if _, err := usageplan.Decode([]byte(head + "\x00\x00crc!")); err == nil {
		t.Error("Decode accepts a wrong checksum")
	}
}

// FuzzDecode checks that Decode never panics or allocates excessively, and that accepted data is stable.
func FuzzDecode(f *testing.F) {
	s := thousands(3)
	f.Add(s.Encode())
	f.Add([]byte("SLUP\x01"))
	f.Add(usageplan.NewSnapshot(day0, usageplan.Listing{}, s).Encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, d := range [][]byte{data, usageplan.WithChecksum(data)} {
			s, err := usageplan.Decode(d)
			if err != nil {
				continue
			}
			s.Lookup([]byte("k0000000"), []byte("api"), []byte("prod"))
			again, err := usageplan.Decode(s.Encode())
			if err != nil {
				t.Fatalf("Decode(%x) is encoded as data that Decode rejects: %v", d, err)
			}
			if a, b := len(again.Encode()), len(s.Encode()); a != b {
				t.Fatalf("Decode(%x) is encoded in %d bytes, then in %d", d, b, a)
			}
		}
	})
}

func TestEncodeIsCompact(t *testing.T) {
	data := thousands(10_000).Encode()
	if len(data) > 10_000*48 {
		t.Errorf("10,000 keys take %d bytes, want up to 48 each", len(data))
	}
	if !bytes.HasPrefix(data, []byte("SLUP")) {
		t.Error("stored format does not begin with its magic")
	}
}

// thousands returns a snapshot of n keys in twenty plans.
func thousands(n int) *usageplan.Snapshot {
	var l usageplan.Listing
	for p := range 20 {
		l.Plans = append(l.Plans, usageplan.Plan{
			ID: fmt.Sprintf("plan%02d", p), Name: fmt.Sprint("Plan ", p),
			Stages: []record.StageRef{{API: "a1b2c3d4e5", Stage: fmt.Sprint("s", p)}, {API: "shop", Stage: "prod"}},
		})
	}
	for k := range n {
		l.Keys = append(l.Keys, usageplan.Key{
			ID: keyID(k), Name: fmt.Sprintf("Customer %d Ltd", k),
			Plans: []string{fmt.Sprintf("plan%02d", k%20), fmt.Sprintf("plan%02d", (k+1)%20)},
		})
	}
	return usageplan.NewSnapshot(day0, l, nil)
}

func keyID(k int) string { return fmt.Sprintf("k%09x", k*7919) }

func BenchmarkDecode(b *testing.B) {
	data := thousands(10_000).Encode()
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := usageplan.Decode(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	s := thousands(10_000)
	var ids [][]byte
	for k := range 10_000 {
		ids = append(ids, []byte(keyID(k)))
	}
	api, stage := []byte("a1b2c3d4e5"), []byte("s3")
	d := newIndex(b, listing(func() usageplan.Listing { return usageplan.Listing{} }), withStore(&object{data: s.Encode(), rev: 1}))
	if err := d.Refresh(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Run("known", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			if _, _, _, known := d.Lookup(ids[i], api, stage); !known {
				b.Fatal("unknown key")
			}
			if i++; i == len(ids) {
				i = 0
			}
		}
	})
	b.Run("plan of many stages", func(b *testing.B) {
		plan := usageplan.Plan{ID: "p", Name: "P"}
		for i := range 1000 {
			plan.Stages = append(plan.Stages, record.StageRef{API: fmt.Sprintf("api%04d", i), Stage: "prod"})
		}
		many := usageplan.NewSnapshot(time.Now(), usageplan.Listing{Plans: []usageplan.Plan{plan}, Keys: []usageplan.Key{{ID: "k", Plans: []string{"p"}}}}, nil)
		key, api, stage := []byte("k"), []byte("api0777"), []byte("prod")
		b.ReportAllocs()
		for b.Loop() {
			if plan, _, _, _ := many.Lookup(key, api, stage); plan != "P" {
				b.Fatalf("plan %q", plan)
			}
		}
	})
	b.Run("unknown", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			d.Lookup([]byte("missing"), api, stage)
		}
	})
}
