// Package export writes a trained model down in the formats that other programs read. A format is a file here and an
// entry in Formats; a run's final folder is written through it.
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
)

// Format is a way of writing a model down.
type Format interface {
	// Name is the format's, as a user writes it.
	Name() string
	// Check refuses a model or a text side that the format has no place for.
	Check(c model.Config, text Text) error
	// Write writes a model, with the blocks that it has now and LoRA merged, and its text side into d. Without a
	// tokenizer it writes the model alone. The caller commits.
	Write(d *checkpoint.Dir, m *model.Model, text Text) error
}

// Text is what a model was trained with on the side of text.
type Text struct {
	Tokenizer *tokenizer.Tokenizer // nil: none is written
	BOS, EOS  *int                 // ids of the tokens that begin and end a text; nil: there is none
	Context   int                  // positions of the windows that were trained; 0: all that the model may be given
}

// Formats are those that there are.
var Formats = []Format{HuggingFace{}}

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
