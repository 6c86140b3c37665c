package buffer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stagelog/stagelog/internal/durable/atomicfile"
)

// Folders of the data directory for damaged files and for their replacements.
const (
	damagedFolder = "damaged" // <time>/<stream>, with a report in <stream>.json
	salvageFolder = "salvage"
	stagingFolder = "staging" // incomplete replacements
	readyFolder   = "ready"   // <time>/<stream>, complete replacements, and the reports about them
	reportSuffix  = ".json"
)

// Salvage describes damage to the files of one log or store, and its repair.
type Salvage struct {
	Time  time.Time `json:"time"`
	Log   string    `json:"log,omitempty"`   // stream and shard, like "orders/0"
	Store string    `json:"store,omitempty"` // name of the store, if it was one
	// Faults says what was wrong, by file.
	Faults []string `json:"faults"`
	// Restored is the number of frames or values that were read from damaged files.
	Restored int64 `json:"restored"`
	// LostFrames counts the acknowledged frames that are gone, and LostRecords the records in them. Some of them may have
	// been delivered before. RecordsKnown is false if the number of records is not known.
	LostFrames   int64 `json:"lost_frames"`
	LostRecords  int64 `json:"lost_records"`
	RecordsKnown bool  `json:"records_known"`
	// Incomplete means that the second copy of a store was damaged too, so that values may be lost or older than they were.
	Incomplete bool `json:"incomplete,omitempty"`
	// Path is the folder that keeps the damaged files.
	Path string `json:"path"`
}

// String returns one sentence for logs and pages.
func (s Salvage) String() string {
	if s.Store != "" {
		return fmt.Sprintf("both copies of the store %s were damaged; %d documents were restored, others may be missing or outdated; the damaged files are in %s", s.Store, s.Restored, s.Path)
	}
	records := "an unknown number of"
	if s.RecordsKnown {
		records = fmt.Sprint(s.LostRecords)
	}
	return fmt.Sprintf("files of the log %s were damaged; %d frames were restored and %d are lost, with %s records, some of which may be delivered already; the damaged files are in %s",
		s.Log, s.Restored, s.LostFrames, records, s.Path)
}

// Salvaged returns the damage that was found and repaired at this start and at earlier ones, oldest first, until an
// operator deletes the folders with the damaged files.
func (b *Buffer) Salvaged() []Salvage { return slices.Clone(b.salvaged) }

// salvager checks the files of the embedded server before it opens them, and replaces the folders of damaged streams.
type salvager struct {
	dir    string
	now    string // names the folder of this run
	logger *slog.Logger

	upgrade       bool                    // earlier versions kept no journals and copies
	stop          func(step string) error // of tests: stops after a step
	began, logged time.Time
	bytes         int64 // read so far
}

func (s *salvager) step(name string) error {
	if s.stop == nil {
		return nil
	}
	return s.stop(name)
}

func (s *salvager) streams() string { return filepath.Join(s.dir, natsFolder, "$G", "streams") }

func (s *salvager) path(names ...string) string {
	return filepath.Join(append([]string{s.dir}, names...)...)
}

// salvage checks every stream and repairs the damaged ones. It may be interrupted and repeated at any time.
func salvage(dir string, logger *slog.Logger) ([]Salvage, error) {
	return newSalvager(dir, logger).run()
}

func newSalvager(dir string, logger *slog.Logger) *salvager {
	now := time.Now()
	return &salvager{dir: dir, now: now.UTC().Format("20060102T150405.000000000Z"), logger: logger, began: now, logged: now}
}

func (s *salvager) run() ([]Salvage, error) {
	if err := s.finish(); err != nil {
		return nil, fmt.Errorf("finish the repair of the buffer: %w", err)
	}
	_, err := os.Stat(s.path(ackedFolder))
	s.upgrade = errors.Is(err, fs.ErrNotExist)
	names, err := s.names()
	if err != nil {
		return nil, fmt.Errorf("check the buffer's files: %w", err)
	}
	for _, name := range names {
		if err := s.checkStream(name); err != nil {
			return nil, fmt.Errorf("check the buffer's files of %s: %w", name, err)
		}
	}
	if err := s.finish(); err != nil {
		return nil, fmt.Errorf("repair the buffer: %w", err)
	}
	return s.reports()
}

// names returns the names of all streams that have a folder or a journal.
func (s *salvager) names() (names []string, err error) {
	for _, dir := range []string{s.streams(), s.path(ackedFolder)} {
		entries, err := os.ReadDir(dir)
		if err != nil && !damaged(err) {
			return nil, err
		}
		for _, e := range entries {
			if _, _, ok := parseLog(e.Name()); ok {
				names = append(names, e.Name())
			} else if _, ok := parseStore(e.Name()); ok {
				names = append(names, e.Name())
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// progress logs once the check takes long.
func (s *salvager) progress(bytes int) {
	s.bytes += int64(bytes)
	if now := time.Now(); now.Sub(s.logged) > 5*time.Second {
		s.logged = now
		s.logger.Info("checking the buffer's files", "megabytes", s.bytes>>20, "seconds", int(now.Sub(s.began).Seconds()))
	}
}

// checkStream checks one stream, and prepares a replacement of its folder if it is damaged.
func (s *salvager) checkStream(name string) (err error) {
	c := &check{name: name, path: filepath.Join(s.streams(), name), read: s.progress, now: s.began}
	stream, shard, isLog := parseLog(name)
	if isLog {
		c.subject = []byte(streamSubject(stream, shard))
	} else {
		c.prefix = []byte("$KV." + strings.TrimPrefix(name, storePrefix) + ".")
	}
	if isLog {
		err = s.openJournal(c)
		defer func() { err = errors.Join(err, c.journal.close()) }()
	} else {
		err = s.openCopy(c)
		defer func() { err = errors.Join(err, c.copy.close()) }()
	}
	if err != nil {
		return err
	}
	if _, err := os.Lstat(c.path); errors.Is(err, fs.ErrNotExist) && c.last == 0 && (isLog || len(c.copy.keys) == 0) {
		return nil // never written to
	}
	if err := c.run(); err != nil {
		return err
	}
	if !isLog {
		if err := c.completeCopy(); err != nil {
			return err
		}
	}
	if isLog && c.acked == nil {
		if err := s.replaceJournal(c); err != nil {
			return err
		}
	}
	if len(c.faults) > 0 {
		return s.replace(c)
	}
	if c.torn {
		// JetStream would keep counting from the sequence that the index has.
		if err := os.Remove(c.indexPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// openJournal opens the journal of a log. If there is none, it begins a new one.
func (s *salvager) openJournal(c *check) (err error) {
	path := ackedPath(s.dir, c.name)
	if c.acked, err = openAcked(path, c.name); err == nil {
		c.journal = c.acked
		c.last, err = c.acked.last()
		return err
	}
	if !errors.Is(err, errJournal) && !damaged(err) {
		return err
	}
	if !s.upgrade {
		s.logger.Warn("no valid journal of acknowledgements: missing frames at the ends of the log would not be noticed", "log", c.name, "error", err)
	}
	c.last = c.lastOfIndex()
	c.journal, err = createAcked(path+".tmp", c.name, 0)
	return err
}

// openCopy opens the copy of a store. If there is none, it begins a new one.
func (s *salvager) openCopy(c *check) (err error) {
	path := ackedPath(s.dir, c.name)
	var intact bool
	c.copy, intact, err = openCopy(path, c.name)
	if damaged(err) {
		intact = true // unless the store has values
		c.copy, err = createCopy(path, c.name)
	}
	if err != nil {
		return err
	}
	c.newest, c.copySeq = map[string]piece{}, map[uint64]string{}
	for token, k := range c.copy.keys {
		c.copySeq[k.seq] = token
	}
	if len(c.copy.keys) == 0 {
		blocks, err := c.blocks()
		if err != nil {
			return err
		}
		c.faults = nil // run finds them again
		intact = intact && len(blocks) == 0
	}
	if c.badCopy = !intact; !intact && !s.upgrade {
		s.logger.Warn("the second copy of a store is missing or damaged; completing it", "store", c.name)
	}
	return nil
}

// replaceJournal completes and installs a new journal.
func (s *salvager) replaceJournal(c *check) error {
	first := uint64(1)
	if len(c.pieces) > 0 {
		first = c.pieces[0].seq
	}
	for _, b := range c.whole {
		if b.first != 0 && (len(c.pieces) == 0 || b.first < first) {
			first = b.first
			break
		}
	}
	path := ackedPath(s.dir, c.name)
	if err := errors.Join(c.journal.sync(), c.journal.trim(first), os.RemoveAll(path)); err != nil {
		return err
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return err
	}
	return atomicfile.SyncDir(filepath.Dir(path))
}

// replace prepares a folder with the whole messages of the damaged one.
func (s *salvager) replace(c *check) error {
	staging := s.path(salvageFolder, stagingFolder, c.name)
	if err := os.RemoveAll(staging); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(staging, "msgs"), 0o700); err != nil {
		return err
	}
	if err := c.write(staging); err != nil {
		return fmt.Errorf("write replacement: %w", err)
	}
	if err := syncFolders(staging); err != nil {
		return err
	}
	if err := s.step("staged"); err != nil {
		return err
	}
	ready := s.path(salvageFolder, readyFolder, s.now)
	if err := os.MkdirAll(ready, 0o700); err != nil {
		return err
	}
	if err := s.report(c, ready); err != nil {
		return err
	}
	if err := os.Rename(staging, filepath.Join(ready, c.name)); err != nil {
		return err
	}
	if err := syncFolders(s.path(salvageFolder)); err != nil {
		return err
	}
	if err := atomicfile.SyncDir(s.dir); err != nil {
		return err
	}
	return s.step("ready")
}

// report logs the damage, and writes the report about it into a folder.
func (s *salvager) report(c *check, ready string) error {
	r := Salvage{Time: time.Now().UTC(), Faults: c.faults, Restored: c.frames, Path: s.path(damagedFolder, s.now, c.name), RecordsKnown: c.prefix != nil || c.acked != nil}
	kind := "store"
	if stream, shard, ok := parseLog(c.name); ok {
		kind, r.Log = "log", fmt.Sprintf("%s/%d", stream, shard)
	} else {
		r.Store, _ = parseStore(c.name)
	}
	for _, span := range c.lost {
		r.LostFrames += int64(span.to - span.from + 1)
		n, known := c.journal.count(span.from, span.to)
		r.LostRecords += n
		r.RecordsKnown = r.RecordsKnown && known
	}
	r.Incomplete = c.badCopy
	args := []any{kind, r.Log + r.Store, "faults", strings.Join(r.Faults, "; "), "restored", r.Restored, "files", r.Path}
	if kind == "log" {
		args = append(args, "lost_frames", r.LostFrames)
		if r.RecordsKnown {
			args = append(args, "lost_records", r.LostRecords)
		}
	} else if r.Incomplete {
		args = append(args, "incomplete", "the store's copy is damaged too; check your definitions")
	}
	s.logger.Error("buffer files are damaged; replacing them with what can be read", args...)
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.WriteFile(filepath.Join(ready, c.name+reportSuffix), data, 0o600)
}

// finish moves the damaged folders away and their complete replacements into place. It removes incomplete ones.
func (s *salvager) finish() error {
	runs, err := os.ReadDir(s.path(salvageFolder, readyFolder))
	if err != nil && !damaged(err) {
		return err
	}
	for _, run := range runs {
		ready := s.path(salvageFolder, readyFolder, run.Name())
		streams, err := os.ReadDir(ready)
		if err != nil {
			return err
		}
		for _, stream := range streams {
			if !stream.IsDir() {
				continue // a report, which is moved with its folder
			}
			if err := s.swap(run.Name(), stream.Name()); err != nil {
				return err
			}
		}
	}
	return os.RemoveAll(s.path(salvageFolder))
}

// swap replaces one stream's folder.
func (s *salvager) swap(run, name string) error {
	place := filepath.Join(s.streams(), name)
	damaged := s.path(damagedFolder, run, name)
	if err := os.MkdirAll(s.streams(), 0o700); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(damaged), 0o700); err != nil {
		return err
	}
	ready := s.path(salvageFolder, readyFolder, run, name)
	for _, move := range [][2]string{{ready + reportSuffix, damaged + reportSuffix}, {place, damaged}} {
		if err := os.Rename(move[0], move[1]); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := s.step("moved"); err != nil {
		return err
	}
	if err := os.Rename(ready, place); err != nil {
		return err
	}
	folders := []string{s.streams(), filepath.Dir(damaged), s.path(damagedFolder), s.dir}
	if err := syncDirs(folders...); err != nil {
		return err
	}
	return s.step("replaced")
}

// reports reads the reports of all runs.
func (s *salvager) reports() (all []Salvage, err error) {
	files, err := filepath.Glob(s.path(damagedFolder, "*", "*"+reportSuffix))
	if err != nil {
		return nil, err
	}
	slices.Sort(files) // by time
	for _, file := range files {
		data, err := os.ReadFile(file)
		var r Salvage
		if err == nil {
			err = json.Unmarshal(data, &r)
		}
		if err != nil {
			s.logger.Warn("report about damaged files is unreadable", "file", file, "error", err)
			r = Salvage{Faults: []string{"the report " + file + " is unreadable"}, Path: strings.TrimSuffix(file, reportSuffix)}
		}
		all = append(all, r)
	}
	return all, nil
}

func syncDirs(paths ...string) error {
	for _, path := range paths {
		if err := atomicfile.SyncDir(path); err != nil {
			return err
		}
	}
	return nil
}

// syncFolders syncs a folder and all folders in it.
func syncFolders(path string) error {
	return filepath.WalkDir(path, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return err
		}
		return atomicfile.SyncDir(path)
	})
}

// recreate lets the server create the configuration of streams that have none. It keeps their messages.
func (b *Buffer) recreate(ctx context.Context) error {
	s := &salvager{dir: b.dir.path}
	names, err := s.names()
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(s.streams(), name, "msgs")); err != nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(s.streams(), name, "meta.inf")); err == nil {
			continue
		}
		if stream, shard, ok := parseLog(name); ok {
			_, err = b.Log(ctx, stream, shard)
		} else if store, ok := parseStore(name); ok {
			_, err = b.Store(ctx, store)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// storePrefix begins the name of the JetStream stream of a store.
const storePrefix = "KV_"

// parseLog returns the stream and the shard of a log's JetStream stream.
func parseLog(name string) (stream string, shard int, ok bool) {
	rest, ok := strings.CutPrefix(name, framesStream)
	i := strings.LastIndexByte(rest, '_')
	if !ok || i < 0 {
		return "", 0, false
	}
	shard, err := strconv.Atoi(rest[i+1:])
	if err != nil {
		return "", 0, false
	}
	stream, err = url.PathUnescape(strings.ReplaceAll(rest[:i], "_", "%"))
	return stream, shard, err == nil && streamName(stream, shard) == name
}

// parseStore returns the name of the store of a JetStream stream.
func parseStore(name string) (store string, ok bool) {
	rest, ok := strings.CutPrefix(name, storePrefix)
	if !ok {
		return "", false
	}
	store, err := url.PathUnescape(strings.ReplaceAll(rest, "_", "%"))
	return store, err == nil && escape(store) == rest
}
