package results

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// column is one of the table, as text in both directions.
type column struct {
	name  string
	write func(Row) string
	read  func(*Row, string) error
	// restart: a kill and a resume may change it.
	restart bool
}

// columns are the table's, in its order. Other programs know their names.
var columns = []column{
	text("experiment", func(r *Row) *string { return &r.Experiment }),
	text("run", func(r *Row) *string { return &r.Run }),
	text("method", func(r *Row) *string { return &r.Method }),
	text("optimizer", func(r *Row) *string { return &r.Optimizer }),
	{name: "stages", write: func(r Row) string { return whole(int64(r.Stages)) },
		read: func(r *Row, s string) (err error) { r.Stages, err = strconv.Atoi(s); return err }},
	{name: "seed", write: func(r Row) string {
		if r.Method == "" { // Nothing is known of the run.
			return ""
		}
		return strconv.FormatUint(r.Seed, 10)
	}, read: func(r *Row, s string) (err error) { r.Seed, err = strconv.ParseUint(s, 10, 64); return err }},
	{name: "lr", write: func(r Row) string { return rates(r.LR) }, read: readRates},
	bytesOf("tokens", func(r *Row) *int64 { return &r.Tokens }),
	number("flops", func(r *Row) *float64 { return &r.FLOPs }),
	bytesOf("peak_bytes", func(r *Row) *int64 { return &r.PeakBytes }),
	bytesOf("state_bytes", func(r *Row) *int64 { return &r.StateBytes }),
	number("train_loss", func(r *Row) *float64 { return &r.TrainLoss }),
	number("validation_perplexity", func(r *Row) *float64 { return &r.ValidationPerplexity }),
	number("wikitext_word_perplexity", func(r *Row) *float64 { return &r.WikitextWordPerplexity }),
	restarting(number("tokens_per_second", func(r *Row) *float64 { return &r.TokensPerSecond })),
	text("status", func(r *Row) *string { return (*string)(&r.Status) }),
}

func restarting(c column) column {
	c.restart = true
	return c
}

func text(name string, of func(*Row) *string) column {
	return column{name: name, write: func(r Row) string { return *of(&r) },
		read: func(r *Row, s string) error { *of(r) = s; return nil }}
}

// bytesOf is a column of whole numbers, of which 0 is not known.
func bytesOf(name string, of func(*Row) *int64) column {
	return column{name: name, write: func(r Row) string { return whole(*of(&r)) },
		read: func(r *Row, s string) (err error) { *of(r), err = strconv.ParseInt(s, 10, 64); return err }}
}

// number is a column of numbers, of which NaN is not known.
func number(name string, of func(*Row) *float64) column {
	return column{name: name, write: func(r Row) string {
		if v := *of(&r); !math.IsNaN(v) {
			return strconv.FormatFloat(v, 'g', -1, 64)
		}
		return ""
	}, read: func(r *Row, s string) (err error) { *of(r), err = strconv.ParseFloat(s, 64); return err }}
}

func whole(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// rates are one learning rate, or one a stage between semicolons.
func rates(list []float64) string {
	var words []string
	for _, x := range list {
		words = append(words, strconv.FormatFloat(x, 'g', -1, 64))
	}
	return strings.Join(words, ";")
}

func readRates(r *Row, s string) error {
	for _, word := range strings.Split(s, ";") {
		x, err := strconv.ParseFloat(word, 64)
		if err != nil {
			return err
		}
		r.LR = append(r.LR, x)
	}
	return nil
}

// WriteCSV writes rows below a line of the columns' names; what is not known is empty. Stable leaves out what a kill
// and a resume may change.
func WriteCSV(w io.Writer, rows []Row, stable bool) error {
	out := csv.NewWriter(w)
	line := func(cell func(column) string) error {
		var cells []string
		for _, c := range columns {
			if !stable || !c.restart {
				cells = append(cells, cell(c))
			}
		}
		return out.Write(cells)
	}
	if err := line(func(c column) string { return c.name }); err != nil {
		return err
	}
	for _, r := range rows {
		if err := line(func(c column) string { return c.write(r) }); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// ReadCSV reads what WriteCSV wrote. Columns are found by their names; those that a later version may have added are
// passed over. An error names the line and the column.
func ReadCSV(r io.Reader) (rows []Row, err error) {
	in := csv.NewReader(r)
	header, err := in.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the table is empty: it has no line of names")
	}
	if err != nil {
		return nil, err
	}
	if !slices.Contains(header, "run") || !slices.Contains(header, "status") {
		return nil, fmt.Errorf("no table of runs: its columns are %s, and run and status are not both among them",
			strings.Join(header, ", "))
	}
	for {
		cells, err := in.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return rows, err
		}
		row := Nothing()
		for i, name := range header {
			at := slices.IndexFunc(columns, func(c column) bool { return c.name == name })
			if at < 0 || cells[i] == "" {
				continue
			}
			if err := columns[at].read(&row, cells[i]); err != nil {
				line, _ := in.FieldPos(i)
				return rows, fmt.Errorf("line %d: %s is %q: %w", line, name, cells[i], err)
			}
		}
		rows = append(rows, row)
	}
}
