package ref

import "steplm/wgsl/ref"

// ColumnChunk is the rows whose squares make one partial sum of a column.
const ColumnChunk = 64

// RowSquares sets out to the sums of squares of the rows of x.
func RowSquares[F ref.Float](out, x []F, rows, cols int) {
	for i := range rows {
		row := x[i*cols:][:cols]
		out[i] = F(ref.Dot(row, row))
	}
}

// ColumnSquares sets the rows of out to the sums of squares of the columns of x, each over
// ColumnChunk rows.
func ColumnSquares[F ref.Float](out, x []F, rows, cols int) {
	for j := range cols {
		for first := 0; first < rows; first += ColumnChunk {
			sum := 0.0
			for i := first; i < min(rows, first+ColumnChunk); i++ {
				sum += float64(x[i*cols+j]) * float64(x[i*cols+j])
			}
			out[first/ColumnChunk*cols+j] = F(sum)
		}
	}
}

// SumRows sets out to the sum of the rows of x.
func SumRows[F ref.Float](out, x []F, rows int) {
	cols := len(out)
	for j := range cols {
		sum := 0.0
		for i := range rows {
			sum += float64(x[i*cols+j])
		}
		out[j] = F(sum)
	}
}
