package stage

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"hash"
	"unsafe"

	"steplm/gpu"
	"steplm/model"
	"steplm/stage/reduce"
)

// agree compares what the processes of a run must have in common: where they stand, and all weights, the frozen ones,
// which no sum of gradients would put right, and those that train, which drift apart on devices that compute
// differently.
func (r *Run) agree(t *Trainer) error {
	if r.Reducer.Size() == 1 {
		return nil
	}
	cursor, err := json.Marshal(t.batches.Cursor())
	if err != nil {
		return err
	}
	at, err := json.Marshal(t.at().Step)
	if err != nil {
		return err
	}
	_, numbers := t.opt.State()
	facts := []reduce.Fact{{Name: "recipe", Value: t.hash}, {Name: "step", Value: string(at)},
		{Name: "place in the data", Value: digest(cursor)}, {Name: "count of updates", Value: string(numbers)}}
	for _, p := range t.Model.Params() {
		sum, err := weightHash(t.dev, p)
		if err != nil {
			return err
		}
		kind := "weight"
		if !p.Trainable() {
			kind = "frozen weight"
		}
		facts = append(facts, reduce.Fact{Name: kind + " " + p.Weight.Name, Value: sum})
	}
	return r.Reducer.Agree(facts)
}

// digest is a short hash.
func digest(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// weightHash is of all that makes up a weight on its device.
func weightHash(d gpu.Device, p *model.Param) (string, error) {
	h := sha256.New()
	for _, t := range []gpu.Tensor{p.Weight, p.Scales, p.Master} {
		if err := hashTensor(h, d, t); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8]), nil
}

// hashTensor adds a tensor's words.
func hashTensor(h hash.Hash, d gpu.Device, t gpu.Tensor) error {
	if t.None() {
		return nil
	}
	room := make([]uint32, min(t.Spec.Words(), gpu.StagingBytes/4))
	for at := 0; at < t.Spec.Words(); at += len(room) {
		words := room[:min(len(room), t.Spec.Words()-at)]
		if err := d.Read(t, at, words); err != nil {
			return err
		}
		h.Write(unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), 4*len(words)))
	}
	return nil
}
