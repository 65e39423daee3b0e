package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The names under which Hugging Face keeps a model's tensors.
const (
	singleName = "model.safetensors"
	indexName  = "model.safetensors.index.json"
)

// Tensors reads the named tensors of a model, from one file or from shards.
// Its methods may be called concurrently.
type Tensors struct {
	path  string
	files []*File
	names []string
	file  map[string]*File // by tensor name
}

// OpenDir opens a directory that holds model.safetensors or
// model.safetensors.index.json with its shards, or one .safetensors file.
// Every header is validated and every tensor of the index must be there.
func OpenDir(path string) (*Tensors, error) {
	stat, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	t := &Tensors{path: path, file: map[string]*File{}}
	switch single, index := filepath.Join(path, singleName), filepath.Join(path, indexName); {
	case !stat.IsDir():
		err = t.openSingle(path)
	case exists(single):
		err = t.openSingle(single)
	case exists(index):
		err = t.openIndex(index)
	case len(pickles(path)) > 0:
		name := filepath.Base(pickles(path)[0])
		err = fmt.Errorf("%s: %s is a pickle, which can run code and is not read: convert the model by `"+
			"python3 -c \"from transformers import AutoModelForCausalLM as M; M.from_pretrained('%s', "+
			"torch_dtype='auto').save_pretrained('%s-safetensors')\"`, and copy the tokenizer's files there", path,
			name, path, strings.TrimRight(path, `/\`))
	default:
		err = fmt.Errorf("%s: neither %s nor %s is there", path, singleName, indexName)
	}
	if err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// pickles are the files of a model that torch.save wrote.
func pickles(dir string) []string {
	list, _ := filepath.Glob(filepath.Join(dir, "pytorch_model*.bin")) // A bad pattern is the only error.
	return list
}

func (t *Tensors) openSingle(path string) error {
	f, err := Open(path)
	if err != nil {
		return err
	}
	t.files = []*File{f}
	t.names = f.Names()
	for _, name := range t.names {
		t.file[name] = f
	}
	return nil
}

func (t *Tensors) openIndex(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var index struct { // total_size is often wrong, or a float: not read
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(text, &index); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if len(index.WeightMap) == 0 {
		return fmt.Errorf("%s: weight_map is missing or empty", path)
	}
	byShard := map[string][]string{}
	for name, shard := range index.WeightMap {
		byShard[shard] = append(byShard[shard], name)
	}
	for _, shard := range sortedKeys(byShard) {
		if !plain(shard) {
			return fmt.Errorf("%s: shard %q is not a plain file name", path, shard)
		}
		f, err := Open(filepath.Join(filepath.Dir(path), shard))
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s: shard %s is missing (1 of %d, it holds %d of %d tensors): copy it next to the "+
				"index: %w",
				path, shard, len(byShard), len(byShard[shard]), len(index.WeightMap), fs.ErrNotExist)
		}
		if err != nil {
			return err
		}
		t.files = append(t.files, f)
		named := byShard[shard]
		slices.Sort(named)
		for _, name := range named {
			if _, ok := f.Info(name); !ok {
				return fmt.Errorf("%s: tensor %q should be in shard %s, which has no such tensor", path, name, shard)
			}
			t.file[name] = f
		}
		for _, name := range f.names {
			if t.file[name] == f {
				t.names = append(t.names, name)
			}
		}
	}
	return nil
}

// Names lists the tensors, shard by shard, in the order of their data.
func (t *Tensors) Names() []string { return slices.Clone(t.names) }

// Info describes one tensor; false means that there is none of that name.
func (t *Tensors) Info(name string) (Info, bool) {
	f, ok := t.file[name]
	if !ok {
		return Info{}, false
	}
	return f.Info(name)
}

// Shape is Info's shape.
func (t *Tensors) Shape(name string) ([]int, bool) {
	info, ok := t.Info(name)
	return info.Shape, ok
}

// ReadF32 is File.ReadF32 on the file that holds the tensor.
func (t *Tensors) ReadF32(name string, at int, dst []float32) error {
	f, err := t.find(name)
	if err != nil {
		return err
	}
	return f.ReadF32(name, at, dst)
}

// ReadRaw is File.ReadRaw on the file that holds the tensor.
func (t *Tensors) ReadRaw(name string, at int64, dst []byte) error {
	f, err := t.find(name)
	if err != nil {
		return err
	}
	return f.ReadRaw(name, at, dst)
}

// Close releases the files; reads after it fail.
func (t *Tensors) Close() error {
	var errs []error
	for _, f := range t.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

func (t *Tensors) find(name string) (*File, error) {
	f, ok := t.file[name]
	if !ok {
		return nil, fmt.Errorf("%s: no tensor %q among its %d", t.path, name, len(t.names))
	}
	return f, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// plain says whether name is one path element that is not hidden: it cannot
// lead out of its directory and cannot look like a leftover.
func plain(name string) bool {
	return name != "" && !strings.ContainsAny(name, `/\`) && filepath.IsLocal(name) && !strings.HasPrefix(name, ".")
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
