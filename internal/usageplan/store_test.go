package usageplan_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stagelog/stagelog/internal/usageplan"
)

// object is a SnapshotStore and an S3 server with one object.
type object struct {
	mu   sync.Mutex
	data []byte
	rev  int
	puts int
	gets int
	err  error // returned by Get and Put, if set
	path string
	race func() // called once after a Get
}

func (o *object) etag() string {
	if o.rev == 0 {
		return ""
	}
	return fmt.Sprintf("%q", fmt.Sprint("rev", o.rev))
}

func (o *object) Get(_ context.Context, known string) ([]byte, string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if race := o.race; race != nil {
		o.race = nil
		defer race()
	}
	if o.gets++; known != "" && known == o.etag() {
		return nil, known, o.err
	}
	return bytes.Clone(o.data), o.etag(), o.err
}

func (o *object) Put(_ context.Context, data []byte, ifMatch string) (string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return "", o.err
	}
	if ifMatch != o.etag() {
		return "", fmt.Errorf("put: %w", usageplan.ErrChanged)
	}
	o.data, o.rev, o.puts = bytes.Clone(data), o.rev+1, o.puts+1
	return o.etag(), nil
}

func (o *object) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	sum := sha256.Sum256(body)
	if r.Header.Get("X-Amz-Content-Sha256") != hex.EncodeToString(sum[:]) ||
		!strings.Contains(r.Header.Get("Authorization"), "/s3/aws4_request") || r.URL.EscapedPath() != o.path {
		http.Error(w, r.URL.EscapedPath(), http.StatusForbidden)
		return
	}
	switch r.Method {
	case http.MethodGet:
		known := r.Header.Get("If-None-Match")
		data, etag, _ := o.Get(r.Context(), known)
		if etag == "" {
			http.Error(w, "<Error><Code>NoSuchKey</Code></Error>", http.StatusNotFound)
			return
		}
		w.Header().Set("ETag", etag)
		if etag == known {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = w.Write(data)
	case http.MethodPut:
		if (r.Header.Get("If-Match") == "") == (r.Header.Get("If-None-Match") != "*") {
			http.Error(w, "not conditional", http.StatusBadRequest)
			return
		}
		etag, err := o.Put(r.Context(), body, r.Header.Get("If-Match"))
		if err != nil {
			http.Error(w, "<Error><Code>PreconditionFailed</Code></Error>", http.StatusPreconditionFailed)
			return
		}
		w.Header().Set("ETag", etag)
	}
}

func withStore(store usageplan.SnapshotStore) func(*usageplan.Config) {
	return func(c *usageplan.Config) { c.Store = store }
}

func refresh(t *testing.T, d *usageplan.Index) {
	t.Helper()
	if err := d.Refresh(t.Context()); err != nil {
		t.Fatalf("Refresh: %v", err)
	}
}

func TestNewProcessReadsSharedSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, store := smallGateway(), &object{}
		refresh(t, newIndex(t, newSource(t, g, nil), withStore(store)))
		if n := g.count(); n != 3 {
			t.Errorf("first process made %d calls, want 3", n)
		}
		if bytes.Contains(store.data, []byte(secret)) {
			t.Error("shared snapshot contains the value of a key")
		}
		pass(50 * time.Second)
		for range 20 {
			d := newIndex(t, newSource(t, g, nil), withStore(store))
			refresh(t, d)
			wantWho(t, d, "k2", "beta", "Silver/Both Ltd")
			wantWho(t, d, "k3", "beta", "Silver/k3")
		}
		if n := g.count(); n != 0 {
			t.Errorf("20 processes with a shared snapshot made %d calls, want 0", n)
		}
	})
}

func TestOneProcessRenewsSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, store := smallGateway(), &object{}
		var all []*usageplan.Index
		for range 20 {
			d := newIndex(t, newSource(t, g, nil), withStore(store))
			all = append(all, d)
		}
		refresh(t, all[0])
		g.count()
		pass(70 * time.Second)
		g.key("k9", "New Inc", "p1")
		g.intercept(func(http.ResponseWriter, *http.Request) bool { pause(time.Second); return true })
		var wg sync.WaitGroup
		for _, d := range all {
			wg.Go(func() { refresh(t, d) })
		}
		wg.Wait()
		if n := g.count(); n != 3 {
			t.Errorf("20 processes made %d calls to renew one snapshot, want 3", n)
		}
		pass(20 * time.Second)
		for _, d := range all {
			wantWho(t, d, "k1", "prod", "Gold/Acme Corp") // waiting processes keep the old snapshot
			refresh(t, d)
			wantWho(t, d, "k9", "prod", "Gold/New Inc")
		}
		if n := g.count(); n != 0 {
			t.Errorf("%d more calls after the renewal, want 0", n)
		}
	})
}

func TestNewProcessWaitsForFirstListing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, store := smallGateway(), &object{}
		g.intercept(func(http.ResponseWriter, *http.Request) bool { pause(5 * time.Second); return true })
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				d := newIndex(t, newSource(t, g, nil), withStore(store))
				if err := d.Refresh(ctx); err != nil {
					t.Errorf("Refresh: %v", err)
				}
				wantWho(t, d, "k1", "prod", "Gold/Acme Corp")
			})
		}
		wg.Wait()
		if n := g.count(); n != 3 {
			t.Errorf("5 processes made %d calls for the first snapshot, want 3", n)
		}

		held := &object{}
		g.intercept(func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true })
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			d, began := newIndex(t, newSource(t, g, nil), withStore(held)), time.Now()
			err := d.Refresh(ctx) // the first gets the lease but no response
			cancel()
			if took := time.Since(began); err == nil && took > 10*time.Second {
				t.Errorf("second process waited %v of its 20 s, want up to half", took)
			}
		}
	})
}

func TestLeaseLoserWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, store := smallGateway(), &object{}
		refresh(t, newIndex(t, newSource(t, g, nil), withStore(store)))
		pass(6 * time.Minute)
		g.count()
		store.race = func() { store.rev++ } // another process was faster
		d := newIndex(t, newSource(t, g, nil), withStore(store))
		refresh(t, d)
		if n := g.count(); n != 0 {
			t.Errorf("process without the lease made %d calls, want 0", n)
		}
		wantWho(t, d, "k1", "prod", "Gold/Acme Corp")
	})
}

func TestLeaseExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, store := smallGateway(), &object{}
		g.intercept(func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := newIndex(t, newSource(t, g, nil), withStore(store)).Refresh(ctx); err == nil {
			t.Fatal("Refresh succeeded without a response")
		}
		g.intercept(nil)
		d := newIndex(t, newSource(t, g, nil), withStore(store))
		refresh(t, d)
		if d.Ready() {
			t.Error("second process renews while the first holds the lease")
		}
		wantWho(t, d, "k1", "prod", "unknown")
		refresh(t, d) // single keys need no lease
		wantWho(t, d, "k1", "prod", "Gold/Acme Corp")
		pass(time.Minute)
		refresh(t, d)
		if !d.Ready() {
			t.Error("no renewal after the lease has expired")
		}
	})
}

func TestUnknownKeyBypassesSharedSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l usageplan.Listing
		d := newIndex(t, listing(func() usageplan.Listing { return l }), withStore(&object{}))
		refresh(t, d)
		l.Keys = []usageplan.Key{{ID: "k", Name: "Acme"}}
		wantWho(t, d, "k", "prod", "unknown")
		refresh(t, d)
		wantWho(t, d, "k", "prod", "/Acme")
	})
}

// A month has 43,200 minutes: two puts in each would cost $0.43, more than the rest of a small pipeline.
func TestUnchangedSnapshotIsRarelyWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, store := smallGateway(), &object{}
		d := newIndex(t, newSource(t, g, nil), withStore(store))
		for began := time.Now(); time.Since(began) < time.Hour; pass(10 * time.Second) {
			refresh(t, d)
			if age := d.Stats().Age; age > 80*time.Second {
				t.Fatalf("the snapshot is %v old after a refresh, want up to a refresh interval", age)
			}
		}
		if n := g.count() / 3; n < 50 || n > 66 {
			t.Errorf("%d listings in an hour, want about one per minute", n)
		}
		if store.puts < 12 || store.puts > 2+3600/int(usageplan.WritesEvery.Seconds()) {
			t.Errorf("%d puts in an hour, want two for the first snapshot and one every %v", store.puts, usageplan.WritesEvery)
		}
		if store.gets > 66 {
			t.Errorf("%d gets in an hour, want one per refresh", store.gets)
		}
	})
}

func TestChangeIsWrittenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, store := smallGateway(), &object{}
		keeper, other := newIndex(t, newSource(t, g, nil), withStore(store)), newIndex(t, newSource(t, g, nil), withStore(store))
		refresh(t, keeper)
		refresh(t, other)
		g.key("k9", "New Inc", "p1")
		g.deleteKey("k1")
		for range 9 {
			pass(10 * time.Second)
			refresh(t, keeper)
			refresh(t, other)
		}
		wantWho(t, other, "k9", "prod", "Gold/New Inc")
		if n := g.count(); n != 6 {
			t.Errorf("two processes made %d calls for two listings, want 6", n)
		}
		if store.puts != 3 {
			t.Errorf("%d puts, want two for the first snapshot and one for the change", store.puts)
		}
	})
}

func TestStoppedKeeperIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, store := smallGateway(), &object{}
		refresh(t, newIndex(t, newSource(t, g, nil), withStore(store))) // then Lambda stops it
		other := newIndex(t, newSource(t, g, nil), withStore(store))
		refresh(t, other)
		g.key("k9", "New Inc", "p1")
		g.key("k8", "Newer Inc", "p1")
		wantWho(t, other, "k9", "prod", "unknown")
		refresh(t, other) // a new key needs no keeper
		wantWho(t, other, "k9", "prod", "Gold/New Inc")
		for range 30 {
			pass(10 * time.Second)
			refresh(t, other)
		}
		pass(15 * time.Second)
		refresh(t, other)
		wantWho(t, other, "k8", "prod", "Gold/Newer Inc")
		if age := other.Stats().Age; age > time.Minute {
			t.Errorf("the snapshot is %v old after five minutes without a keeper, want a new one", age)
		}
	})
}

// Functions of earlier versions release the lease without a name and renew the snapshot at every interval.
func TestSnapshotWithoutKeeperIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, store := smallGateway(), &object{}
		refresh(t, newIndex(t, newSource(t, g, nil), withStore(store)))
		s, err := usageplan.Decode(store.data)
		if err != nil {
			t.Fatal(err)
		}
		store.data, store.rev = s.Encode(), store.rev+1
		g.count()
		pass(70 * time.Second)
		refresh(t, newIndex(t, newSource(t, g, nil), withStore(store)))
		if n := g.count(); n != 3 {
			t.Errorf("%d calls after a minute, want 3 for a listing", n)
		}
	})
}

func TestDeletedKeysAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, store := smallGateway(), &object{}
		refresh(t, newIndex(t, newSource(t, g, nil), withStore(store)))
		g.deleteKey("k1")
		pass(6 * time.Minute)
		refresh(t, newIndex(t, newSource(t, g, nil), withStore(store)))
		d := newIndex(t, newSource(t, g, nil), withStore(store))
		refresh(t, d)
		wantWho(t, d, "k1", "prod", "Gold/Acme Corp")
	})
}

func TestBrokenStore(t *testing.T) {
	good := func(t *testing.T) []byte {
		store := &object{}
		refresh(t, newIndex(t, newSource(t, smallGateway(), nil), withStore(store)))
		return store.data
	}
	tests := []struct {
		name     string
		store    func(data []byte) *object
		replaced bool
	}{
		{"unreachable", func([]byte) *object { return &object{err: errors.New("no route")} }, false},
		{"damaged", func(d []byte) *object { d[len(d)/2] ^= 1; return &object{data: d, rev: 1} }, true},
		{"truncated", func(d []byte) *object { return &object{data: d[:len(d)/2], rev: 1} }, true},
		{"something else", func([]byte) *object { return &object{data: []byte("<html>"), rev: 1} }, true},
		{"newer version", func(d []byte) *object { d[4]++; return &object{data: d, rev: 1} }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			store := tt.store(good(t))
			d := newIndex(t, newSource(t, smallGateway(), nil), withStore(store))
			refresh(t, d)
			wantWho(t, d, "k1", "prod", "Gold/Acme Corp")
			if replaced := store.puts > 0; replaced != tt.replaced {
				t.Errorf("stored bytes replaced: %v, want %v", replaced, tt.replaced)
			}
		})
	}
}

func TestS3Store(t *testing.T) {
	o := &object{path: "/logs/state/usage%20plans%2B%C3%BC.bin"}
	server := httptest.NewServer(o)
	defer server.Close()
	store, err := usageplan.NewS3Store(usageplan.S3Config{
		Bucket: "logs", Key: "state/usage plans+ü.bin", Endpoint: server.URL, Credentials: credentials,
	})
	if err != nil {
		t.Fatalf("NewS3Store: %v", err)
	}
	if data, etag, err := store.Get(t.Context(), ""); len(data) != 0 || etag != "" || err != nil {
		t.Errorf("Get of a missing object = %q, %q, %v, want nothing", data, etag, err)
	}
	if _, err := store.Put(t.Context(), []byte("x"), `"rev1"`); !errors.Is(err, usageplan.ErrChanged) {
		t.Errorf("Put with the ETag of a missing object: %v, want ErrChanged", err)
	}
	first, err := store.Put(t.Context(), []byte("one"), "")
	if err != nil {
		t.Fatalf("first Put: %v", err)
	}
	if _, err := store.Put(t.Context(), []byte("x"), ""); !errors.Is(err, usageplan.ErrChanged) {
		t.Errorf("second Put without an ETag: %v, want ErrChanged", err)
	}
	second, err := store.Put(t.Context(), []byte("two"), first)
	if err != nil {
		t.Fatalf("Put with the first ETag: %v", err)
	}
	if _, err := store.Put(t.Context(), []byte("x"), first); !errors.Is(err, usageplan.ErrChanged) {
		t.Errorf("Put with an old ETag: %v, want ErrChanged", err)
	}
	if data, etag, err := store.Get(t.Context(), first); string(data) != "two" || etag != second || err != nil {
		t.Errorf("Get = %q, %q, %v, want two, %q", data, etag, err, second)
	}
	if data, etag, err := store.Get(t.Context(), second); len(data) != 0 || etag != second || err != nil {
		t.Errorf("Get with the current ETag = %q, %q, %v, want no bytes and %q", data, etag, err, second)
	}
}

// Callers that may not list the bucket get 403 for a missing object.
func TestS3StoreWithoutListPermission(t *testing.T) {
	o := &object{path: "/logs/state"}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && o.etag() == "" {
			http.Error(w, "<Error><Code>AccessDenied</Code></Error>", http.StatusForbidden)
			return
		}
		o.ServeHTTP(w, r)
	}))
	defer server.Close()
	store, err := usageplan.NewS3Store(usageplan.S3Config{Bucket: "logs", Key: "state", Endpoint: server.URL, Credentials: credentials})
	if err != nil {
		t.Fatalf("NewS3Store: %v", err)
	}
	if data, etag, err := store.Get(t.Context(), ""); len(data) != 0 || etag != "" || err != nil {
		t.Errorf("Get of a missing object = %q, %q, %v, want nothing", data, etag, err)
	}
	if _, err := store.Put(t.Context(), []byte("one"), ""); err != nil {
		t.Errorf("first Put: %v", err)
	}
	if data, _, err := store.Get(t.Context(), ""); string(data) != "one" || err != nil {
		t.Errorf("Get = %q, %v, want one", data, err)
	}
}

func TestS3StoreInAWS(t *testing.T) {
	for _, tt := range []struct{ bucket, region, want string }{
		{"logs", "eu-west-1", "https://logs.s3.eu-west-1.amazonaws.com/state"},
		{"my.logs", "eu-west-1", "https://s3.eu-west-1.amazonaws.com/my.logs/state"},
		{"logs", "eusc-de-east-1", "https://logs.s3.eusc-de-east-1.amazonaws.eu/state"},
	} {
		var got string
		store, err := usageplan.NewS3Store(usageplan.S3Config{
			Bucket: tt.bucket, Key: "state", Region: tt.region, Credentials: credentials,
			HTTPClient: handlerClient(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.URL.String() })),
		})
		if err != nil {
			t.Fatalf("NewS3Store: %v", err)
		}
		if _, _, err := store.Get(t.Context(), ""); err != nil || got != tt.want {
			t.Errorf("Get in bucket %s called %s (%v), want %s", tt.bucket, got, err, tt.want)
		}
	}
}
