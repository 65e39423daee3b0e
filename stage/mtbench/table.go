package mtbench

import (
	"fmt"
	"io"
	"math"
	"strings"
	"unicode/utf8"
)

// frame is a table as pandas prints a data frame: names of the index's columns, then columns of numbers.
type frame struct {
	index   []string   // names of the index's columns
	rows    [][]string // the index of each row
	columns []frameColumn
}

type frameColumn struct {
	name   string
	values []float64
	whole  bool // integers
}

// cells are a column's numbers as pandas prints them.
func (c frameColumn) cells() (list []string) {
	if c.whole {
		for _, x := range c.values {
			list = append(list, fmt.Sprintf(" %d", int64(x)))
		}
		return list
	}
	const digits = 6
	longest, small, large := 0, false, false
	for _, x := range c.values {
		list = append(list, fmt.Sprintf("% .*f", digits, x))
		size := math.Abs(x)
		small, large = small || size > 0 && size < 1e-6, large || size > 1e6
	}
	list = trimZeros(list)
	for _, text := range list {
		longest = max(longest, len(text))
	}
	if small || large && longest > digits+6 {
		for i, x := range c.values {
			list[i] = fmt.Sprintf("% .*e", digits, x)
		}
	}
	return list
}

// trimZeros takes as many zeros from the ends of all decimals as all have, but leaves one after the point.
func trimZeros(list []string) []string {
	for len(list) > 0 {
		for _, text := range list {
			if !strings.HasSuffix(text, "0") || strings.HasSuffix(text, ".0") {
				return list
			}
		}
		for i, text := range list {
			list[i] = text[:len(text)-1]
		}
	}
	return list
}

// write prints the table: the names of columns, those of the index, and the rows; an index that repeats the row above
// in all columns before the last is left out, as pandas does.
func (f frame) write(w io.Writer) {
	lines := make([]strings.Builder, len(f.rows)+2)
	add := func(head, below string, cells []string, left bool) {
		width := utf8.RuneCountInString(head)
		for _, text := range append([]string{below}, cells...) {
			width = max(width, utf8.RuneCountInString(text))
		}
		for i, text := range append([]string{head, below}, cells...) {
			pad := strings.Repeat(" ", width-utf8.RuneCountInString(text))
			if lines[i].Len() > 0 {
				lines[i].WriteByte(' ')
			}
			if left {
				lines[i].WriteString(text + pad)
			} else {
				lines[i].WriteString(pad + text)
			}
		}
	}
	for at, name := range f.index {
		var cells []string
		for _, row := range f.rows {
			cells = append(cells, row[at])
		}
		add("", name, cells, true)
	}
	for _, c := range f.columns {
		add(" "+c.name, "", c.cells(), false)
	}
	for i := range lines {
		fmt.Fprintln(w, lines[i].String())
	}
}
