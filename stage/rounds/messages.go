package rounds

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"steplm/model"
	"steplm/stage/outer"
)

// Bodies of messages but changes, averages and states are JSON of these, of at most smallBody bytes, a welcome's of
// welcomeBody.
const (
	smallBody   = 4 << 10
	welcomeBody = 1 << 20
)

type helloBody struct {
	Name string `json:"name"`
	// Of a worker that comes back, its number, and always a secret of its own by which it is known again.
	Process int    `json:"process,omitempty"`
	Token   string `json:"token"`
}

// Welcome is how a run was begun.
type Welcome struct {
	Process int             `json:"process"` // the worker's number, from 1 on: each has an order of the data of its own
	Recipe  json.RawMessage `json:"recipe"`
	Spec    json.RawMessage `json:"spec"`
}

type readyBody struct {
	Recipe string `json:"recipe"` // its hash
	// Round is what a worker that comes back is in; nil: it wants the state.
	Round *beginBody `json:"round,omitempty"`
}

type textBody struct {
	Text string `json:"text"`
	Back bool   `json:"back,omitempty"` // the coordinator may come back
}

// mostWords is as much of a text as is said: its JSON is a small body whatever is in it.
const mostWords = 600

func words(text string, back bool) []byte {
	return encode(textBody{Text: text[:min(len(text), mostWords)], Back: back})
}

// beginBody is a round's beginning.
type beginBody struct {
	Stage int               `json:"stage"`
	Step  int               `json:"step"`
	Hash  [sha256.Size]byte `json:"hash"` // of anchors and momenta
}

// stateHead goes before a snapshot, as changeHead before a change, and averageHead before an average.
type stateHead struct {
	Stage int               `json:"stage"`
	Step  int               `json:"step"`
	Sum   [sha256.Size]byte `json:"sum"` // of the snapshot
}

type progressBody struct {
	Step  int `json:"step"` // at which the round began
	Done  int `json:"done"`
	Steps int `json:"steps"`
}

type changeHead struct {
	Step   int   `json:"step"` // at which the round began
	Tokens int64 `json:"tokens"`
}

type averageHead struct {
	Step int               `json:"step"` // at which the round began
	Hash [sha256.Size]byte `json:"hash"` // of anchors and momenta afterwards
}

// encode is plain data's JSON.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // of types of this file alone
	}
	return b
}

// decode reads it, and nothing else.
func decode(body []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// headed is a head's JSON, a line break, and what follows.
func headed(head any, body []byte) []byte { return append(append(encode(head), '\n'), body...) }

// beheaded is headed's inverse.
func beheaded(body []byte, head any) (rest []byte, err error) {
	i := bytes.IndexByte(body[:min(len(body), smallBody)], '\n')
	if i < 0 {
		return nil, fmt.Errorf("a message of %d bytes without a head", len(body))
	}
	return body[i+1:], decode(body[:i], head)
}

// sizes are the most bytes of a run's large messages, over its stages.
type sizes struct{ change, state int64 }

func sizesOf(c outer.Config, layouts []model.Layout) (s sizes) {
	for _, l := range layouts {
		s.change, s.state = max(s.change, c.WireBytes(l)), max(s.state, c.SnapshotBytes(l))
	}
	return s
}

// toCoordinator limits what a worker may send: hello alone at first, and a change only once it takes part.
func (s sizes) toCoordinator(admitted, taking bool) func(kind) int64 {
	return func(k kind) int64 {
		switch {
		case k == hello || k == leave:
			return smallBody
		case admitted && (k == ready || k == alive):
			return smallBody
		case taking && (k == differs || k == progress):
			return smallBody
		case taking && k == change:
			return smallBody + s.change
		}
		return -1
	}
}

// toWorker limits what the coordinator may send. Before a worker knows the recipe there is nothing large.
func (s sizes) toWorker(k kind) int64 {
	switch k {
	case welcome:
		return welcomeBody
	case refused, begin, over, alive, leave:
		return smallBody
	case state:
		return smallBody + s.state
	case average:
		return smallBody + s.change
	}
	return -1
}
