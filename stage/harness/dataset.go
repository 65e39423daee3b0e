package harness

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Dataset is where a task's documents come from.
type Dataset struct {
	Hub, Config             string   // on the hub: OWNER/NAME and the configuration
	Train, Validation, Test string   // the splits that there are
	keys                    []string // one of which stands in the paths of its files
	not                     []string // none of which does
	prefer                  string   // stands in the file that is meant, of several
	labels                  string   // a field that files may have beside them, in one that ends in -labels.lst
	pages                   string   // the field of pages, which may also be lines or one text
}

// The splits.
const (
	train      = "train"
	validation = "validation"
	test       = "test"
)

// Evaluated is the split whose documents are asked.
func (d Dataset) Evaluated() string {
	if d.Test != "" {
		return d.Test
	}
	return d.Validation
}

// Pool is the split from which shots are drawn.
func (d Dataset) Pool() string {
	if d.Train != "" {
		return d.Train
	}
	if d.Validation != "" {
		return d.Validation
	}
	return d.Test
}

// Source is the data set on the hub, in the branch where every data set is Parquet, as session.Local takes it.
func (d Dataset) Source() string {
	return "hf://datasets/" + d.Hub + "@refs%2Fconvert%2Fparquet/" + d.Config
}

// splitWords are how the names of files say their split.
var splitWords = map[string]string{"train": train, "training": train, "validation": validation, "valid": validation,
	"val": validation, "dev": validation, "test": test}

// ErrNoFile is a folder without a file of a split.
var ErrNoFile = errors.New("there is no such file")

// files finds those of a split in folders: a name has the data set's and the split's, or not the latter where the split
// is the one that is evaluated.
func (t *Task) files(folders []string, split string) ([]string, error) {
	for _, folder := range folders {
		found, err := t.filesIn(folder, split)
		if err != nil || len(found) > 0 {
			return found, err
		}
	}
	return nil, fmt.Errorf("%s: no file of the %s split in %s: the name of one has %s and %s in it, and ends in %s "+
		"(on the hub: %s): %w", t.Name, split, strings.Join(folders, ", "), t.Data.keys[0], split,
		strings.Join(t.endings(), ", "), t.Data.Source(), ErrNoFile)
}

// endings are those of the files that a task reads.
func (t *Task) endings() []string {
	list := []string{".jsonl", ".json", ".parquet"}
	if t.Data.pages != "" {
		list = append(list, ".raw", ".txt", ".tokens")
	}
	return list
}

// part is what tells the shards of one file apart.
var part = regexp.MustCompile(`[0-9]{4,5}(-of-[0-9]{5})?`)

func (t *Task) filesIn(folder, split string) ([]string, error) {
	root, err := filepath.EvalSymlinks(folder)
	if err != nil {
		return nil, err
	}
	named, unnamed := map[string][]string{}, map[string][]string{} // by what their names have in common
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(root, path)
		if err != nil || e.IsDir() || !slices.Contains(t.endings(), filepath.Ext(path)) {
			return err
		}
		words, own := t.words(below)
		if !own { // The folder may be that of one data set, or of one of its splits; where it lies says nothing more.
			if own, _ := t.owns(filepath.Join(folder, below)); !own {
				return nil
			}
			words, _ = t.words(filepath.Join(filepath.Base(folder), below))
		}
		of := t.Data.Evaluated()
		for _, w := range words {
			if s, ok := splitWords[w]; ok {
				of = s
			}
		}
		if of != split {
			return nil
		}
		list := unnamed
		if own, _ := t.owns(below); own {
			list = named
		}
		key := part.ReplaceAllString(below, "")
		list[key] = append(list[key], path)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(named) == 0 {
		named = unnamed
	}
	return t.one(named, split)
}

// normal is a path in words, each between underscores.
func normal(path string) string {
	return "_" + strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(path), "_"), "_") + "_"
}

// owns reports whether a path is one of the data set's, and by which key.
func (t *Task) owns(path string) (bool, string) {
	text := normal(path)
	for _, w := range t.Data.not {
		if strings.Contains(text, "_"+w+"_") {
			return false, ""
		}
	}
	for _, k := range t.Data.keys {
		if strings.Contains(text, "_"+k+"_") {
			return true, k
		}
	}
	return false, ""
}

// words are a path's words besides the data set's name, if it is one of its files.
func (t *Task) words(path string) ([]string, bool) {
	own, key := t.owns(path)
	text := normal(path)
	if own && !splitsIn(key) {
		text = strings.ReplaceAll(text, "_"+key+"_", "_")
	}
	return strings.Split(text, "_"), own
}

// splitsIn reports whether a key itself says a split.
func splitsIn(key string) bool {
	return slices.ContainsFunc(strings.Split(key, "_"), func(w string) bool { return splitWords[w] != "" })
}

// one chooses among files.
func (t *Task) one(by map[string][]string, split string) ([]string, error) {
	keys := slices.Sorted(maps.Keys(by))
	if len(keys) > 1 && t.Data.prefer != "" {
		if best := slices.DeleteFunc(slices.Clone(keys), func(k string) bool {
			return !strings.Contains(normal(k), "_"+t.Data.prefer+"_")
		}); len(best) > 0 {
			keys = best
		}
	}
	if len(keys) > 1 {
		return nil, fmt.Errorf(
			"%s: %s and %s may both be its %s split: keep one in the folder",
			t.Name,
			keys[0],
			keys[1],
			split,
		)
	}
	if len(keys) == 0 {
		return nil, nil
	}
	slices.Sort(by[keys[0]])
	return by[keys[0]], nil
}

// Identity is a hash of the files' contents from which a task's documents are read, and its shots where there are any,
// without the files of labels.
func (t *Task) Identity(folders []string, shots int) (string, error) {
	files, err := t.filesOf(folders, shots)
	if err != nil {
		return "", err
	}
	return hashOf(files)
}

// LabelsIdentity is that of the files of labels beside them; "": there are none.
func (t *Task) LabelsIdentity(folders []string, shots int) (string, error) {
	files, err := t.filesOf(folders, shots)
	if err != nil {
		return "", err
	}
	var labels []string
	for _, path := range files {
		name, may := t.labelsBeside(path)
		if !may {
			continue
		}
		if _, err := os.Stat(name); err == nil {
			labels = append(labels, name)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	if len(labels) == 0 {
		return "", nil
	}
	return hashOf(labels)
}

// filesOf are those of the documents that are asked, and of the shots where there are any.
func (t *Task) filesOf(folders []string, shots int) ([]string, error) {
	files, err := t.files(folders, t.Data.Evaluated())
	if err != nil {
		return nil, err
	}
	if pool := t.Data.Pool(); shots > 0 && pool != t.Data.Evaluated() {
		more, err := t.files(folders, pool)
		if err != nil {
			return nil, err
		}
		files = append(files, more...)
	}
	return files, nil
}

// labelsBeside is the path of the labels of a file's rows, if they may be in a file of their own.
func (t *Task) labelsBeside(path string) (name string, may bool) {
	ext := filepath.Ext(path)
	return strings.TrimSuffix(path, ext) + "-labels.lst", t.Data.labels != "" && ext != ".parquet"
}

// hashOf is one of files' contents, one after another.
func hashOf(files []string) (string, error) {
	h := sha256.New()
	for _, path := range files {
		f, err := os.Open(path)
		if err != nil {
			return "", err
		}
		_, err = io.Copy(h, f)
		f.Close()
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
