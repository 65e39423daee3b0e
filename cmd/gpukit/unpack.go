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

// packedName is the file of a kit that holds its programs. All of them have the same GPU library in
// them: in one stream that is written about once, if the window reaches back to the program before.
const packedName = "programs.tar.zst"

const packedWindow = 128 << 20

type packCmd struct {
	Programs string `arg:"" help:"Folder of the programs."`
	Kit      string `arg:"" help:"Folder of the kit."`
}

func (c *packCmd) Run() error { return pack(c.Programs, c.Kit) }

// pack writes the programs that are in a folder into the kit's file.
func pack(from, kit string) (err error) {
	list, err := filepath.Glob(filepath.Join(from, "*"))
	if err != nil {
		return err
	}
	slices.Sort(list)
	out, err := os.Create(filepath.Join(kit, packedName))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	z, err := zstd.NewWriter(out, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithWindowSize(packedWindow))
	if err != nil {
		return err
	}
	t := tar.NewWriter(z)
	for _, path := range list {
		if err := packOne(t, path); err != nil {
			return fmt.Errorf("pack %s: %w", path, err)
		}
	}
	return errors.Join(t.Close(), z.Close())
}

func packOne(to *tar.Writer, path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	h := &tar.Header{Typeflag: tar.TypeReg, Name: filepath.Base(path), Mode: 0o755, Size: int64(len(content))}
	if err := to.WriteHeader(h); err != nil {
		return err
	}
	_, err = to.Write(content)
	return err
}

// unpack writes the programs of the kit, which it holds compressed, where they can be run.
func unpack(dir, to string) error {
	in, err := os.Open(filepath.Join(dir, packedName))
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s has no %s: it is no whole kit; `just gpu-kit` makes one", dir, packedName)
	}
	if err != nil {
		return err
	}
	defer in.Close()
	z, err := zstd.NewReader(in, zstd.WithDecoderMaxWindow(packedWindow))
	if err != nil {
		return err
	}
	defer z.Close()
	for t := tar.NewReader(z); ; {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = unpackOne(t, filepath.Join(to, filepath.Base(h.Name)))
		}
		if err != nil {
			return fmt.Errorf("unpack %s: %w", packedName, err)
		}
	}
}

func unpackOne(in io.Reader, to string) error {
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
