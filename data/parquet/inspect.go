package parquet

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/apache/arrow/go/v17/parquet"

	"steplm/data/internal/shard"
)

// InspectOptions say what Inspect reads besides the footers.
type InspectOptions struct {
	Column    string                                    // the text's; "" = "text"
	Documents int64                                     // rows to read, rounded up to whole row groups; 0 = all
	First     int                                       // how many first texts are kept
	Tokenizer interface{ Encode(text string) ([]uint32, error) } // nil: no token statistics
}

// Inspection is what is in a set of Parquet files.
type Inspection struct {
	Files     []FileInfo   `json:"files"`
	Rows      int64        `json:"rows"`
	RowGroups int          `json:"row_groups"`
	Bytes     int64        `json:"bytes"`
	Columns   []ColumnInfo `json:"columns"`
	// What is not there or cannot be read, a sentence each.
	Missing []string `json:"missing"`

	// Of the rows that were read:
	RowsRead   int64         `json:"rows_read"`
	Nulls      int64         `json:"nulls"` // without text
	Characters *Distribution `json:"characters,omitempty"`
	TextBytes  int64         `json:"text_bytes"`
	Tokens     *Distribution `json:"tokens,omitempty"` // per document, end-of-text not counted
	Scores     *Distribution `json:"scores,omitempty"`
	Languages  []Share       `json:"languages,omitempty"` // the most frequent first
	First      []string      `json:"first,omitempty"`
}

// FileInfo is one file's footer.
type FileInfo struct {
	Path      string `json:"path"`
	Bytes     int64  `json:"bytes"`
	Rows      int64  `json:"rows"`
	RowGroups int    `json:"row_groups"`
	Writer    string `json:"writer"` // as it calls itself
}

// ColumnInfo is a column over all files.
type ColumnInfo struct {
	Name         string   `json:"name"` // with the groups that it is in
	Type         string   `json:"type"`
	Codecs       []string `json:"codecs"`
	Files        int      `json:"files"` // that have it
	Compressed   int64    `json:"compressed_bytes"`
	Uncompressed int64    `json:"uncompressed_bytes"`
}

// Share is how often a value occurs.
type Share struct {
	Value string `json:"value"`
	Rows  int64  `json:"rows"`
}

// Distribution is a histogram with its moments.
type Distribution struct {
	Count int64   `json:"count"`
	Sum   float64 `json:"sum"`
	Min   float64 `json:"min"`
	Max   float64 `json:"max"`
	Bins  []Bin   `json:"bins"` // ascending; empty ones are left out
}

// Bin counts values of at least From and below To.
type Bin struct {
	From  float64 `json:"from"`
	To    float64 `json:"to"`
	Count int64   `json:"count"`
}

// Mean of the values; 0 of none.
func (d Distribution) Mean() float64 { return d.Sum / float64(max(d.Count, 1)) }

func (d *Distribution) add(v, from, to float64) {
	if d.Count == 0 {
		d.Min, d.Max = v, v
	}
	d.Count++
	d.Sum += v
	d.Min, d.Max = min(d.Min, v), max(d.Max, v)
	i, found := slices.BinarySearchFunc(d.Bins, from,
		func(b Bin, from float64) int { return cmp.Compare(b.From, from) })
	if !found {
		d.Bins = slices.Insert(d.Bins, i, Bin{From: from, To: to})
	}
	d.Bins[i].Count++
}

// addLength counts in bins of powers of two: 0, 1, 2 to 3, 4 to 7 and so on.
func addLength(to **Distribution, n int) {
	if *to == nil {
		*to = &Distribution{}
	}
	from := 0.0
	if n > 0 {
		from = math.Exp2(math.Floor(math.Log2(float64(n))))
	}
	(*to).add(float64(n), from, max(2*from, 1))
}

// Inspector adds up what is in files.
type Inspector struct {
	*Inspection
	options   InspectOptions
	languages map[string]int64
}

// NewInspector reads files into an inspection that is empty yet.
func NewInspector(o InspectOptions) *Inspector {
	if o.Column == "" {
		o.Column = shard.TextColumn
	}
	return &Inspector{options: o, languages: map[string]int64{},
		Inspection: &Inspection{Missing: []string{}, Columns: []ColumnInfo{}}}
}

// File adds a file's footer and rows. What is damaged or not there is told in Missing.
func (in *Inspector) File(path string) error {
	f, err := openFile(path)
	if errors.As(err, new(shard.Damage)) {
		in.Miss("%v", err)
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	err = guard(func() error { return in.footer(f) })
	if err == nil {
		err = guard(func() error { return in.rows(f) })
	}
	if errors.As(err, new(shard.ReadError)) {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err != nil {
		in.Miss("%s: %v", path, err)
	}
	return nil
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

// footer adds what a footer says.
func (in *Inspector) footer(f *columnFile) error {
	meta := f.reader.MetaData()
	info := FileInfo{Path: f.path, Bytes: f.size, Rows: meta.NumRows, RowGroups: f.reader.NumRowGroups(),
		Writer: meta.GetCreatedBy()}
	for c := range meta.Schema.NumColumns() {
		leaf := meta.Schema.Column(c)
		typ := leaf.PhysicalType().String()
		if l := leaf.LogicalType(); l != nil && l.IsValid() && l.String() != "None" {
			typ += " (" + l.String() + ")"
		}
		name := leaf.Path()
		i := slices.IndexFunc(in.Columns, func(k ColumnInfo) bool { return k.Name == name && k.Type == typ })
		if i < 0 {
			i = len(in.Columns)
			in.Columns = append(in.Columns, ColumnInfo{Name: name, Type: typ, Codecs: []string{}})
		}
		k := &in.Columns[i]
		k.Files++
		for g := range info.RowGroups {
			chunk, err := meta.RowGroup(g).ColumnChunk(c)
			if err != nil {
				return fmt.Errorf("row group %d, column %q: %w", g, name, err)
			}
			if codec := chunk.Compression().String(); !slices.Contains(k.Codecs, codec) {
				k.Codecs = append(k.Codecs, codec)
			}
			k.Compressed += chunk.TotalCompressedSize()
			k.Uncompressed += chunk.TotalUncompressedSize()
		}
	}
	in.Files = append(in.Files, info)
	in.Rows += info.Rows
	in.RowGroups += info.RowGroups
	in.Bytes += info.Bytes
	return nil
}

// rows reads a file's row groups, whole ones, until as many rows are read as the
// options ask for.
func (in *Inspector) rows(f *columnFile) error {
	type column struct {
		name  string
		index int
		read  func(f *columnFile, group, column int) error
	}
	var columns []column
	for _, c := range []column{{name: in.options.Column, read: in.texts}, {name: shard.ScoreColumn, read: in.scores},
		{name: shard.LanguageColumn, read: in.language}} {
		leaf, err := f.leaf(c.name)
		if err == nil {
			if t := leaf.PhysicalType(); c.name == shard.ScoreColumn && !numeric(t) || c.name != shard.ScoreColumn &&
				t != parquet.Types.ByteArray {
				err = fmt.Errorf("column %q has type %s", c.name, t)
			}
		}
		if err != nil {
			in.Miss("%s: %v", f.path, err)
			continue
		}
		c.index = f.reader.MetaData().Schema.ColumnIndexByName(c.name)
		columns = append(columns, c)
	}
	for g := range f.reader.NumRowGroups() {
		if in.options.Documents > 0 && in.RowsRead >= in.options.Documents {
			return nil
		}
		group := f.reader.MetaData().RowGroup(g)
		for _, c := range columns {
			chunk, err := group.ColumnChunk(c.index)
			if err == nil {
				err = f.checkChunk(chunk, group.NumRows())
			}
			if err == nil {
				err = c.read(f, g, c.index)
			}
			if errors.As(err, new(shard.ReadError)) {
				return err
			}
			if err != nil {
				in.Miss("%s: row group %d, column %q: %v", f.path, g, c.name, err)
			}
		}
		in.RowsRead += group.NumRows()
	}
	return nil
}

func (in *Inspector) texts(f *columnFile, group, column int) error {
	f.column = column
	for v, err := range f.values(group) {
		if err != nil {
			return err
		}
		if v.Dropped == shard.NoText {
			in.Nulls++
			continue
		}
		in.TextBytes += int64(len(v.Text))
		addLength(&in.Characters, utf8.RuneCountInString(v.Text))
		if in.options.Tokenizer != nil {
			ids, err := in.options.Tokenizer.Encode(v.Text)
			if err != nil {
				return err
			}
			addLength(&in.Tokens, len(ids))
		}
		if len(in.First) < in.options.First {
			in.First = append(in.First, v.Text)
		}
	}
	return nil
}

// scores counts in bins of a half. What is no finite number is left out.
func (in *Inspector) scores(f *columnFile, group, column int) error {
	return f.numbers(group, column, func(v float64, null bool) {
		if null || math.IsNaN(v) || math.IsInf(v, 0) {
			return
		}
		if in.Scores == nil {
			in.Scores = &Distribution{}
		}
		from := math.Floor(2*v) / 2
		in.Scores.add(v, from, from+0.5)
	})
}

// maxLanguages bounds what is kept of a column that holds something else.
const maxLanguages = 1000

func (in *Inspector) language(f *columnFile, group, column int) error {
	for v, err := range cells[parquet.ByteArray](f, group, column) {
		if err != nil {
			return err
		}
		name := string(v.value)
		if v.null {
			name = "(null)"
		}
		if _, known := in.languages[name]; !known && len(in.languages) >= maxLanguages {
			name = "(others)"
		}
		in.languages[name]++
	}
	return nil
}
