package hub

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
)

// Stream is a source's files of which the first are used while the others are
// still fetched.
type Stream struct {
	Paths []string // where they are, or will be, in the cache

	client  *Client
	source  Source
	commit  string
	files   []File
	arrived []chan struct{} // closed when a file is there
	failed  chan struct{}   // closed when no more will come
	err     error           // why; nil: no others were to be fetched. Valid once failed is closed
}

// Stream lists the files, without fetching any. Shards is as in Options.
func (c *Client) Stream(ctx context.Context, s Source, shards int) (*Stream, error) {
	commit, files, err := c.List(ctx, s)
	if err != nil {
		return nil, err
	}
	if shards > 0 {
		files = files[:min(shards, len(files))]
	}
	t := &Stream{client: c, source: s, commit: commit, files: files, failed: make(chan struct{})}
	for _, f := range files {
		t.Paths = append(t.Paths, filepath.Join(c.Cache, s.folder(), "snapshots", commit, filepath.FromSlash(f.Path)))
		t.arrived = append(t.arrived, make(chan struct{}))
	}
	return t, nil
}

// Size is the length of file i in bytes.
func (t *Stream) Size(i int) int64 { return t.files[i].Size }

// Holds reports whether file i is in the cache.
func (t *Stream) Holds(i int) bool { return holds(t.Paths[i], t.files[i]) }

// Tail asks for the last n bytes of file i alone.
func (t *Stream) Tail(ctx context.Context, i int, n int64) (tail []byte, err error) {
	f := t.files[i]
	n = min(n, f.Size)
	err = t.client.retry(ctx, func() (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, t.client.Stall)
		defer cancel()
		resp, err := t.client.get(ctx, t.client.resolveAddress(t.source, t.commit, f),
			http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", f.Size-n, f.Size-1)}})
		if err != nil {
			return false, err
		}
		defer resp.Body.Close()
		if resp.StatusCode == http.StatusOK { // a server without ranges sends everything
			if _, err := io.CopyN(io.Discard, resp.Body, f.Size-n); err != nil {
				return false, err
			}
		}
		tail = make([]byte, n)
		_, err = io.ReadFull(resp.Body, tail)
		return false, err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", t.source, f.Path, t.client.explain(t.source, err))
	}
	return tail, nil
}

// Run fetches files in an order, one after the other, and says so to those who
// wait. It is called once. Progress is as in Options, of all files.
func (t *Stream) Run(ctx context.Context, order []int, progress func(done, total int64)) error {
	defer close(t.failed)
	var done, total int64
	for _, f := range t.files {
		total += f.Size
	}
	for _, i := range order {
		_, err := t.client.fetchFile(ctx, t.source, t.commit, t.files[i], t.Paths[i], func(delta int64) {
			if done += delta; progress != nil {
				progress(done, total)
			}
		})
		if err != nil {
			t.err = fmt.Errorf("%s: %s: %w", t.source, t.files[i].Path, t.client.explain(t.source, err))
			return t.err
		}
		close(t.arrived[i])
	}
	t.err = t.client.writeRef(t.source, t.commit)
	return t.err
}

// Wait returns when the file of a path is there, or will not come.
func (t *Stream) Wait(ctx context.Context, path string) error {
	i := slices.Index(t.Paths, path)
	if i < 0 {
		return fmt.Errorf("%s: %w", path, os.ErrNotExist)
	}
	select {
	case <-t.arrived[i]:
		return nil
	default:
	}
	select {
	case <-t.arrived[i]:
		return nil
	case <-t.failed:
		select {
		case <-t.arrived[i]:
			return nil
		default:
			if t.err == nil {
				return fmt.Errorf("%s: it is none of the files that were fetched", path)
			}
			return t.err
		}
	case <-ctx.Done():
		return ctx.Err()
	}
}
