package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// save writes a checkpoint of two files, the content of both made from fill.
func save(t *testing.T, parent, name string, fill byte) string {
	t.Helper()
	if err := saveFilled(parent, name, fill, 1000); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(parent, name)
}

func saveFilled(parent, name string, fill byte, size int) error {
	d, err := Begin(parent, name)
	if err != nil {
		return err
	}
	defer d.Abort()
	if err := writeFilled(d, fill, size); err != nil {
		return err
	}
	return d.Commit()
}

func writeFilled(d *Dir, fill byte, size int) error {
	out, err := d.Create("weights.bin")
	if err != nil {
		return err
	}
	if e, ok := out.(interface{ Expect(int64) }); ok {
		e.Expect(int64(size))
	}
	for done := 0; done < size; done += 500 {
		if _, err := out.Write(bytes.Repeat([]byte{fill}, 500)); err != nil {
			return err
		}
	}
	if err := out.Close(); err != nil {
		return err
	}
	return d.WriteJSON("state.json", map[string]int{"fill": int(fill)})
}

// content is the fill of a verified checkpoint, the same in both files.
func content(t *testing.T, dir string) byte {
	t.Helper()
	if err := Verify(dir); err != nil {
		t.Fatal(err)
	}
	weights, err := os.ReadFile(filepath.Join(dir, "weights.bin"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "state.json"))
	if err != nil {
		t.Fatal(err)
	}
	var state map[string]int
	if err := json.Unmarshal(text, &state); err != nil {
		t.Fatal(err)
	}
	if state["fill"] != int(weights[0]) || bytes.Count(weights, weights[:1]) != len(weights) {
		t.Fatalf("%s mixes two saves: state %v, weights %d ... %d", dir, state, weights[0], weights[len(weights)-1])
	}
	return weights[0]
}

// entries are the names in a directory, hidden ones too.
func entries(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

func wantEntries(t *testing.T, dir string, want ...string) {
	t.Helper()
	if got := entries(t, dir); !slices.Equal(got, want) {
		t.Errorf("%s holds %v, want %v", dir, got, want)
	}
}

func TestCommitReplaceAbort(t *testing.T) {
	parent := filepath.Join(t.TempDir(), "made", "on", "the", "way")
	d, err := Begin(parent, "step-1")
	if err != nil {
		t.Fatal(err)
	}
	if err := writeFilled(d, 1, 1000); err != nil {
		t.Fatal(err)
	}
	if exists(filepath.Join(parent, "step-1")) {
		t.Error("seen before Commit")
	}
	if err := d.Commit(); err != nil {
		t.Fatal(err)
	}
	if d.Commit() == nil || d.WriteJSON("late.json", 1) == nil || d.Abort() != nil {
		t.Error("a committed directory was written on, or aborted with an error")
	}
	wantEntries(t, parent, "step-1")
	wantEntries(t, filepath.Join(parent, "step-1"), "checksums.json", "state.json", "weights.bin")
	if got := content(t, save(t, parent, "step-1", 2)); got != 2 {
		t.Errorf("the second save of a name left %d", got)
	}
	wantEntries(t, parent, "step-1")

	d, err = Begin(parent, "step-1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Create("weights.bin"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.Abort(), d.Abort()); err != nil {
		t.Error(err)
	}
	if d.Commit() == nil {
		t.Error("committed after Abort")
	}
	wantEntries(t, parent, "step-1")
	if got := content(t, filepath.Join(parent, "step-1")); got != 2 {
		t.Errorf("an aborted save changed 2 to %d", got)
	}
}

func TestChecksumsFile(t *testing.T) {
	dir := save(t, t.TempDir(), "step-1", 0)
	got, err := os.ReadFile(filepath.Join(dir, "checksums.json"))
	if err != nil {
		t.Fatal(err)
	}
	// printf '{\n  "fill": 0\n}\n' | sha256sum; head -c 1000 /dev/zero | sha256sum
	want := `{
  "state.json": {
    "size": 16,
    "sha256": "d6c609f840946d4efaf4a70fb03dab46a06e2ec14f4bd6e1c16b90e3fb96acb1"
  },
  "weights.bin": {
    "size": 1000,
    "sha256": "541b3e9daa09b20bf85fa273e5cbd3e80185aa4ec298e765db87742b70138a53"
  }
}
`
	if string(got) != want {
		t.Errorf("checksums.json:\n%s\nwant:\n%s", got, want)
	}
}

func TestBeginRefuses(t *testing.T) {
	parent := t.TempDir()
	for _, name := range []string{"", ".", "..", "a/b", `a\b`, "/a", ".hidden", "../a"} {
		if d, err := Begin(parent, name); err == nil {
			d.Abort()
			t.Errorf("name %q was accepted", name)
		}
	}
	mine := filepath.Join(parent, "thesis")
	if err := os.Mkdir(mine, 0o777); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(mine, "chapter1"), []byte("dear"))
	writeFile(t, filepath.Join(parent, "file"), nil)
	for _, name := range []string{"thesis", "file"} {
		if _, err := Begin(parent, name); err == nil || !strings.Contains(err.Error(), "not replaced") {
			t.Errorf("%s would be replaced: %v", name, err)
		}
	}
	if err := os.Mkdir(filepath.Join(parent, "empty"), 0o777); err != nil {
		t.Fatal(err)
	}
	save(t, parent, "empty", 1)
	wantEntries(t, parent, "empty", "file", "thesis")
	if _, err := Begin(filepath.Join(parent, "file"), "step-1"); err == nil {
		t.Error("a file was taken for the parent directory")
	}
}

func TestDirMisuse(t *testing.T) {
	for name, misuse := range map[string]func(d *Dir) error{
		"twice":            func(d *Dir) error { return d.WriteJSON("state.json", 1) },
		"path":             func(d *Dir) error { return d.WriteJSON("../state.json", 1) },
		"reserved":         func(d *Dir) error { return d.WriteJSON("checksums.json", 1) },
		"not JSON":         func(d *Dir) error { return d.WriteJSON("f.json", func() {}) },
		"committed open":   func(d *Dir) error { d.Create("open.bin"); return d.Commit() },
		"target not ours":  func(d *Dir) error { os.WriteFile(d.target, nil, 0o666); return d.Commit() },
		"written when bad": func(d *Dir) error { d.WriteJSON("/", 1); return d.Commit() },
	} {
		parent := t.TempDir()
		d, err := Begin(parent, "step-1")
		if err != nil {
			t.Fatal(err)
		}
		if err := writeFilled(d, 1, 1000); err != nil {
			t.Fatal(err)
		}
		if misuse(d) == nil {
			t.Errorf("%s: no error", name)
		}
		if d.Commit() == nil {
			t.Errorf("%s: the error did not stick", name)
		}
		if list := entries(t, parent); len(list) > 0 && name != "target not ours" {
			t.Errorf("%s: %v was left", name, list)
		}
	}
}

// limited accepts room bytes in all files together, then says err. A failing
// Write keeps what fits, as a disk does.
type limited struct {
	storage
	room   *int
	err    error
	atSync bool
}

func (l limited) Write(p []byte) (int, error) {
	if l.atSync || len(p) <= *l.room {
		*l.room -= len(p)
		return l.storage.Write(p)
	}
	n, _ := l.storage.Write(p[:*l.room])
	*l.room = 0
	return n, &fs.PathError{Op: "write", Path: "hidden", Err: l.err}
}

func (l limited) Sync() error {
	if *l.room < 0 {
		return l.err
	}
	return l.storage.Sync()
}

func TestDiskFullAtEveryByte(t *testing.T) {
	parent := t.TempDir()
	old := save(t, parent, "step-5", 5)
	if err := SetLatest(parent, "step-5"); err != nil {
		t.Fatal(err)
	}
	attempt := func(room int, atSync bool) error {
		d, err := Begin(parent, "step-5")
		if err != nil {
			t.Fatal(err)
		}
		defer d.Abort()
		create := d.openFile
		d.openFile = func(path string) (storage, error) {
			f, err := create(path)
			return limited{f, &room, syscall.ENOSPC, atSync}, err
		}
		if err := writeFilled(d, 6, 1000); err != nil {
			return err
		}
		return d.Commit()
	}
	const needed = 1000 + 16 + 246 // weights.bin, state.json, checksums.json
	for _, atSync := range []bool{false, true} {
		for room := 0; room < needed; room += 61 {
			err := attempt(room, atSync)
			var saveError *SaveError
			if !errors.As(err, &saveError) || !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("room for %d bytes: %v", room, err)
			}
			wantEntries(t, parent, "LATEST", "step-5")
			if got := content(t, old); got != 5 {
				t.Fatalf("room for %d bytes: the old save became %d", room, got)
			}
			if room < 1000 && !atSync && (saveError.File != "weights.bin" || saveError.Written != int64(room) ||
				saveError.Expected != 1000) {
				t.Errorf("room for %d bytes: %+v", room, saveError)
			}
		}
	}
	want := "saving " + old + ": weights.bin: no space left on device after 700 bytes of 1000; nothing was changed, " +
		"the unfinished files were removed: make room on that disk (at least 1000 bytes for this file) or save " +
		"elsewhere"
	if err := attempt(700, false); err.Error() != want {
		t.Errorf("the error reads\n%s\nwant\n%s", err, want)
	}
	// A disk may have bytes to spare and no room for one more file.
	defer func(real func(string) bool) { noInodes = real }(noInodes)
	noInodes = func(path string) bool { return path == parent }
	if err := attempt(700, false); !strings.Contains(err.Error(), "no room for another file") ||
		strings.Contains(err.Error(), "1000 bytes for this file") {
		t.Errorf("without inodes: error %v", err)
	}
	if err := attempt(needed, false); err != nil {
		t.Errorf("enough room: %v", err)
	}
	if got := content(t, old); got != 6 {
		t.Errorf("with enough room %d was saved", got)
	}
}

// A device that is really full, where the system has one.
func TestDevFull(t *testing.T) {
	if !exists("/dev/full") {
		t.Skip("/dev/full is not there")
	}
	parent := t.TempDir()
	d, err := Begin(parent, "step-1")
	if err != nil {
		t.Fatal(err)
	}
	d.openFile = func(string) (storage, error) { return os.OpenFile("/dev/full", os.O_WRONLY, 0) }
	out, err := d.Create("model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	_, err = Create(out, []Info{{"a", F32, []int{100}}})
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "after 0 bytes of 504") ||
		!strings.Contains(err.Error(), "make room") {
		t.Errorf("error %v", err)
	}
	wantEntries(t, parent)
}

// A file that cannot even be made.
func TestCreateFails(t *testing.T) {
	parent := t.TempDir()
	d, err := Begin(parent, "step-1")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(d.temporary); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Create("a"); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "step-1") {
		t.Errorf("error %v", err)
	}
	wantEntries(t, parent)
}

func TestVerifyNamesTheDamage(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(dir string) error
		want   []string
	}{
		{"flipped byte", func(dir string) error {
			f, err := os.OpenFile(filepath.Join(dir, "weights.bin"), os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt([]byte{1}, 500)
			return errors.Join(err, f.Close())
		}, []string{"weights.bin", "541b3e9daa09b20bf85fa273e5cbd3e80185aa4ec298e765db87742b70138a53",
			"929958de02dfce4286923eba4627366079946f66fd2901d8e0e75252f11fd258"}},
		{"truncated", func(dir string) error { return os.Truncate(filepath.Join(dir, "weights.bin"), 999) },
			[]string{"weights.bin", "999", "1000"}},
		{"missing", func(dir string) error { return os.Remove(filepath.Join(dir, "state.json")) },
			[]string{"state.json is missing", "16 bytes"}},
		{"no checksums", func(dir string) error { return os.Remove(filepath.Join(dir, "checksums.json")) },
			[]string{"not a finished checkpoint"}},
		{"cut checksums", func(dir string) error { return os.Truncate(filepath.Join(dir, "checksums.json"), 100) },
			[]string{"checksums.json is damaged"}},
		{"way out", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "checksums.json"), []byte(`{"../x":{"size":0,"sha256":""}}`), 0o666)
		}, []string{"plain file name"}},
		{"not listed", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "tokenizer.json"), []byte("{}"), 0o666)
		}, []string{"checksums.json does not list tokenizer.json"}},
		{"no such directory", os.RemoveAll, []string{"not a finished checkpoint"}},
	} {
		dir := save(t, t.TempDir(), "step-1", 0)
		for _, name := range []string{"README.md", ".hidden"} { // for people
			writeFile(t, filepath.Join(dir, name), []byte("not listed"))
		}
		if err := Verify(dir); err != nil {
			t.Fatal(err)
		}
		if err := c.damage(dir); err != nil {
			t.Fatal(err)
		}
		err := Verify(dir)
		for _, want := range append(c.want, dir) {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v, want %q", c.name, err, want)
			}
		}
	}
}

// Whatever byte of whatever file flips, Verify says so, or nothing that it
// reads has another meaning.
func TestVerifyEveryFlip(t *testing.T) {
	dir := save(t, t.TempDir(), "step-1", 3)
	for _, name := range []string{"weights.bin", "state.json", "checksums.json"} {
		path := filepath.Join(dir, name)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for n := range whole {
			flipped := bytes.Clone(whole)
			flipped[n] ^= 1
			writeFile(t, path, flipped)
			if Verify(dir) != nil {
				continue
			}
			if name != "checksums.json" || strings.TrimSpace(string(whole[n])) != "" {
				t.Errorf("%s: byte %d (%q) flipped, Verify is content", name, n, whole[n])
			}
		}
		writeFile(t, path, whole)
	}
}

func TestLatest(t *testing.T) {
	parent := t.TempDir()
	if name, err := Latest(parent); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("LATEST before the first save: %q, %v", name, err)
	}
	if err := SetLatest(parent, "step-1"); err == nil {
		t.Error("LATEST was set to what does not exist")
	}
	save(t, parent, "step-1", 1)
	save(t, parent, "step-2", 1)
	for _, name := range []string{"step-1", "step-2"} {
		if err := SetLatest(parent, name); err != nil {
			t.Fatal(err)
		}
		if got, err := Latest(parent); got != name || err != nil {
			t.Errorf("LATEST is %q (%v), want %s", got, err, name)
		}
	}
	wantEntries(t, parent, "LATEST", "step-1", "step-2")
	if err := os.RemoveAll(filepath.Join(parent, "step-2")); err != nil {
		t.Fatal(err)
	}
	if _, err := Latest(parent); err == nil || errors.Is(err, fs.ErrNotExist) ||
		!strings.Contains(err.Error(), "step-2") {
		t.Errorf("LATEST names a removed checkpoint: %v", err)
	}
	for _, damage := range []string{"", "../step-1\n", "step-1\nstep-2\n\x00/"} {
		writeFile(t, filepath.Join(parent, "LATEST"), []byte(damage))
		if name, err := Latest(parent); err == nil {
			t.Errorf("LATEST %q was read as %q", damage, name)
		}
	}
}

// What is pruned is the oldest of the names that are given, never LATEST's, and nothing that is not named.
func TestPrune(t *testing.T) {
	all := []string{"step-2", "step-9", "step-10", "step-100", "step-99999999999999999999999"}
	for _, c := range []struct {
		keep    int
		latest  string
		known   []string
		removed []string
	}{
		{0, "", all, nil},
		{5, "", all, nil},
		{9, "step-2", all, nil},
		{4, "", all, []string{"step-2"}},
		{2, "step-100", all, []string{"step-2", "step-9", "step-10"}},
		{2, "step-2", all, []string{"step-9", "step-10", "step-100"}},
		{1, "step-9", all, []string{"step-2", "step-10", "step-100", "step-99999999999999999999999"}},
		{1, "", nil, nil},
		{1, "", []string{"step-10"}, nil},
		{1, "", []string{"step-9", "gone", "../best", "step-10"}, []string{"step-9"}},
	} {
		parent := t.TempDir()
		for _, name := range append(all, "step-", "step-1b", "step--3", "best", "model") {
			save(t, parent, name, 1)
		}
		writeFile(t, filepath.Join(parent, "step-1"), nil) // a file is no checkpoint
		if c.latest != "" {
			if err := SetLatest(parent, c.latest); err != nil {
				t.Fatal(err)
			}
		}
		before := len(entries(t, parent))
		removed, err := Prune(parent, c.known, c.keep)
		if err != nil || !slices.Equal(removed, c.removed) {
			t.Errorf("keep %d of %v with LATEST %q removed %v (%v), want %v", c.keep, c.known, c.latest, removed, err,
				c.removed)
		}
		after := entries(t, parent)
		for _, name := range removed {
			if slices.Contains(after, name) {
				t.Errorf("%s is still there", name)
			}
		}
		if len(after) != before-len(c.removed) {
			t.Errorf("keep %d left %v", c.keep, after)
		}
	}
	if _, err := Prune(t.TempDir(), nil, -1); err == nil {
		t.Error("keep -1 was accepted")
	}
}

func TestClean(t *testing.T) {
	parent := t.TempDir()
	if found, err := Clean(filepath.Join(parent, "nowhere")); err != nil || found != nil {
		t.Errorf("a missing parent: %v, %v", found, err)
	}
	save(t, parent, "step-1", 1)
	save(t, parent, "step-2", 2)
	// Killed between the two renames: the old step-2 stands aside, the new one is complete but hidden.
	if err := os.Rename(filepath.Join(parent, "step-2"), filepath.Join(parent, ".step-2.displaced")); err != nil {
		t.Fatal(err)
	}
	// Killed after them: step-1 is the new one.
	if err := os.Mkdir(filepath.Join(parent, ".step-1.displaced"), 0o777); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".step-2.saving-0123abcd", ".step-0.removing-00000000", ".git", ".cache.saving",
		"step-3.saving-0123abcd"} {
		if err := os.MkdirAll(filepath.Join(parent, name, "sub"), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, filepath.Join(parent, ".LATEST.saving-89abcdef"), []byte("step-"))
	found, err := Clean(parent)
	want := []string{".LATEST.saving-89abcdef", ".step-0.removing-00000000", ".step-1.displaced", ".step-2.displaced",
		".step-2.saving-0123abcd"}
	if err != nil || !slices.Equal(found, want) {
		t.Errorf("found %v (%v), want %v", found, err, want)
	}
	wantEntries(t, parent, ".cache.saving", ".git", "step-1", "step-2", "step-3.saving-0123abcd")
	for n, name := range []string{"step-1", "step-2"} {
		if got := content(t, filepath.Join(parent, name)); int(got) != n+1 {
			t.Errorf("%s holds %d", name, got)
		}
	}
	if found, err := Clean(parent); err != nil || len(found) > 0 {
		t.Errorf("a second Clean found %v (%v)", found, err)
	}
}

// A displaced leftover that was never cleaned does not stop the next save.
func TestCommitOverLeftovers(t *testing.T) {
	parent := t.TempDir()
	save(t, parent, "step-1", 1)
	if err := os.Rename(filepath.Join(parent, "step-1"), filepath.Join(parent, ".step-1.displaced")); err != nil {
		t.Fatal(err)
	}
	save(t, parent, "step-1", 2)
	save(t, parent, "step-1", 3)
	if _, err := Clean(parent); err != nil {
		t.Fatal(err)
	}
	wantEntries(t, parent, "step-1")
	if got := content(t, filepath.Join(parent, "step-1")); got != 3 {
		t.Errorf("step-1 holds %d, want 3", got)
	}
}

func Example() {
	parent, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(parent)
	save := func() error {
		d, err := Begin(parent, "step-100")
		if err != nil {
			return err
		}
		defer d.Abort()
		out, err := d.Create("model.safetensors")
		if err != nil {
			return err
		}
		w, err := Create(out, []Info{{Name: "blocks.0.wq", DType: F32, Shape: []int{2, 2}}})
		if err != nil {
			return err
		}
		if err := errors.Join(w.WriteF32("blocks.0.wq", []float32{1, 2, 3, 4}), w.Close(), out.Close()); err != nil {
			return err
		}
		if err := d.WriteJSON("state.json", map[string]int{"step": 100}); err != nil {
			return err
		}
		if err := d.Commit(); err != nil {
			return err
		}
		return SetLatest(parent, "step-100")
	}
	if err := save(); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(Latest(parent))
	// Output: step-100 <nil>
}
