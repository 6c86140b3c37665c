package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stagelog/stagelog/internal/testenv"
)

// Of three NATS servers, the one that leads the log of records gets an empty disk under load. With three replicas nothing is
// lost. With one, what was not delivered is lost and this is said, and new records are delivered.
func TestClusterReplacedDiskIsNeverSilent(t *testing.T) {
	testenv.Need(t, testenv.Cluster)
	for _, replicas := range []int{1, 3} {
		t.Run(fmt.Sprintf("replicas=%d", replicas), func(t *testing.T) { replaceDisk(t, replicas) })
	}
}

func replaceDisk(t *testing.T, replicas int) {
	const each = 30_000 // acknowledged records before and after
	storeDir := t.TempDir()
	write(t, storeDir, "stagelog.yaml", "name: store\nbucket: store-logs\n")
	store := startUp(t, storeDir, cleanEnv())
	c := startCluster(t)
	for i := range c.servers {
		c.start(i)
	}
	n := &node{dir: t.TempDir(), env: store.clientEnv("stagelog"), args: []string{
		"--nats", c.url(), "--buffer-size", "1GiB", "--nats-replicas", strconv.Itoa(replicas), "--s3-endpoint", store.Endpoints.AWS}}
	write(t, n.dir, "stagelog.yaml", "name: hand\nbucket: hand-api-logs\ndeliver: {interval: 2s, size: 64MiB}\n")
	n.start(t)
	_, s3 := clients(t, store)
	bucket := awsClients{t: t, s3: s3}
	loads := [2]*load{{answered: map[string]bool{}, sent: map[string]bool{}}, {answered: map[string]bool{}, sent: map[string]bool{}}}
	var phase atomic.Int32 // 0 before the server's end, 1 after
	stop := make(chan struct{})
	var senders sync.WaitGroup
	for i := range 4 {
		senders.Go(func() {
			pace := time.NewTicker(20 * time.Millisecond)
			defer pace.Stop()
			for k := 0; ; k++ {
				select {
				case <-stop:
					return
				case <-pace.C:
				}
				now := phase.Load()
				_ = loads[now].put(t, n.client(), fmt.Sprintf("p%d-c%d-n%d", now, i, k)) // records without a response may or may not be delivered
			}
		})
	}
	eventually(t, "records to be accepted and delivered", func() bool {
		return loads[0].count() >= each && len(bucket.keys("hand-api-logs", "")) > 1
	})
	victim := c.leader("FRAMES_amazon-apigateway-hand_0")
	c.kill(victim)
	if err := os.RemoveAll(filepath.Join(c.dir, strconv.Itoa(victim))); err != nil {
		t.Fatal(err)
	}
	phase.Store(1)
	c.start(victim)
	began := time.Now()
	eventually(t, "records to be accepted again", func() bool { return loads[1].count() >= each })
	t.Logf("server %d got an empty disk; %d more records were accepted within %v", victim, each, time.Since(began).Round(time.Second))
	close(stop)
	senders.Wait()
	var found map[string]int
	eventually(t, "new records to be delivered", func() bool {
		found, _ = everyID(t, s3, "hand-api-logs")
		return loads[1].lost(found) == 0
	})
	_, ready := get(t, n.up.Endpoints.Console+"/readyz")
	if err := n.up.stop(syscall.SIGTERM); err != nil {
		t.Errorf("stop: %v", err)
	}
	found, _ = everyID(t, s3, "hand-api-logs")
	lost, twice := loads[0].lost(found), 0
	for _, times := range found {
		if times > 1 {
			twice++
		}
	}
	t.Logf("with %d replicas, %d records acknowledged before and %d after; %d found, %d lost, %d twice; /readyz says %s",
		replicas, loads[0].count(), loads[1].count(), len(found), lost, twice, ready)
	for line := range strings.Lines(n.up.stderr.String()) {
		if strings.Contains(line, "ERROR") {
			t.Log(line)
		}
	}
	switch {
	case replicas == 3 && (lost+twice > 0 || ready != "ok\n"):
		t.Error("a server's disk was replaced although there are three replicas: want no loss and no fault")
	case lost > 0 && !strings.Contains(ready, "the log was replaced"):
		t.Error("a loss is not said")
	case twice > 0 && !strings.Contains(ready, "twice"):
		t.Error("records are in the bucket twice, and this is not said")
	}
}

// count returns the number of acknowledged records.
func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.answered)
}

// lost returns how many acknowledged records were not found.
func (l *load) lost(found map[string]int) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range l.answered {
		if found[id] == 0 {
			n++
		}
	}
	return n
}

// leader returns the number of the server that leads a stream.
func (c *cluster) leader(stream string) int {
	c.t.Helper()
	nc := must(nats.Connect(c.url()))(c.t, "connect to NATS")
	defer nc.Close()
	js := must(jetstream.New(nc))(c.t, "open JetStream")
	s := must(js.Stream(c.t.Context(), stream))(c.t, "find the stream")
	return must(strconv.Atoi(strings.TrimPrefix(s.CachedInfo().Cluster.Leader, "n")))(c.t, "the leader's name")
}
