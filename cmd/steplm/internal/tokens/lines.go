package tokens

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// eachLine answers every line of standard input, however long, with one line.
// convert appends the answer to a buffer that it is given. An error names the
// line; the answers before it are printed.
func eachLine(ctx context.Context, convert func(line, out []byte) ([]byte, error)) error {
	in, out := bufio.NewReaderSize(os.Stdin, 1<<16), bufio.NewWriter(os.Stdout)
	// Reading cannot be interrupted, so it happens beside the wait for a signal.
	type input struct {
		line []byte
		err  error
		last bool // nothing more can be read without waiting
	}
	lines := make(chan input)
	go func() {
		for {
			line, err := in.ReadBytes('\n')
			select {
			case lines <- input{line, err, in.Buffered() == 0}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	var answer []byte
	for n := 1; ; n++ {
		var got input
		select {
		case got = <-lines:
		case <-ctx.Done():
			out.Flush()
			return ctx.Err()
		}
		if got.err != nil && !errors.Is(got.err, io.EOF) {
			return fmt.Errorf("standard input, line %d: %w", n, got.err)
		}
		if len(got.line) > 0 {
			var err error
			if answer, err = convert(bytes.TrimRight(got.line, "\r\n"), answer[:0]); err != nil {
				out.Flush()
				return fmt.Errorf("standard input, line %d: %w", n, err)
			}
			if _, err := out.Write(append(answer, '\n')); err != nil {
				return err
			}
		}
		if got.err != nil {
			return out.Flush()
		}
		if got.last {
			if err := out.Flush(); err != nil {
				return err
			}
		}
	}
}
