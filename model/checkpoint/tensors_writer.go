package checkpoint

import (
	"fmt"
	"io"
)

// shardIndex is model.safetensors.index.json.
type shardIndex struct {
	Metadata struct {
		TotalSize int64 `json:"total_size"`
	} `json:"metadata"`
	WeightMap map[string]string `json:"weight_map"` // tensor -> file
}

// TensorsWriter streams tensors into a Dir as model.safetensors or, where one
// file would be too large, as numbered shards with an index.
type TensorsWriter struct {
	dir    *Dir
	shards []shard
	number map[string]int // tensor -> its shard's index
	index  int            // of the shard being written
	out    io.WriteCloser
	writer *Writer
}

type shard struct {
	file  string
	infos []Info
}

// CreateTensors declares infos in the order in which they will be written. No
// file exceeds shardBytes of data, save one that holds a single larger tensor;
// 0 means one file.
func CreateTensors(d *Dir, infos []Info, shardBytes int64) (*TensorsWriter, error) {
	shards := []shard{{}}
	var bytes, total int64
	for _, i := range infos {
		if err := i.check(); err != nil { // before its Bytes are believed
			return nil, err
		}
		last := &shards[len(shards)-1]
		if shardBytes > 0 && len(last.infos) > 0 && bytes+i.Bytes() > shardBytes {
			shards = append(shards, shard{})
			last = &shards[len(shards)-1]
			bytes = 0
		}
		last.infos = append(last.infos, i)
		bytes += i.Bytes()
		total += i.Bytes()
	}
	shards[0].file = singleName
	w := &TensorsWriter{dir: d, shards: shards, number: map[string]int{}}
	var index shardIndex
	index.Metadata.TotalSize = total
	index.WeightMap = map[string]string{}
	for n := range shards {
		s := &shards[n]
		if len(shards) > 1 {
			s.file = fmt.Sprintf("model-%05d-of-%05d.safetensors", n+1, len(shards))
		}
		for _, i := range s.infos {
			if _, ok := w.number[i.Name]; ok {
				return nil, fmt.Errorf("tensor name %q is declared twice", i.Name)
			}
			w.number[i.Name] = n
			index.WeightMap[i.Name] = s.file
		}
	}
	if len(shards) > 1 {
		if err := d.WriteJSON(indexName, index); err != nil {
			return nil, err
		}
	}
	if err := w.open(); err != nil {
		return nil, err
	}
	return w, nil
}

// WriteF32 is Writer.WriteF32, in the shard that is due.
func (w *TensorsWriter) WriteF32(name string, values []float32) error {
	if err := w.turn(name); err != nil {
		return err
	}
	return w.writer.WriteF32(name, values)
}

// Close checks that everything declared was written and closes the last file.
func (w *TensorsWriter) Close() error {
	if err := w.goTo(len(w.shards) - 1); err != nil {
		return err
	}
	return w.closeShard()
}

// turn goes on to the shard of the named tensor; the writer there, or here,
// says whether it is due.
func (w *TensorsWriter) turn(name string) error {
	return w.goTo(w.number[name])
}

func (w *TensorsWriter) goTo(index int) error {
	for w.index < index {
		if err := w.closeShard(); err != nil {
			return err
		}
		w.index++
		if err := w.open(); err != nil {
			return err
		}
	}
	return nil
}

func (w *TensorsWriter) open() error {
	s := w.shards[w.index]
	out, err := w.dir.Create(s.file)
	if err != nil {
		return err
	}
	writer, err := Create(out, s.infos)
	if err != nil {
		return err
	}
	w.out, w.writer = out, writer
	return nil
}

func (w *TensorsWriter) closeShard() error {
	if err := w.writer.Close(); err != nil {
		return err
	}
	return w.out.Close()
}
