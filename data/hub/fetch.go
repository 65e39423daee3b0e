package hub

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"steplm/internal/disk"
)

// Options say what Fetch takes; the zero value is everything, one file at a time.
type Options struct {
	Shards   int // only the first so many files by path; 0 = all
	Parallel int // files at a time; 0 = 1
	// Progress is told how many bytes are there and how many there will be, what was
	// there before included. It is called by one goroutine at a time.
	Progress func(done, total int64)
}

// Snapshot is what a fetch has put in the cache.
type Snapshot struct {
	Commit string
	Dir    string   // the source's path at that commit, in the cache
	Files  []string // below Dir or Dir itself, sorted
	Bytes  int64    // of the files
	Reused int      // files that were in the cache before
}

// Fetch downloads the files that the source names, see List, except those that the
// cache holds. Cancelled or failed, it leaves what has arrived, and the next call
// goes on from there.
func (c *Client) Fetch(ctx context.Context, s Source, o Options) (Snapshot, error) {
	commit, files, err := c.List(ctx, s)
	if err != nil {
		return Snapshot{}, err
	}
	if o.Shards > 0 {
		files = files[:min(o.Shards, len(files))]
	}
	root := filepath.Join(c.Cache, s.folder(), "snapshots", commit)
	snapshot := Snapshot{Commit: commit, Dir: filepath.Join(root, filepath.FromSlash(s.Path))}
	for _, f := range files {
		snapshot.Bytes += f.Size
		snapshot.Files = append(snapshot.Files, filepath.Join(root, filepath.FromSlash(f.Path)))
	}

	var mu sync.Mutex // of done, Reused and the first error
	var done int64
	report := func(delta int64) {
		mu.Lock()
		defer mu.Unlock()
		done += delta
		if o.Progress != nil {
			o.Progress(done, snapshot.Bytes)
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var workers sync.WaitGroup
	next := make(chan int)
	for range max(1, min(o.Parallel, len(files))) {
		workers.Go(func() {
			for i := range next {
				reused, err := c.fetchFile(ctx, s, commit, files[i], snapshot.Files[i], report)
				if err != nil {
					// Only the first is kept: the others are its consequences.
					cancel(fmt.Errorf("%s: %s: %w", s, files[i].Path, c.explain(s, err)))
					return
				}
				if reused {
					mu.Lock()
					snapshot.Reused++
					mu.Unlock()
				}
			}
		})
	}
feed:
	for i := range files {
		select {
		case next <- i:
		case <-ctx.Done():
			break feed
		}
	}
	close(next)
	workers.Wait()
	if err := context.Cause(ctx); err != nil {
		return Snapshot{}, err
	}
	if err := c.writeRef(s, commit); err != nil {
		return Snapshot{}, err
	}
	return snapshot, nil
}

// writeRef keeps the commit that a branch or tag was at.
func (c *Client) writeRef(s Source, commit string) error {
	if commitHash.MatchString(s.Revision) {
		return nil
	}
	path := filepath.Join(c.Cache, s.folder(), "refs", filepath.FromSlash(s.Revision))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return disk.WriteFile(path, []byte(commit))
}

// resolveAddress is where a file is downloaded.
func (c *Client) resolveAddress(s Source, commit string, f File) string {
	return c.Endpoint + "/datasets/" + s.repo() + "/resolve/" + commit + "/" + escape(f.Path)
}

// fetchFile puts one file at path, a link to its blob.
func (c *Client) fetchFile(ctx context.Context, s Source, commit string, f File, path string,
	report func(int64)) (reused bool, err error) {
	if holds(path, f) {
		report(f.Size)
		return true, nil
	}
	blob := filepath.Join(c.Cache, s.folder(), "blobs", f.Hash)
	locks := filepath.Join(c.Cache, ".locks", s.folder())
	for _, dir := range []string{filepath.Dir(blob), locks, filepath.Dir(path)} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return false, err
		}
	}
	lock := flock.New(filepath.Join(locks, f.Hash+".lock"))
	if _, err := lock.TryLockContext(ctx, 100*time.Millisecond); err != nil && !disk.Unsupported(err) {
		return false, fmt.Errorf("waiting for another fetch of it: %w", err)
	}
	defer lock.Unlock()
	if reused = holds(blob, f); reused {
		report(f.Size)
	} else if err := c.fetchBlob(ctx, s, commit, f, blob, report); err != nil {
		return false, err
	}
	return reused, link(blob, path)
}

// fetchBlob downloads to blob.incomplete and renames that when it is complete.
func (c *Client) fetchBlob(ctx context.Context, s Source, commit string, f File, blob string,
	report func(int64)) (err error) {
	part, err := os.OpenFile(blob+".incomplete", os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	d := &download{client: c, address: c.resolveAddress(s, commit, f), file: f, part: part, report: report}
	err = d.run(ctx)
	if err == nil {
		err = disk.Synced(part.Sync())
	}
	if err = errors.Join(err, part.Close()); err != nil {
		return err
	}
	return disk.Rename(part.Name(), blob)
}

// holds reports whether the cache has a file: its name is that of checked content,
// so that the length suffices.
func holds(path string, f File) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Size() == f.Size
}

// symbolic and hard make links; tests replace them.
var symbolic, hard = os.Symlink, os.Link

// link makes path a relative link to blob, so that a cache may be moved, or a hard
// link where the system has no symbolic ones for this user. Where it has neither, as
// on exFAT, the blob itself goes there.
func link(blob, path string) error {
	target, err := filepath.Rel(filepath.Dir(path), blob)
	if err != nil {
		return err
	}
	temporary := fmt.Sprintf("%s.%d.tmp", path, os.Getpid())
	os.Remove(temporary) // left by a process that had the same number
	if symbolic(target, temporary) != nil && hard(blob, temporary) != nil {
		return disk.Rename(blob, path)
	}
	return disk.Rename(temporary, path)
}
