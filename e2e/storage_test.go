package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stagelog/stagelog/internal/testenv"
)

// Files of the buffer are damaged after a kill under load. The next start delivers every frame that is whole, and all new
// records; a record that is lost, or in the bucket twice, is reported in the log and by /readyz.
func TestDamagedStorageIsReported(t *testing.T) {
	testenv.Need(t, testenv.Kill)
	t.Parallel()
	remove := func(t *testing.T, paths ...string) {
		for _, path := range paths {
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
		}
	}
	// change replaces the contents of the largest block of a log.
	change := func(t *testing.T, log string, to func([]byte) []byte) {
		path := largestBlock(t, log)
		block := must(os.ReadFile(path))(t, "read block")
		if err := os.WriteFile(path, to(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	flip := func(at int) func([]byte) []byte {
		return func(block []byte) []byte { block[at%len(block)] ^= 1; return block }
	}
	for name, damage := range map[string]func(t *testing.T, buffer, log string){
		"log removed":      func(t *testing.T, _, log string) { remove(t, log) },
		"messages removed": func(t *testing.T, _, log string) { remove(t, filepath.Join(log, "msgs")) },
		"first byte flipped and index removed": func(t *testing.T, _, log string) {
			change(t, log, flip(30))
			remove(t, filepath.Join(log, "msgs", "index.db"))
		},
		"block flipped":   func(t *testing.T, _, log string) { change(t, log, flip(500_000)) },
		"block truncated": func(t *testing.T, _, log string) { change(t, log, func(b []byte) []byte { return b[:len(b)/2] }) },
		"block removed":   func(t *testing.T, _, log string) { remove(t, largestBlock(t, log)) },
		"meta.inf damaged": func(t *testing.T, _, log string) {
			if err := os.WriteFile(filepath.Join(log, "meta.inf"), []byte("{"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"state lost": func(t *testing.T, buffer, log string) {
			remove(t, filepath.Join(filepath.Dir(log), "KV_deliver"), filepath.Join(buffer, "acked", "KV_deliver"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, dir, "stagelog.yaml", handYAML+"deliver: {interval: 1s, size: 1MiB}\n")
			u := startUp(t, dir, cleanEnv())
			o := &outcomes{answer: map[string]string{}}
			o.run(t, u, "first", 50)
			if err := u.stop(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			// These records are only in the buffer when the process is killed.
			write(t, dir, "stagelog.yaml", handYAML+"deliver: {interval: 900s, size: 128MiB}\n")
			u = startUp(t, dir, cleanEnv())
			o.run(t, u, "second", 60)
			if err := u.stop(syscall.SIGKILL); err == nil {
				t.Fatal("stagelog up survived the kill")
			}
			buffer := filepath.Join(dir, ".stagelog", "buffer")
			damage(t, buffer, filepath.Join(buffer, "jetstream", "$G", "streams", "FRAMES_amazon-apigateway-hand_0"))

			write(t, dir, "stagelog.yaml", handYAML+"deliver: {interval: 1s, size: 1MiB}\n")
			u = startUp(t, dir, cleanEnv())
			o.run(t, u, "third", 20)
			_, store := clients(t, u)
			var found map[string]int
			eventually(t, "all new records in the bucket", func() bool {
				found, _ = everyID(t, store, "hand-api-logs")
				for id, answer := range o.answer {
					if strings.HasPrefix(id, "third") && answer == acknowledged && found[id] == 0 {
						return false
					}
				}
				return true
			})
			lost, twice := 0, 0
			for id, answer := range o.answer {
				if answer == acknowledged && found[id] == 0 {
					lost++
				}
				if found[id] > 1 {
					twice++
				}
			}
			_, problems := get(t, u.Endpoints.Console+"/readyz")
			said := metric(t, u, "stagelog_delivery_fault_records_total")
			t.Logf("%s: %d acknowledged, %d found, %d lost, %d twice, %d said; %q", name, o.count(acknowledged), len(found), lost, twice, said, problems)
			reported := strings.Contains(u.stderr.String(), "level=ERROR") && strings.Contains(problems, "storage:")
			if lost+twice > said || lost+twice > 0 && !reported {
				t.Errorf("%d records are lost and %d twice, and %d are reported", lost, twice, said)
			}
		})
	}
}

// largestBlock returns the path of a log's largest block.
func largestBlock(t *testing.T, log string) (largest string) {
	t.Helper()
	most := int64(-1)
	for _, path := range blocks(t, log) {
		if size := must(os.Stat(path))(t, "stat block").Size(); size > most {
			largest, most = path, size
		}
	}
	return largest
}
