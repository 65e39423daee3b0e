package tokenizer

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"steplm/data/tokenizer/internal/decode"
	"steplm/data/tokenizer/internal/normalize"
	"steplm/data/tokenizer/internal/postprocess"
	"steplm/data/tokenizer/internal/pretokenize"
	"steplm/data/tokenizer/internal/subword"
)

// The kinds of pieces and of models in sentencepiece_model.proto.
const (
	pieceNormal, pieceUnknown, pieceControl, pieceUserDefined, pieceUnused, pieceByte = 1, 2, 3, 4, 5, 6
	modelUnigram, modelBPE                                                            = 1, 2
)

// maxPieceBytes bounds the time to find all ways to make a piece, the square of its length.
// SentencePiece trains 64 bytes.
const maxPieceBytes = 1024

type sentencePiece struct {
	text  string
	score float32
	kind  uint64
}

// sentencePieceModel is what a .model file says that changes ids, with the defaults of what it leaves out.
type sentencePieceModel struct {
	pieces       []sentencePiece
	model        uint64
	byteFallback bool
	suffix       bool // the mark ends words
	bos          int
	dummyPrefix  bool
	squeeze      bool // runs of spaces become one
	escape       bool // spaces become marks
	charsmap     bool // characters are mapped, as in nmt_nfkc
}

func readSentencePiece(content []byte) (*sentencePieceModel, error) {
	m := &sentencePieceModel{model: modelUnigram, bos: 1, dummyPrefix: true, squeeze: true, escape: true}
	err := eachField(content, func(f protoField) error {
		switch {
		case f.wire != 2:
			return nil
		case f.number == 1:
			return m.readPiece(f.bytes)
		case f.number == 2:
			return eachField(f.bytes, m.readTrainer)
		case f.number == 3:
			return eachField(f.bytes, m.readNormalizer)
		case f.number == 5:
			return eachField(f.bytes, func(f protoField) error {
				m.charsmap = m.charsmap || f.number == 2 && len(f.bytes) > 0
				return nil
			})
		}
		return nil
	})
	return m, err
}

func (m *sentencePieceModel) readPiece(message []byte) error {
	p := sentencePiece{kind: pieceNormal}
	err := eachField(message, func(f protoField) error {
		switch {
		case f.number == 1 && f.wire == 2:
			p.text = string(f.bytes)
		case f.number == 2 && f.wire == 5:
			p.score = math.Float32frombits(uint32(f.value))
		case f.number == 3 && f.wire == 0:
			p.kind = f.value
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("piece %d: %w", len(m.pieces), err)
	}
	m.pieces = append(m.pieces, p)
	return nil
}

func (m *sentencePieceModel) readTrainer(f protoField) error {
	if f.wire != 0 {
		return nil
	}
	switch f.number {
	case 3:
		m.model = f.value
	case 24:
		m.suffix = f.value != 0
	case 35:
		m.byteFallback = f.value != 0
	case 41:
		m.bos = int(int32(f.value))
	}
	return nil
}

func (m *sentencePieceModel) readNormalizer(f protoField) error {
	switch f.number {
	case 2:
		m.charsmap = m.charsmap || len(f.bytes) > 0
	case 3:
		m.dummyPrefix = f.value != 0
	case 4:
		m.squeeze = f.value != 0
	case 5:
		m.escape = f.value != 0
	}
	return nil
}

// check refuses what would not be reproduced exactly.
func (m *sentencePieceModel) check() error {
	switch {
	case len(m.pieces) == 0:
		return fmt.Errorf("no pieces: not a SentencePiece model, or damaged")
	case m.model != modelUnigram && m.model != modelBPE:
		return fmt.Errorf("model_type %d is not supported, only unigram (1) and BPE (2) are", m.model)
	case m.model == modelBPE && !m.byteFallback:
		return fmt.Errorf("BPE without byte_fallback is not supported: characters outside the vocabulary would be lost")
	case m.charsmap:
		return fmt.Errorf("a normalization rule such as nmt_nfkc is not supported, only identity is")
	case !m.escape:
		return fmt.Errorf("escape_whitespaces false is not supported")
	case m.suffix:
		return fmt.Errorf("treat_whitespace_as_suffix is not supported")
	}
	bytes := map[byte]bool{}
	for id, p := range m.pieces {
		if b, ok := subword.FallbackByte(p.text); ok && p.kind == pieceByte {
			bytes[b] = true
		}
		switch {
		case p.text == "" || !utf8.ValidString(p.text):
			return fmt.Errorf("piece %d is %q, which is empty or not UTF-8", id, p.text)
		case len(p.text) > maxPieceBytes:
			return fmt.Errorf("piece %d has %d bytes, the limit is %d: not a SentencePiece model, or damaged", id,
				len(p.text), maxPieceBytes)
		case p.kind == pieceUserDefined || p.kind == pieceUnused:
			return fmt.Errorf("piece %d, %q, is user-defined or unused (type %d), which is not supported: use the "+
				"tokenizer.json", id, p.text, p.kind)
		case p.kind < pieceNormal || p.kind > pieceByte:
			return fmt.Errorf("piece %d, %q, has the unknown type %d", id, p.text, p.kind)
		case math.IsNaN(float64(p.score)):
			return fmt.Errorf("piece %d, %q, has a score that is not a number", id, p.text)
		}
	}
	for b := range 256 {
		if m.byteFallback && !bytes[byte(b)] {
			return fmt.Errorf("there is no piece \"<0x%02X>\" for byte_fallback: some text would be lost", b)
		}
	}
	return nil
}

// parseSentencePiece reads a .model file as transformers converts Llama's: control and unknown pieces become special
// tokens that are found in text, and the beginning-of-sequence token goes before a text that is encoded with special
// tokens.
func parseSentencePiece(content []byte) (definition, error) {
	m, err := readSentencePiece(content)
	if err != nil {
		return definition{}, err
	}
	if err := m.check(); err != nil {
		return definition{}, err
	}
	var d definition
	if d.pre, err = pretokenize.New(); err != nil {
		return d, err
	}
	if d.normalizer, err = m.normalizer(); err != nil {
		return d, err
	}
	d.decoder = decode.Chain{decode.NewReplace(spaceMark, " "), &decode.ByteFallback{Type: "ByteFallback"},
		&decode.Fuse{Type: "Fuse"}}
	if m.dummyPrefix {
		d.decoder = append(d.decoder, decode.NewStrip(" ", 1))
	}
	vocab := make(map[string]uint32, len(m.pieces))
	for i, p := range m.pieces {
		id := uint32(i)
		if first, ok := vocab[p.text]; ok {
			return d, fmt.Errorf("piece %q has both id %d and id %d", p.text, first, id)
		}
		vocab[p.text] = id
		if p.kind == pieceControl || p.kind == pieceUnknown {
			d.added = append(d.added, addedToken{ID: id, Content: p.text, Special: true})
		}
	}
	if 0 <= m.bos && m.bos < len(m.pieces) && m.pieces[m.bos].kind == pieceControl {
		d.post = postprocess.BeginWith(m.pieces[m.bos].text, uint32(m.bos))
	}
	if m.model == modelUnigram {
		d.model, err = m.unigram()
		return d, err
	}
	merges, err := m.merges(vocab)
	d.model = subword.NewBPE(subword.BPEOptions{Vocab: vocab, Merges: merges, ByteFallback: true})
	return d, err
}

// normalizer is what SentencePiece does to a text before it looks for pieces, by the parts of a tokenizer.json.
func (m *sentencePieceModel) normalizer() (normalize.Chain, error) {
	var c normalize.Chain
	if m.squeeze {
		for _, r := range [][2]string{{`\A +|[ ▁]+\z`, ""}, {` {2,}`, " "}} {
			part, err := normalize.NewReplaceRegex(r[0], r[1])
			if err != nil {
				return nil, err
			}
			c = append(c, part)
		}
	}
	if m.dummyPrefix {
		c = append(c, normalize.NewPrepend(spaceMark))
	}
	return append(c, normalize.NewReplace(" ", spaceMark)), nil
}

// unigram is the model of pieces with log-probabilities. Only normal pieces are found in text.
func (m *sentencePieceModel) unigram() (subword.Model, error) {
	tokens := make([]subword.Scored, len(m.pieces))
	var unk *uint32
	for i, p := range m.pieces {
		tokens[i] = subword.Scored{Text: p.text, Score: float64(p.score)}
		if p.kind == pieceUnknown {
			unk = new(uint32(i))
		}
	}
	return subword.NewUnigram(tokens, unk, m.byteFallback)
}

func onlyMarks(text string) bool { return strings.Trim(text, spaceMark) == "" }

// scoredMerge is a way to make a piece of two others.
type scoredMerge struct {
	score              float32
	whole, left, right uint32
}

// merges turns scores into ranks: SentencePiece merges the two neighbours that together are the piece
// of the highest score.
// Of equal scores it takes the leftmost, which ranks cannot say; so only runs of spaces may have equal
// ones, as Llama's do, in the order of their ids, as transformers has it, if that comes to the same.
func (m *sentencePieceModel) merges(vocab map[string]uint32) ([][2]string, error) {
	normal := func(text string) (uint32, bool) {
		id, ok := vocab[text]
		return id, ok && m.pieces[id].kind == pieceNormal
	}
	var found []scoredMerge
	owner := map[float32]string{}
	for _, p := range m.pieces {
		if p.kind != pieceNormal || utf8.RuneCountInString(p.text) < 2 {
			continue
		}
		if other, ok := owner[p.score]; ok && !(onlyMarks(other) && onlyMarks(p.text)) {
			return nil, fmt.Errorf("pieces %q and %q have the same score %v, so that merges have no order", other,
				p.text, p.score)
		}
		owner[p.score] = p.text
		for at, r := range p.text {
			if _, ok := normal(string(r)); !ok {
				return nil, fmt.Errorf("piece %q holds %q, which is no piece itself", p.text, r)
			}
			left, ok := normal(p.text[:at])
			if !ok {
				continue
			}
			if right, ok := normal(p.text[at:]); ok {
				found = append(found, scoredMerge{p.score, vocab[p.text], left, right})
			}
		}
	}
	slices.SortFunc(found, func(a, b scoredMerge) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.whole, b.whole), cmp.Compare(a.left, b.left),
			cmp.Compare(a.right, b.right))
	})
	if err := m.checkRuns(found); err != nil {
		return nil, err
	}
	merges := make([][2]string, len(found))
	for i, f := range found {
		merges[i] = [2]string{m.pieces[f.left].text, m.pieces[f.right].text}
	}
	return merges, nil
}

// longestRun is the number of spaces up to which checkRuns looks: Llama's longest piece has 16.
const longestRun = 128

// checkRuns compares, for runs of spaces, the merges in the order of found with those of the highest
// score, leftmost first.
func (m *sentencePieceModel) checkRuns(found []scoredMerge) error {
	ranks, scores := map[[2]int]float64{}, map[[2]int]float64{}
	for rank, f := range found {
		left, right := m.pieces[f.left].text, m.pieces[f.right].text
		if onlyMarks(left) && onlyMarks(right) {
			lengths := [2]int{len(left) / len(spaceMark), len(right) / len(spaceMark)}
			ranks[lengths], scores[lengths] = float64(rank), -float64(f.score)
		}
	}
	for n := 2; n <= longestRun && len(ranks) > 0; n++ {
		if got, want := mergeRun(n, ranks), mergeRun(n, scores); !slices.Equal(got, want) {
			return fmt.Errorf("pieces of spaces only have equal scores, by which a run of %d becomes pieces of "+
				"%d, but %d in the order of their ids",
				n, want, got)
		}
	}
	return nil
}

// mergeRun returns the lengths of the pieces of a run of n spaces, merging the pair of the lowest key,
// the leftmost of equals.
func mergeRun(n int, keys map[[2]int]float64) []int {
	lengths := slices.Repeat([]int{1}, n)
	for {
		best, at := 0.0, -1
		for i := range len(lengths) - 1 {
			if key, ok := keys[[2]int{lengths[i], lengths[i+1]}]; ok && (at < 0 || key < best) {
				best, at = key, i
			}
		}
		if at < 0 {
			return lengths
		}
		lengths = slices.Replace(lengths, at, at+2, lengths[at]+lengths[at+1])
	}
}
