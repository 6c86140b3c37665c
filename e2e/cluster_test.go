package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/firehose"

	"github.com/stagelog/stagelog/internal/testenv"
)

// cluster is a NATS cluster of three server processes.
type cluster struct {
	t       *testing.T
	binary  string
	dir     string
	ports   [3][2]int // for clients, for the cluster
	servers [3]*exec.Cmd
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t, binary: buildTestdata(t, "natsd"), dir: t.TempDir()}
	for i := range c.ports {
		for j := range c.ports[i] {
			ln := must(net.Listen("tcp", "127.0.0.1:0"))(t, "find a free port")
			defer ln.Close()
			c.ports[i][j] = ln.Addr().(*net.TCPAddr).Port
		}
	}
	return c
}

// start starts one server.
func (c *cluster) start(i int) {
	c.t.Helper()
	args := []string{fmt.Sprintf("n%d", i), strconv.Itoa(c.ports[i][0]), strconv.Itoa(c.ports[i][1]), filepath.Join(c.dir, strconv.Itoa(i))}
	for j := range c.ports {
		if j != i {
			args = append(args, fmt.Sprintf("nats://127.0.0.1:%d", c.ports[j][1]))
		}
	}
	cmd := exec.Command(c.binary, args...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.servers[i] = cmd
	c.t.Cleanup(func() { c.kill(i) })
}

func (c *cluster) kill(i int) {
	if cmd := c.servers[i]; cmd != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		c.servers[i] = nil
	}
}

func (c *cluster) url() string {
	var urls []string
	for _, p := range c.ports {
		urls = append(urls, fmt.Sprintf("nats://127.0.0.1:%d", p[0]))
	}
	return strings.Join(urls, ",")
}

// node is one stagelog process, which may be killed and restarted.
type node struct {
	dir  string
	args []string
	env  []string
	mu   sync.Mutex // guards the fields below
	up   *up
	door *firehose.Client // nil while it is down
}

func (n *node) start(t *testing.T) {
	t.Helper()
	var u *up
	var err error
	for try := 1; ; try++ { // while the cluster elects a leader, a start may fail
		if u, err = tryUp(t, bin.stagelog, n.dir, n.env, n.args...); err == nil {
			break
		}
		t.Logf("start failed: %v", u.stderr.String())
		if try == 10 {
			t.Fatalf("%v\n%s", err, u.stderr.String())
		}
	}
	door, _ := clients(t, u)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.up, n.door = u, door
}

func (n *node) kill(t *testing.T) {
	t.Helper()
	n.mu.Lock()
	u := n.up
	n.door = nil
	n.mu.Unlock()
	if err := u.stop(syscall.SIGKILL); err == nil {
		t.Error("a killed process exited cleanly")
	}
}

func (n *node) client() *firehose.Client {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.door
}

// Three NATS servers hold the records; two stagelog processes accept and deliver them. Each of the
// five is killed under load and restarted: delivery continues, and each acknowledged record is
// delivered exactly once.
func TestClusterKillsExactlyOnce(t *testing.T) {
	testenv.Need(t, testenv.Cluster)
	storeDir := t.TempDir()
	write(t, storeDir, "stagelog.yaml", "name: store\nbucket: store-logs\n")
	store := startUp(t, storeDir, cleanEnv())
	c := startCluster(t)
	for i := range c.servers {
		c.start(i)
	}
	var nodes [2]*node
	for i := range nodes {
		nodes[i] = &node{dir: t.TempDir(), env: store.clientEnv("stagelog"),
			args: []string{"--nats", c.url(), "--buffer-size", "1GiB", "--shards", "2", "--s3-endpoint", store.Endpoints.AWS}}
		write(t, nodes[i].dir, "stagelog.yaml", "name: hand\nbucket: hand-api-logs\ndeliver: {interval: 1s, size: 1MiB}\n")
	}
	var both sync.WaitGroup // concurrently: each finds no stream and creates it
	for _, n := range nodes {
		both.Go(func() { n.start(t) })
	}
	both.Wait()
	l := &load{answered: map[string]bool{}, sent: map[string]bool{}}
	stop, stopped := make(chan struct{}), make(chan struct{})
	var senders sync.WaitGroup
	for i := range 4 {
		senders.Go(func() {
			pace := time.NewTicker(20 * time.Millisecond)
			defer pace.Stop()
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				case <-pace.C:
				}
				if door := nodes[i%2].client(); door != nil {
					_ = l.put(t, door, fmt.Sprintf("c%d-n%d", i, n)) // records without a response may or may not be delivered
				}
			}
		})
	}
	go func() { senders.Wait(); close(stopped) }()
	_, s3 := clients(t, store)
	bucket := awsClients{t: t, s3: s3}
	for round := range 5 * max(1, kills(t)/15) {
		victim := round % 5
		before := len(bucket.keys("hand-api-logs", ""))
		killed := time.Now()
		if victim < 3 {
			c.kill(victim)
		} else {
			nodes[victim-3].kill(t)
		}
		eventually(t, "delivery to continue", func() bool { return len(bucket.keys("hand-api-logs", "")) > before+2 })
		took := time.Since(killed)
		t.Logf("round %d: without %s delivery continued after %v", round, []string{"server 0", "server 1", "server 2", "process 0", "process 1"}[victim], took.Round(100*time.Millisecond))
		if victim < 3 {
			c.start(victim)
		} else {
			nodes[victim-3].start(t)
		}
		// Wait until the cluster is complete before the next kill.
		settled := len(bucket.keys("hand-api-logs", ""))
		eventually(t, "the cluster to be complete", func() bool { return len(bucket.keys("hand-api-logs", "")) > settled+4 })
	}
	close(stop)
	<-stopped
	for _, n := range nodes {
		if err := n.up.stop(syscall.SIGTERM); err != nil {
			t.Errorf("stop: %v", err)
		}
	}
	checkOnce(t, l, store)
}
