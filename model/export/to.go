package export

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"steplm/internal/disk"
	"steplm/model"
	"steplm/model/advice"
	"steplm/model/checkpoint"
)

// To writes a model to a path that nothing has yet, whole or not at all, and says what it wrote. Weights pass in pieces
// of a few MiB; one that is no number is an error.
func To(ctx context.Context, f Format, path string, m Model, text Text, o Options) (files []checkpoint.Written,
	err error) {
	if _, err := os.Lstat(path); !disk.Missing(err) {
		if err == nil {
			err = advice.With(fmt.Errorf("%s exists, and an export replaces nothing", path),
				advice.Way{{How: advice.Another, Option: advice.Out}})
		}
		return nil, err
	}
	if err := f.Check(m, text, o); err != nil {
		return nil, err
	}
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	d, err := checkpoint.Begin(filepath.Dir(path), filepath.Base(path))
	if err != nil {
		return nil, err
	}
	defer d.Abort()
	m.Weights = Checked(ctx, m.Weights)
	if err := f.Write(d, m, text, o); err != nil {
		return nil, err
	}
	files = d.Files()
	if !f.Single() {
		return files, d.Commit()
	}
	if err := d.CommitFile(); err != nil {
		return nil, err
	}
	// As sha256sum --check reads it.
	line := fmt.Sprintf("%s  %s\n", files[0].SHA256, filepath.Base(path))
	return files, checkpoint.WriteFile(path+sumSuffix, []byte(line))
}

// sumSuffix is what the name of a single file's sum ends in.
const sumSuffix = ".sha256"

// eachPiece reads a tensor in pieces of whole rows, of which so many belong together.
func eachPiece(w model.Weights, name string, shape []int, together int,
	do func(values []float32) error) error {
	rows, cols := 1, shape[len(shape)-1]
	if len(shape) > 1 {
		rows = shape[0]
	}
	most := max(1, model.PieceElements/(cols*together)) * together
	buf := make([]float32, min(most, rows)*cols)
	for row := 0; row < rows; row += most {
		piece := buf[:min(most, rows-row)*cols]
		if err := w.ReadF32(name, row*cols, piece); err != nil {
			return err
		}
		if err := do(piece); err != nil {
			return err
		}
	}
	return nil
}
