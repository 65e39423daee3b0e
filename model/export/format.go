// Package export writes a trained model down in the formats that other programs read. A format is a file here and an
// entry in Formats; a run's final folder is written through one.
//
// What Go cannot enforce: that what Check lets through, Write can write. A run is checked before its first step, and
// written after its last.
package export

import (
	"fmt"
	"strings"

	"steplm/data/tokenizer"
	"steplm/model"
	"steplm/model/checkpoint"
	"steplm/model/hf"
)

// Format is a way of writing a model down.
type Format interface {
	// Name is the format's, as a user writes it.
	Name() string
	// Check refuses a model or a text side that the format has no place for. It reads no weights.
	Check(m Model, text Text, o Options) error
	// Write writes a model and its text side into d, without a tokenizer the model alone if the format allows it. The
	// caller commits.
	Write(d *checkpoint.Dir, m Model, text Text, o Options) error
	// Single reports whether the format is one file, which then has the name that the user gave.
	Single() bool
}

// Model is what is written down.
type Model struct {
	Config  model.Config     // with the blocks that the model has now
	DType   checkpoint.DType // in which the weights are exact
	Weights model.Weights    // LoRA merged; of linears whole rows are read
	Stored  *model.Stored    // where LoRA stands beside its linears; nil: it is merged for good, or there is none
}

// Text is what a model was trained with on the side of text.
type Text struct {
	Tokenizer *tokenizer.Tokenizer // nil: none is written
	BOS, EOS  *int                 // ids of the tokens that begin and end a text; nil: there is none
	Context   int                  // positions of the windows that were trained; 0: all that the model may be given
	// ChatTemplate is how a conversation becomes a text, in Jinja; "": not known.
	ChatTemplate string
	// Carried are the files of the text side that the model came with, and IDs what its config.json says. Formats that
	// have such files take these as they are, and make none.
	Carried []File
	IDs     *hf.SpecialIDs // nil: BOS and EOS
}

// File is a file of an exported model besides its weights.
type File struct {
	Name    string // a plain name
	Content []byte
}

// Options are choices of whoever exports.
type Options struct {
	DType      DType  // "": the smallest in which the weights are exact
	ShardBytes int64  // of a file of tensors, at most, if the format cuts; 0: ShardBytes
	Name       string // the model's, for people; "": not known
}

// ShardBytes is how large a file of tensors becomes unless Options say otherwise.
const ShardBytes = 4 << 30

// Formats are those that there are.
var Formats = []Format{HuggingFace{}, PEFT{}, GGUF{}}

// Find finds a format by its name.
func Find(name string) (Format, error) {
	var names []string
	for _, f := range Formats {
		if f.Name() == name {
			return f, nil
		}
		names = append(names, f.Name())
	}
	return nil, fmt.Errorf("there is no format %q: choose one of %s", name, strings.Join(names, ", "))
}

// Trained writes a model that is on a device, as a run does at its end: with the blocks that it has now, LoRA merged.
func Trained(f Format, d *checkpoint.Dir, m *model.Model, text Text) error {
	w, err := m.Merged()
	if err != nil {
		return err
	}
	defer w.Free()
	return f.Write(d, Model{Config: w.Config, DType: w.DType, Weights: w}, text, Options{})
}
