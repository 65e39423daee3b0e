package session

import (
	"steplm/data/tokenizer"
	"steplm/model"
	"steplm/model/checkpoint"
)

// export writes a model and its tokenizer as Hugging Face lays them out.
func export(m *model.Model, tok *tokenizer.Tokenizer, d *checkpoint.Dir) error {
	var eos *int
	if id, ok := tok.EndOfText(); ok {
		n := int(id)
		eos = &n
	}
	if err := m.WriteHF(d, eos, eos); err != nil {
		return err
	}
	content, err := tok.JSON()
	if err != nil {
		return err
	}
	w, err := d.Create("tokenizer.json")
	if err != nil {
		return err
	}
	if _, err := w.Write(content); err != nil {
		return err
	}
	return w.Close()
}
