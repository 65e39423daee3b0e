package checkpoint

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	"steplm/internal/disk"
)

// checksumsName is written last: a directory without it is not a checkpoint.
const checksumsName = "checksums.json"

// Written is a file that was written.
type Written struct {
	Name   string // within the directory, with slashes
	Size   int64
	SHA256 string // in hexadecimal
}

// sum is one line of checksums.json: file name -> sum.
type sum struct {
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Dir is a directory that is being written. Nothing is seen under its name
// before Commit. It is for one goroutine. The first error sticks, and has
// already removed everything unfinished when it is returned.
type Dir struct {
	target    string
	temporary string
	sums      map[string]sum
	inner     []*Dir // directories within
	open      map[*dirFile]struct{}
	err       error
	// openFile is os.OpenFile, but for the tests of a full disk.
	openFile func(path string) (storage, error)
}

// storage is what Dir needs of a file.
type storage interface {
	io.WriteCloser
	Sync() error
}

// SaveError says that a directory could not be written. It is returned after
// the unfinished files were removed; what stood under Dir's name still does.
type SaveError struct {
	Dir      string
	File     string // "" where no single file is to blame
	Written  int64  // bytes of File
	Expected int64  // bytes of File, 0 where its writer did not know
	Err      error
	Left     string // what could not be removed, "" as a rule
	NoInodes bool   // the disk had no room for another file, whatever its size
}

func (e *SaveError) Error() string {
	cause := e.Err
	var pathError *fs.PathError
	if errors.As(cause, &pathError) {
		cause = pathError.Err // its path is the hidden one, which is gone
	}
	text := fmt.Sprintf("saving %s: %v", e.Dir, cause)
	if e.File != "" {
		text = fmt.Sprintf("saving %s: %s: %v after %d bytes", e.Dir, e.File, cause, e.Written)
		if e.Expected > 0 {
			text += fmt.Sprintf(" of %d", e.Expected)
		}
	}
	text += "; nothing was changed, "
	if e.Left == "" {
		text += "the unfinished files were removed"
	} else {
		text += "but remove " + e.Left + " yourself"
	}
	switch {
	case !diskFull(e.Err):
	case e.NoInodes:
		text += ": that disk has no room for another file, whatever its size: remove files there (`df -i` counts " +
			"them) or save elsewhere"
	default:
		text += fmt.Sprintf(": make room on that disk (at least %d bytes for this file) or save elsewhere",
			max(e.Expected, e.Written))
	}
	return text
}

func (e *SaveError) Unwrap() error { return e.Err }

// Begin starts the directory parent/name as a hidden sibling; parent is made
// where it is missing. What stands under that name is replaced by Commit, but
// only if Commit put it there: anything else is refused.
func Begin(parent, name string) (*Dir, error) {
	if !plain(name) {
		return nil, fmt.Errorf("checkpoint name %q: it must be one path element and not begin with a dot", name)
	}
	target := filepath.Join(parent, name)
	if err := replaceable(target); err != nil {
		return nil, err
	}
	if err := MakeDir(parent); err != nil {
		return nil, &SaveError{Dir: target, Err: err}
	}
	d := &Dir{
		target:    target,
		temporary: filepath.Join(parent, hidden(name, saving)),
		sums:      map[string]sum{},
		open:      map[*dirFile]struct{}{},
		openFile: func(path string) (storage, error) {
			return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		},
	}
	if err := os.Mkdir(d.temporary, 0o777); err != nil {
		return nil, &SaveError{Dir: target, Err: err, NoInodes: diskFull(err) && noInodes(parent)}
	}
	return d, nil
}

// replaceable keeps a mistyped name from costing somebody a directory.
func replaceable(target string) error {
	stat, err := os.Lstat(target)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if stat.IsDir() {
		entries, err := os.ReadDir(target)
		if err != nil {
			return err
		}
		if len(entries) == 0 || exists(filepath.Join(target, checksumsName)) {
			return nil
		}
	}
	return fmt.Errorf("%s exists and was not saved here (it has no %s): it is not replaced, choose another name",
		target, checksumsName)
}

// Create opens a new file of the directory; Close it before the next step.
// A writer that knows how many bytes will come may say so to the file's method
// Expect(int64): an error then names both numbers.
func (d *Dir) Create(file string) (io.WriteCloser, error) {
	if d.err != nil {
		return nil, d.err
	}
	if _, twice := d.sums[file]; twice || !plain(file) || file == checksumsName {
		return nil, d.fail(nil, fmt.Errorf("file name %q is taken or not a plain name", file))
	}
	return d.create(file)
}

func (d *Dir) create(file string) (*dirFile, error) {
	f := &dirFile{dir: d, name: file, hash: sha256.New()}
	out, err := d.openFile(filepath.Join(d.temporary, file))
	if err != nil {
		return nil, d.fail(f, err)
	}
	f.out = out
	d.open[f] = struct{}{}
	d.sums[file] = sum{}
	return f, nil
}

// WriteJSON writes one indented JSON value as a file.
func (d *Dir) WriteJSON(file string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return d.fail(nil, fmt.Errorf("%s: %w", file, err))
	}
	out, err := d.Create(file)
	if err != nil {
		return err
	}
	return writeAll(out.(*dirFile), append(text, '\n'))
}

// Commit writes checksums.json, syncs everything to the disk and gives the
// directory its name. After an error nothing has changed.
func (d *Dir) Commit() error {
	if d.err != nil {
		return d.err
	}
	for f := range d.open {
		return d.fail(f, errors.New("committed before it was closed"))
	}
	text, err := json.MarshalIndent(d.sums, "", "  ") // sorted by name
	if err != nil {
		return d.fail(nil, err)
	}
	list, err := d.create(checksumsName)
	if err != nil {
		return err
	}
	if err := writeAll(list, append(text, '\n')); err != nil {
		return err
	}
	if err := syncDir(d.temporary); err != nil {
		return d.fail(nil, err)
	}
	aside, err := d.rename()
	if err != nil {
		return d.fail(nil, err)
	}
	d.err = errors.New("checkpoint: already committed")
	if err := syncDir(filepath.Dir(d.target)); err != nil {
		return fmt.Errorf("%s is saved, but the disk did not confirm its name: %w", d.target, err)
	}
	disk.Remove(aside) // what cannot go now is Prune's, or Clean's
	return nil
}

// rename swaps the finished directory in. No portable call replaces a
// directory that is not empty, so an old one steps aside under a fixed name,
// which is returned; between the two renames only Clean knows that it is the
// good one.
func (d *Dir) rename() (aside string, err error) {
	parent, name := filepath.Split(d.target)
	aside = filepath.Join(parent, hidden(name, displaced))
	if err := replaceable(d.target); err != nil {
		return "", err
	}
	replacing := exists(d.target)
	if replacing {
		if exists(aside) { // It is older than what stands there now.
			if err := removeDir(parent, filepath.Base(aside), name); err != nil && exists(aside) {
				return "", err
			}
		}
		if err := disk.Rename(d.target, aside); err != nil {
			return "", err
		}
	}
	err = disk.Rename(d.temporary, d.target)
	if err != nil && replacing {
		err = errors.Join(err, disk.Rename(aside, d.target))
	}
	return aside, err
}

// Abort removes what was written. It may be deferred: after Commit or an error
// it does nothing.
func (d *Dir) Abort() error {
	if d.err != nil {
		return nil
	}
	d.err = errors.New("checkpoint: aborted")
	return d.remove()
}

func (d *Dir) fail(f *dirFile, err error) error {
	if d.err != nil {
		return d.err
	}
	// Before the unfinished files are removed, which makes room for as many.
	e := &SaveError{Dir: d.target, Err: err, NoInodes: diskFull(err) && noInodes(filepath.Dir(d.target))}
	if f != nil {
		e.File, e.Written, e.Expected = f.name, f.written, f.expected
	}
	if d.remove() != nil {
		e.Left = d.temporary
	}
	d.err = e
	return e
}

// remove closes first: Windows keeps what is open.
func (d *Dir) remove() error {
	for f := range d.open {
		f.out.Close()
	}
	clear(d.open)
	return disk.Remove(d.temporary)
}

// dirFile counts and hashes what passes.
type dirFile struct {
	dir      *Dir
	name     string
	out      storage
	hash     hash.Hash
	written  int64
	expected int64
}

// Expect announces the size of the whole file.
func (f *dirFile) Expect(size int64) { f.expected = size }

func (f *dirFile) Write(p []byte) (int, error) {
	if f.dir.err != nil {
		return 0, f.dir.err
	}
	n, err := f.out.Write(p)
	f.written += int64(n)
	f.hash.Write(p[:n])
	if err != nil {
		return n, f.dir.fail(f, err)
	}
	return n, nil
}

// Close syncs: a full disk may show only here.
func (f *dirFile) Close() error {
	if _, open := f.dir.open[f]; !open {
		return f.dir.err
	}
	if err := disk.Synced(f.out.Sync()); err != nil {
		return f.dir.fail(f, err)
	}
	delete(f.dir.open, f)
	if err := f.out.Close(); err != nil {
		return f.dir.fail(f, err)
	}
	f.dir.sums[f.name] = sum{f.written, hex.EncodeToString(f.hash.Sum(nil))}
	return nil
}

func writeAll(f *dirFile, text []byte) error {
	f.Expect(int64(len(text)))
	if _, err := f.Write(text); err != nil {
		return err
	}
	return f.Close()
}

// The hidden names, all removable by Clean. Only displaced is fixed: it must be
// found again.
const (
	saving    = "saving"
	removing  = "removing"
	displaced = "displaced"
)

func hidden(name, state string) string {
	if state == displaced {
		return "." + name + "." + state
	}
	return fmt.Sprintf(".%s.%s-%08x", name, state, rand.Uint32())
}
