package main

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// unpack writes the programs of the kit, which it holds compressed, where they can be run.
func unpack(dir, to string) error {
	list, err := filepath.Glob(filepath.Join(dir, "programs", "*.gz"))
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return fmt.Errorf("%s has no programs/*.gz: it is no whole kit; `just gpu-kit` makes one", dir)
	}
	for _, path := range list {
		name := strings.TrimSuffix(filepath.Base(path), ".gz")
		if err := unpackOne(path, filepath.Join(to, name)); err != nil {
			return fmt.Errorf("unpack %s: %w", path, err)
		}
	}
	return nil
}

func unpackOne(path, to string) (err error) {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	z, err := gzip.NewReader(in)
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, z)
	return errors.Join(err, out.Close())
}
