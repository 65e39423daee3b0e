package samples

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/model"
	"steplm/model/advice"
	"steplm/model/generate"
	"steplm/model/sample"
	"steplm/stage/record"
)

// letters is a decoder: id 0 ends a text, 1 begins one, and the others are letters.
type letters struct{}

func (letters) Decode(ids []uint32) (string, error) {
	text := ""
	for _, id := range ids {
		text += string(rune('a' + id))
	}
	return text, nil
}

func (letters) VocabSize() int { return 26 }

// small is a model on a device, with its plan of samples.
func small(t *testing.T) (*model.Model, Plan) {
	t.Helper()
	c := model.Config{Vocab: 16, Hidden: 8, FFN: 12, Layers: 2, Heads: 2, KVHeads: 1, MaxSeqLen: 64, NormEps: 1e-5,
		RopeTheta: 10000}
	l := model.Plain(c, c.Layers).ForInference()
	l.Storage.Precision = model.F32
	m, err := model.New(gpu.NewHost(), l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Free)
	if err := m.Init(3, func(*model.Param) bool { return true }); err != nil {
		t.Fatal(err)
	}
	return m, Plan{Every: 2, Window: 20, Ends: []uint32{0}, Decoder: letters{}, Option: advice.SampleEvery,
		Sampling: sample.Config{Temperature: 0.8, TopP: 0.95, Seed: 5}, Prompts: []Prompt{
			{Text: "c", IDs: []uint32{2}},
			{Text: "cd", IDs: []uint32{1, 2, 3}, Begins: true},
			{Text: "e", IDs: []uint32{4}}}}
}

// draw draws samples within so many bytes.
func draw(t *testing.T, m *model.Model, p Plan, bytes int64) (list []record.Sample, c generate.Config) {
	t.Helper()
	c, err := p.Config(m.Layout, bytes)
	if err != nil {
		t.Fatal(err)
	}
	g, err := generate.New(m, c)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Free()
	before := m.Device().Ledger().Total()
	if specs, err := generate.Specs(m.Layout, c); err != nil || gpu.Plan(specs).Total() > bytes {
		t.Errorf("%+v takes more than %d bytes: %v", c, bytes, err)
	}
	if list, err = p.Draw(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	if after := m.Device().Ledger().Total(); after != before {
		t.Errorf("drawing took %d bytes more", after-before)
	}
	return list, c
}

// TestSamplesFit: the fewer bytes there are, the less is done at once, down to an error; what is drawn stays the same.
func TestSamplesFit(t *testing.T) {
	m, p := small(t)
	want, most := draw(t, m, p, 1<<30)
	if most.Slots != 3 || most.Chunk != mostRead || most.Context != 20 {
		t.Errorf("with all the room there is: %+v", most)
	}
	specs, err := generate.Specs(m.Layout, most)
	if err != nil {
		t.Fatal(err)
	}
	bytes, seen := gpu.Plan(specs).Total(), map[int]bool{}
	for ; ; bytes = bytes * 9 / 10 {
		if _, err = p.Config(m.Layout, bytes); err != nil {
			break
		}
		got, c := draw(t, m, p, bytes)
		seen[c.Slots] = true
		if !slices.EqualFunc(want, got, func(a, b record.Sample) bool {
			return a.Prompt == b.Prompt && a.Text == b.Text && a.Finish == b.Finish && slices.Equal(a.IDs, b.IDs)
		}) {
			t.Errorf("%+v gives %+v, want %+v", c, got, want)
		}
	}
	var a *advice.Error
	if !errors.As(err, &a) || a.Ways[0][0].Option != advice.SampleEvery || !seen[1] || !seen[2] ||
		!strings.Contains(err.Error(), gpu.Bytes(bytes)) {
		t.Errorf("slots %v, then %v", seen, err)
	}
}

// TestSampleTexts: a text goes on after its prompt to the end of the window, without the token that ends it.
func TestSampleTexts(t *testing.T) {
	m, p := small(t)
	list, _ := draw(t, m, p, 1<<30)
	for i, s := range list {
		ids := s.IDs
		ended := ids[len(ids)-1] == 0
		if ended {
			ids = ids[:len(ids)-1]
		}
		text, _ := letters{}.Decode(ids)
		if full := len(s.IDs) == p.Window-len(p.Prompts[i].IDs)+1; s.Prompt != p.Prompts[i].Text || s.Text != text ||
			(s.Finish == "eos") != ended || (s.Finish == "length") != full {
			t.Errorf("sample %+v", s)
		}
	}
	if p.Due(0) || p.Due(3) || !p.Due(4) || (Plan{}).Due(4) {
		t.Error("samples are due at other steps")
	}
}
