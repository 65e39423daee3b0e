package tokens

import (
	"fmt"
	"os"
	"strings"
	"unicode"

	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/view"
	"steplm/data"
	"steplm/data/inspect"
	"steplm/data/tokenizer"
	"steplm/gpu"
)

type dataInspectCmd struct {
	Path      string `arg:"" help:"Parquet, JSON Lines or text files: a directory, a glob or a file."`
	Column    string `name:"text-column" default:"text" placeholder:"NAME" help:"The text's column. Default: ${default}."`
	Documents int64  `default:"100000" placeholder:"N" help:"Rows to read, rounded up to whole row groups; 0: all. Default: ${default}."`
	First     int    `default:"3" placeholder:"N" help:"First texts to show. Default: ${default}."`
	Tokenizer string `placeholder:"PATH" help:"Count tokens with this tokenizer.json, or directory, too."`
	JSON      bool   `name:"json" help:"Print JSON, with the first texts whole."`
}

// Run is the command.
func (c *dataInspectCmd) Run() error {
	if c.Documents < 0 || c.First < 0 {
		return flags.Usagef("--documents %d and --first %d must be 0 or more", c.Documents, c.First)
	}
	o := inspect.Options{Column: c.Column, Documents: c.Documents, First: c.First}
	if c.Tokenizer != "" {
		tok, err := tokenizer.Load(c.Tokenizer)
		if err != nil {
			return err
		}
		o.Tokenizer = tok
	}
	in, err := data.Inspect(c.Path, o)
	if err != nil {
		return err
	}
	if c.JSON {
		return view.JSON(in)
	}
	printInspection(in)
	return nil
}

func printInspection(in *inspect.Inspection) {
	w := os.Stdout
	fmt.Fprintf(w, "%d files, %s rows in %s row groups, %s\n\n", len(in.Files), view.Count(in.Rows),
		view.Count(int64(in.RowGroups)), gpu.Bytes(in.Bytes))
	files := [][]string{{"file", "rows", "groups", "bytes"}}
	for i, f := range in.Files {
		if i == maxFilesShown {
			files = append(files, []string{fmt.Sprintf("and %d more", len(in.Files)-i)})
			break
		}
		files = append(files, []string{f.Path, view.Count(f.Rows), view.Count(int64(f.RowGroups)), gpu.Bytes(f.Bytes)})
	}
	view.Table(w, 1, files)
	fmt.Fprintln(w)
	columns := [][]string{{"column", "type", "codec", "compressed", "whole"}}
	for _, k := range in.Columns {
		name := k.Name
		if k.Files < len(in.Files) {
			name += fmt.Sprintf(" (%d files)", k.Files)
		}
		compressed := "-" // where columns are not stored by themselves
		if k.Compressed > 0 {
			compressed = gpu.Bytes(k.Compressed)
		}
		columns = append(columns, []string{name, k.Type, strings.Join(k.Codecs, " "), compressed,
			gpu.Bytes(k.Uncompressed)})
	}
	view.Table(w, 3, columns)

	fmt.Fprintf(w, "\n%s of %s rows read: %s of text, %s null\n", view.Count(in.RowsRead), view.Count(in.Rows),
		gpu.Bytes(in.TextBytes), view.Count(in.Nulls))
	for _, d := range []struct {
		what string
		*inspect.Distribution
	}{{"characters per document", in.Characters}, {"tokens per document", in.Tokens}, {data.ScoreColumn, in.Scores}} {
		if d.Distribution != nil {
			fmt.Fprintf(w, "\n%s: mean %.4g, from %.4g to %.4g\n", d.what, d.Mean(), d.Min, d.Max)
			view.Table(w, 0, histogram(*d.Distribution))
		}
	}
	if in.Tokens != nil && in.Tokens.Sum > 0 {
		fmt.Fprintf(w, "\n%s tokens, %.4g bytes of text each\n", view.Count(int64(in.Tokens.Sum)),
			float64(in.TextBytes)/in.Tokens.Sum)
	}
	if len(in.Languages) > 0 {
		fmt.Fprintln(w, "\nlanguage")
		var rows [][]string
		for i, l := range in.Languages {
			if i == maxLanguagesShown {
				rows = append(rows, []string{fmt.Sprintf("and %d more", len(in.Languages)-i)})
				break
			}
			rows = append(rows, []string{"  " + plainText(l.Value), view.Count(l.Rows),
				fmt.Sprintf("%.1f %%", 100*float64(l.Rows)/float64(in.RowsRead))})
		}
		view.Table(w, 1, rows)
	}
	for i, s := range in.First {
		fmt.Fprintf(w, "\ntext %d: %s\n", i+1, plainText(s))
	}
	if len(in.Missing) > 0 {
		fmt.Fprintln(w, "\nmissing")
		for _, m := range in.Missing {
			fmt.Fprintln(w, "  "+m)
		}
	}
}

const (
	maxFilesShown     = 10
	maxLanguagesShown = 10
	maxTextShown      = 200 // characters
	histogramWidth    = 40  // of the longest bar
)

// histogram is a row per bin with a bar.
func histogram(d inspect.Distribution) [][]string {
	most := int64(1)
	for _, b := range d.Bins {
		most = max(most, b.Count)
	}
	var rows [][]string
	for _, b := range d.Bins {
		bar := strings.Repeat("#", int((b.Count*histogramWidth+most-1)/most))
		rows = append(rows, []string{
			fmt.Sprintf("  %.7g up to %.7g", b.From, b.To), view.Count(b.Count), bar +
				strings.Repeat(" ", histogramWidth-len(bar)),
		})
	}
	return rows
}

// plainText is the beginning of a text on one line, without what would steer a
// terminal.
func plainText(s string) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n == maxTextShown {
			return b.String() + " ..."
		}
		if unicode.IsSpace(r) {
			r = ' '
		} else if !unicode.IsPrint(r) {
			r = unicode.ReplacementChar
		}
		b.WriteRune(r)
		n++
	}
	return b.String()
}
