// Package corpus holds the text that the demo trains on: short pieces of
// English written for this project, as Parquet in FineWeb-Edu's layout, so that
// a fresh machine can run the whole ingest path without a download. It is small
// on purpose and says nothing about how a method does on real text. README.md
// says how the files were made.
//
// What Go cannot enforce: that the files stay as they are. A test compares them
// with README's checksums.
package corpus

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"steplm/internal/disk"
)

//go:embed *.parquet
var files embed.FS

// What Extract writes into its directory, as patterns that package data opens.
const (
	Train      = "train-*.parquet"    // two shards, about 600 KB of text
	Validation = "validation.parquet" // held-out documents, about 40 KB of text
)

// Extract writes the corpus's files into dir, which it makes if need be. A file
// that is there already with the same content is left alone; any other of the
// same name is replaced, whole or not at all.
func Extract(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("corpus: make directory for the demo's text: %w", err)
	}
	entries, err := files.ReadDir(".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		content, err := files.ReadFile(e.Name())
		if err != nil {
			return err
		}
		if err := extract(filepath.Join(dir, e.Name()), content); err != nil {
			return fmt.Errorf("corpus: write the demo's text: %w", err)
		}
	}
	return nil
}

func extract(path string, content []byte) error {
	switch old, err := os.ReadFile(path); {
	case err == nil && bytes.Equal(old, content):
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return disk.WriteFile(path, content)
}
