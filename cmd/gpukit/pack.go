package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// programsFile is the kit's programs: one archive, since all of them hold the same GPU library, which a
// window that is larger than each stores once.
const programsFile = "programs.tar.zst"

// packWindow is the window, in bytes.
const packWindow = 128 << 20

// packCmd makes the archive.
type packCmd struct {
	From string `arg:"" help:"The folder of the programs."`
	To   string `arg:"" help:"The archive."`
}

// Run is the command.
func (c *packCmd) Run() (err error) {
	out, err := os.Create(c.To)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	z, err := zstd.NewWriter(out, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithWindowSize(packWindow))
	if err != nil {
		return err
	}
	t := tar.NewWriter(z)
	list, err := filepath.Glob(filepath.Join(c.From, "*"))
	if err != nil {
		return err
	}
	slices.Sort(list)
	for _, path := range list {
		if err := packOne(t, path); err != nil {
			return fmt.Errorf("pack %s: %w", path, err)
		}
	}
	return errors.Join(t.Close(), z.Close())
}

func packOne(t *tar.Writer, path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := t.WriteHeader(&tar.Header{Name: filepath.Base(path), Mode: 0o755, Size: int64(len(b))}); err != nil {
		return err
	}
	_, err = t.Write(b)
	return err
}

// unpack writes the kit's programs where they can be run.
func unpack(dir, to string) error {
	in, err := os.Open(filepath.Join(dir, programsFile))
	if err != nil {
		return fmt.Errorf("%w: it is no whole kit; `just gpu-kit` makes one", err)
	}
	defer in.Close()
	z, err := zstd.NewReader(in, zstd.WithDecoderMaxWindow(packWindow))
	if err != nil {
		return err
	}
	defer z.Close()
	for t := tar.NewReader(z); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s is damaged: %w", in.Name(), err)
		}
		out, err := os.OpenFile(filepath.Join(to, filepath.Base(h.Name)), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, t)
		if err := errors.Join(err, out.Close()); err != nil {
			return fmt.Errorf("unpack %s: %w", h.Name, err)
		}
	}
}
