package e2e

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/stagelog/stagelog/internal/testenv"
)

// kills returns the number of kills; STAGELOG_E2E_KILLS=200 is the long run.
func kills(t *testing.T) int {
	t.Helper()
	text := os.Getenv("STAGELOG_E2E_KILLS")
	if text == "" {
		return 15
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("STAGELOG_E2E_KILLS=%s: expected a number of kills", text)
	}
	return n
}

// faultSteps lists the steps at which a binary built with the tag faults can be killed.
var faultSteps = []string{"received", "appended", "collected", "decided", "put-one", "put-all", "committed", "trimmed"}

// buildFaulty builds the binary that can be killed at a step.
func buildFaulty(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "stagelog-faulty")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-tags", "faults", "-o", path, "../cmd/stagelog").CombinedOutput(); err != nil {
		t.Fatalf("build with fault points: %v\n%s", err, out)
	}
	return path
}

// Under load from several clients the process is killed repeatedly, at random times and at each named
// step of a flush. In the end every acknowledged record is in exactly one data or error object, and
// no other record is.
func TestRepeatedKillsExactlyOnce(t *testing.T) {
	testenv.Need(t, testenv.Kill)
	binary, dir := buildFaulty(t), t.TempDir()
	write(t, dir, "stagelog.yaml", handYAML+"deliver: {interval: 1s, size: 3MiB}\n")
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	l := &load{answered: map[string]bool{}, sent: map[string]bool{}}
	killed, torn := map[string]int{}, 0
	for round := range kills(t) {
		// Every second kill is at a step, the others at a random time in the first two seconds.
		step, env := "", cleanEnv()
		if round%2 == 0 {
			step = faultSteps[round/2%len(faultSteps)]
			env = cleanEnv(fmt.Sprintf("STAGELOG_FAULT=%s:%d", step, 1+random.IntN(3)))
		}
		// The number of shards changes: removed shards are still delivered.
		u := launch(t, binary, dir, env, "--shards", strconv.Itoa(1+round/3%3))
		if u == nil {
			killed["during startup"]++
			continue
		}
		moment := time.Duration(random.IntN(2000)) * time.Millisecond
		if step != "" {
			moment = 20 * time.Second // the step is reached before
		}
		kill := time.AfterFunc(moment, func() { _ = u.cmd.Process.Kill() })
		// Flushes are by age in some rounds and by size in others.
		l.padding = strings.Repeat("x", 400*random.IntN(2))
		l.run(t, u, round)
		if kill.Stop() && step != "" {
			killed["at "+step]++
		} else if step != "" {
			t.Errorf("round %d: the step %s was not reached", round, step)
		} else {
			killed["at random"]++
		}
		if err := u.stop(syscall.SIGKILL); err == nil {
			t.Fatalf("round %d: the process exited without an error", round)
		}
		if round%5 == 4 {
			torn += tear(t, filepath.Join(dir, ".stagelog", "buffer"), random)
		}
	}
	// Start once to deliver all records, including those delivered by the stop, and once more to read.
	u := startUp(t, dir, cleanEnv())
	if err := u.stop(syscall.SIGTERM); err != nil {
		t.Fatalf("the last stop: %v", err)
	}
	u = startUp(t, dir, cleanEnv())
	_, store := clients(t, u)
	found, objects := everyID(t, store, "hand-api-logs")
	lost, twice, strange := 0, 0, 0
	for id := range l.answered {
		if found[id] == 0 {
			lost++
			t.Errorf("record %s was acknowledged and is lost", id)
		}
		if lost > 10 {
			break
		}
	}
	for id, n := range found {
		if n > 1 {
			twice++
		}
		if !l.sent[id] {
			strange++
		}
	}
	if twice > 0 || strange > 0 {
		t.Errorf("%d records are duplicated, %d were never sent", twice, strange)
	}
	t.Logf("killed %v, %d blocks torn; %d records sent, %d acknowledged, %d found in %d objects: %d lost, %d duplicated, %d never sent",
		killed, torn, len(l.sent), len(l.answered), len(found), objects, lost, twice, strange)
}

// tear appends a partial message to the last block of each log and store, like a machine that stops
// during a write.
func tear(t *testing.T, dir string, random *rand.Rand) (torn int) {
	t.Helper()
	newest := map[string]string{}
	for _, path := range blocks(t, dir) {
		folder, number := filepath.Split(strings.TrimSuffix(path, ".blk"))
		old := strings.TrimSuffix(filepath.Base(newest[folder]), ".blk")
		if len(number) > len(old) || len(number) == len(old) && number > old {
			newest[folder] = path
		}
	}
	for _, path := range newest {
		block := must(os.ReadFile(path))(t, "read block")
		if len(block) == 0 {
			continue
		}
		f := must(os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0))(t, "open block")
		_, err := f.Write(block[:1+random.IntN(min(len(block), 300))])
		if err = errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		torn++
	}
	return torn
}

// blocks lists the files in which a buffer keeps records and state.
func blocks(t *testing.T, dir string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".blk" {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil || len(paths) == 0 {
		t.Fatalf("no blocks in %s: %v", dir, err)
	}
	return paths
}

// launch starts the faulty binary. It returns nil if it was killed before it was ready.
func launch(t *testing.T, binary, dir string, env []string, args ...string) *up {
	t.Helper()
	u, err := tryUp(t, binary, dir, env, args...)
	if err != nil {
		if !u.killed() {
			t.Fatalf("%v\n%s", err, u.stderr.String())
		}
		return nil
	}
	return u
}

// load runs clients that send until the process is gone, and holds the records sent and acknowledged.
type load struct {
	mu       sync.Mutex
	sent     map[string]bool
	answered map[string]bool
	padding  string // of each record
}

const loadClients = 4

func (l *load) run(t *testing.T, u *up, round int) {
	fh, _ := clients(t, u)
	var all sync.WaitGroup
	for client := range loadClients {
		all.Go(func() {
			pace := time.NewTicker(10 * time.Millisecond)
			defer pace.Stop()
			for n := 0; ; n++ {
				if err := l.put(t, fh, fmt.Sprintf("r%d-c%d-n%d", round, client, n)); err != nil {
					return // the kill
				}
				<-pace.C
			}
		})
	}
	all.Wait()
}

// put sends a batch of which every tenth record cannot be enriched.
func (l *load) put(t *testing.T, fh *firehose.Client, batch string) error {
	in := &firehose.PutRecordBatchInput{DeliveryStreamName: aws.String("amazon-apigateway-hand")}
	ids := make([]string, 50)
	for i := range ids {
		ids[i] = fmt.Sprintf("%s-%d", batch, i)
		data := fmt.Appendf(nil, `{"request_id":%q,"key_id":"-","api_id":"shop","stage":"prod","padding":%q}`, ids[i], l.padding)
		if i%10 == 0 {
			data = []byte("bad " + ids[i])
		}
		in.Records = append(in.Records, types.Record{Data: data})
	}
	l.mu.Lock()
	for _, id := range ids {
		l.sent[id] = true
	}
	l.mu.Unlock()
	out, err := fh.PutRecordBatch(t.Context(), in)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, r := range out.RequestResponses {
		if r.ErrorCode == nil {
			l.answered[ids[i]] = true
		}
	}
	return nil
}

// everyID counts the ids in all data and error objects of a bucket.
func everyID(t *testing.T, store *s3.Client, bucket string) (found map[string]int, objects int) {
	t.Helper()
	found = map[string]int{}
	c := awsClients{t: t, s3: store}
	for _, key := range c.keys(bucket, "") {
		objects++
		for raw := range strings.Lines(string(c.object(bucket, key))) {
			var l struct {
				ID  string `json:"request_id"`
				Raw string `json:"rawData"`
			}
			if err := json.Unmarshal([]byte(raw), &l); err != nil {
				t.Fatalf("%s holds a line that is not JSON (%v): %q", key, err, raw)
			}
			if l.Raw != "" {
				data, err := base64.StdEncoding.DecodeString(l.Raw)
				if err != nil {
					t.Fatalf("%s: rawData: %v", key, err)
				}
				l.ID = strings.TrimPrefix(string(data), "bad ")
			}
			found[l.ID]++
		}
	}
	return found, objects
}
