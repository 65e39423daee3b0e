package inspect

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"
)

// Inspector adds up what is in files.
type Inspector struct {
	*Inspection
	Options   Options
	languages map[string]int64
}

// New adds up nothing yet.
func New(o Options) *Inspector {
	if o.Column == "" {
		o.Column = "text"
	}
	return &Inspector{Options: o, languages: map[string]int64{},
		Inspection: &Inspection{Missing: []string{}, Columns: []ColumnInfo{}}}
}

// Done is what was found so far.
func (in *Inspector) Done() *Inspection {
	in.Languages = nil
	for name, rows := range in.languages {
		in.Languages = append(in.Languages, Share{name, rows})
	}
	slices.SortFunc(in.Languages, func(a, b Share) int {
		return cmp.Or(cmp.Compare(b.Rows, a.Rows), cmp.Compare(a.Value, b.Value))
	})
	return in.Inspection
}

// Miss tells of what is not there.
func (in *Inspector) Miss(format string, args ...any) {
	in.Missing = append(in.Missing, fmt.Sprintf(format, args...))
}

// File adds a file, of which nothing is read yet.
func (in *Inspector) File(f FileInfo) {
	in.Files = append(in.Files, f)
	in.Rows += f.Rows
	in.RowGroups += f.RowGroups
	in.Bytes += f.Bytes
}

// Column is the column of a name and a type, to be added to.
func (in *Inspector) Column(name, typ string) *ColumnInfo {
	i := slices.IndexFunc(in.Columns, func(k ColumnInfo) bool { return k.Name == name && k.Type == typ })
	if i < 0 {
		i = len(in.Columns)
		in.Columns = append(in.Columns, ColumnInfo{Name: name, Type: typ, Codecs: []string{}})
	}
	return &in.Columns[i]
}

// Codec adds how a column is compressed.
func (k *ColumnInfo) Codec(name string) {
	if !slices.Contains(k.Codecs, name) {
		k.Codecs = append(k.Codecs, name)
	}
}

// Enough tells whether as many rows are read as the options ask for.
func (in *Inspector) Enough() bool {
	return in.Options.Documents > 0 && in.RowsRead >= in.Options.Documents
}

// Text adds a row's text. Its error is the tokenizer's.
func (in *Inspector) Text(text string) error {
	in.TextBytes += int64(len(text))
	addLength(&in.Characters, utf8.RuneCountInString(text))
	if in.Options.Tokenizer != nil {
		ids, err := in.Options.Tokenizer.Encode(text)
		if err != nil {
			return err
		}
		addLength(&in.Tokens, len(ids))
	}
	if len(in.First) < in.Options.First {
		in.First = append(in.First, text)
	}
	return nil
}

// Score adds a row's score, in bins of a half. What is no finite number is left out.
func (in *Inspector) Score(v float64) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return
	}
	if in.Scores == nil {
		in.Scores = &Distribution{}
	}
	from := math.Floor(2*v) / 2
	in.Scores.add(v, from, from+0.5)
}

// maxLanguages bounds what is kept of a column that holds something else.
const maxLanguages = 1000

// Language adds a row's language.
func (in *Inspector) Language(name string) {
	if _, known := in.languages[name]; !known && len(in.languages) >= maxLanguages {
		name = "(others)"
	}
	in.languages[name]++
}

// NoLanguage is the language of a row without one.
const NoLanguage = "(null)"
