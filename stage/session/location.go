package session

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"steplm/data"
	"steplm/data/hub"
	"steplm/internal/disk"
)

// Location is where data are: a pattern, or files of the hub, some of which may be
// yet to come.
type Location struct {
	name   string
	files  []string // nil: what the name as a pattern finds
	stream *hub.Stream
	dir    string // of stand-ins
	ui     UI
	stop   context.CancelFunc
	ended  chan struct{}
}

// checkSources refuses options that say nothing of the paths.
func checkSources(shards int, stream bool, paths ...string) error {
	if shards < 0 {
		return badOption("shards", shards, "at least 0")
	}
	for _, path := range paths {
		if strings.HasPrefix(path, hub.Scheme) {
			return nil
		}
	}
	names := strings.Join(paths, ", ")
	switch {
	case shards > 0:
		return badOption("shards", shards, "only hf:// sources have shards to choose from, %s is none; give a pattern",
			names)
	case stream:
		return &OptionError{Option: "stream", Why: fmt.Sprintf("only hf:// sources are fetched, %s is none", names)}
	}
	return nil
}

// Locate fetches what is on the hub, the first so many shards (0: all), or with stream only what tells
// how much it is.
func Locate(ctx context.Context, path string, shards int, stream bool, ui UI) (*Location, error) {
	if !strings.HasPrefix(path, hub.Scheme) {
		return &Location{name: path, ui: ui}, nil
	}
	source, err := ParseSource(path)
	if err != nil {
		return nil, err
	}
	if !stream {
		snapshot, err := Fetch(ctx, source, shards, FetchParallel, ui)
		if err != nil {
			return nil, err
		}
		return &Location{name: snapshot.Dir, files: snapshot.Files, ui: ui}, nil
	}
	client, err := hub.FromEnvironment()
	if err != nil {
		return nil, err
	}
	l := &Location{name: source.String(), ui: ui}
	if l.stream, err = client.Stream(ctx, source, shards); err != nil {
		return nil, err
	}
	l.files = l.stream.Paths
	if l.dir, err = os.MkdirTemp("", "steplm-footers-"); err != nil {
		return nil, err
	}
	for i := range l.files {
		if err := l.standIn(ctx, i); err != nil {
			l.Close()
			return nil, err
		}
	}
	return l, nil
}

// standInPath is the file that has file i's footer.
func (l *Location) standInPath(i int) string {
	if l.stream.Holds(i) {
		return l.files[i]
	}
	return filepath.Join(l.dir, fmt.Sprint(i), filepath.Base(l.files[i]))
}

// standIn makes a file with the size and the footer of file i, and nothing else,
// unless the cache has that file. Only Parquet has a footer.
func (l *Location) standIn(ctx context.Context, i int) error {
	if l.stream.Holds(i) {
		return nil
	}
	end, err := l.stream.Tail(ctx, i, 8) // the footer's size and Parquet's mark
	if err != nil {
		return err
	}
	if len(end) < 8 || string(end[4:]) != "PAR1" { // How many rows other files have, only all of their bytes say.
		return &OptionError{Option: "stream", Why: fmt.Sprintf("%s of %s is no Parquet file, and only Parquet can "+
			"begin before it is there: fetch everything, without it", filepath.Base(l.files[i]), l.name)}
	}
	n := int64(binary.LittleEndian.Uint32(end)) + 8
	if n > min(l.stream.Size(i), maxFooter) {
		return fmt.Errorf("%s: its footer claims %d bytes", l.files[i], n)
	}
	if end, err = l.stream.Tail(ctx, i, n); err != nil {
		return err
	}
	path := filepath.Join(l.dir, fmt.Sprint(i), filepath.Base(l.files[i]))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	disk.Sparse(f)
	if err := f.Truncate(l.stream.Size(i)); err != nil {
		return err
	}
	_, err = f.WriteAt(end, l.stream.Size(i)-int64(len(end)))
	return err
}

// maxFooter bounds what is fetched of a file beforehand, in bytes.
const maxFooter = 256 << 20

// Open opens the data with what else the options say.
func (l *Location) Open(o data.OpenOptions) (*data.Shards, error) {
	if l.files == nil {
		return data.OpenWith(l.name, o)
	}
	if l.stream != nil {
		o.Wait = l.stream.Wait
		at := map[string]string{}
		for i, path := range l.files {
			at[path] = l.standInPath(i)
		}
		o.StandIn = func(path string) (string, error) { return at[path], nil }
	}
	return data.OpenFiles(l.name, l.files, o)
}

// start begins to fetch the files of shards, in the order of a seed's first epoch, and returns when the first is there,
// with a bar until then. Files that the shards leave out, as those of 0 rows, are not fetched.
func (l *Location) start(ctx context.Context, shards *data.Shards, seed uint64) error {
	if l.stream == nil {
		return nil
	}
	var order []int // among all files
	for _, i := range shards.Order(seed) {
		order = append(order, slices.Index(l.files, shards.Files[i]))
	}
	ctx, l.stop = context.WithCancel(ctx)
	l.ended = make(chan struct{})
	var done atomic.Int64
	go func() {
		defer close(l.ended)
		l.stream.Run(ctx, order, func(n, _ int64) { done.Store(n) }) // those who wait hear of an error
	}()
	const mega = 1_000_000
	first := order[0]
	bar := l.ui.Progress("fetch the first file", (l.stream.Size(first)+mega-1)/mega, "MB")
	defer bar.Done()
	there := make(chan error, 1)
	go func() { there <- l.stream.Wait(ctx, l.files[first]) }()
	for {
		select {
		case err := <-there:
			return err
		case <-time.After(200 * time.Millisecond):
			bar.Set((done.Load() + mega - 1) / mega)
		}
	}
}

// Close ends the fetching. What has arrived is kept.
func (l *Location) Close() {
	if l.stop != nil {
		l.stop()
		<-l.ended
	}
	if l.dir != "" {
		os.RemoveAll(l.dir)
	}
}

// FetchParallel is how many files are downloaded at a time, unless a user says.
const FetchParallel = 4

// ParseSource reads the name of a source on the hub.
func ParseSource(path string) (hub.Source, error) {
	source, err := hub.ParseSource(path)
	if err != nil {
		return source, &OptionError{Why: err.Error()}
	}
	return source, nil
}

// Fetch downloads what the cache lacks of a source: the first so many shards, 0: all.
func Fetch(ctx context.Context, source hub.Source, shards, parallel int, ui UI) (hub.Snapshot, error) {
	client, err := hub.FromEnvironment()
	if err != nil {
		return hub.Snapshot{}, err
	}
	var bar Progress
	const mega = 1_000_000
	o := hub.Options{Shards: shards, Parallel: parallel, Progress: func(done, total int64) {
		if bar == nil {
			bar = ui.Progress("fetch", (total+mega-1)/mega, "MB")
		}
		bar.Set((done + mega - 1) / mega)
	}}
	snapshot, err := client.Fetch(ctx, source, o)
	if bar != nil {
		bar.Done()
	}
	return snapshot, err
}

// Local is a path, or of a source on the hub the directory where its files are in the cache, which are fetched first
// where they are not, and these files: the directory may hold others. Of a path files are nil.
func Local(ctx context.Context, path string, ui UI) (at string, files []string, err error) {
	if !strings.HasPrefix(path, hub.Scheme) {
		return path, nil, nil
	}
	source, err := ParseSource(path)
	if err != nil {
		return "", nil, err
	}
	snapshot, err := Fetch(ctx, source, 0, FetchParallel, ui)
	return snapshot.Dir, snapshot.Files, err
}

// LocalFiles are the files of paths, as package data finds them, or of sources on the hub those that Local fetches.
func LocalFiles(ctx context.Context, ui UI, paths ...string) (all []string, err error) {
	for _, path := range paths {
		at, files, err := Local(ctx, path, ui)
		if err == nil && files == nil {
			files, err = data.Find(at)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, files...)
	}
	return all, nil
}
