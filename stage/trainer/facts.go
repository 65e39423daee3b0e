package trainer

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"

	"steplm/stage/reduce"
)

// Facts are what the processes of a run must have in common besides its recipe: where they stand, and all weights, the
// frozen ones, which no sum of gradients would put right, and those that train, which drift apart on devices that
// compute differently.
func (t *Trainer) Facts() ([]reduce.Fact, error) {
	cursor, err := json.Marshal(t.Cursor())
	if err != nil {
		return nil, err
	}
	place := sha256.Sum256(cursor)
	_, numbers := t.opt.State()
	facts := []reduce.Fact{{Name: "number of steps", Value: strconv.Itoa(t.step)},
		{Name: "place in the data", Value: hex.EncodeToString(place[:8])},
		{Name: "count of updates", Value: string(numbers)}}
	for _, p := range t.Model.Params() {
		sum, err := p.Hash(t.dev)
		if err != nil {
			return nil, err
		}
		kind := "weight"
		if !p.Trainable() {
			kind = "frozen weight"
		}
		facts = append(facts, reduce.Fact{Name: kind + " " + p.Weight.Name, Value: sum})
	}
	return facts, nil
}
