package hub

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// maxRestarts is how often a file is begun anew because what arrived was not it.
const maxRestarts = 2

// download is one file on its way to its blob.
type download struct {
	client  *Client
	address string
	file    File
	part    *os.File // the .incomplete file
	sum     hash.Hash
	have    int64 // bytes in part, all of them in sum
	most    int64 // the largest have so far
	etag    string
	begun   int // restarts
	report  func(delta int64)
}

// run takes what part holds already and gets the rest. On success part holds
// exactly the file that is listed; otherwise it may be gone on with.
func (d *download) run(ctx context.Context) error {
	if err := d.rehash(); err != nil {
		return err
	}
	return d.client.retry(ctx, func() (bool, error) {
		before := d.most
		if d.have < d.file.Size || d.file.Size == 0 && d.begun == 0 {
			if err := d.attempt(ctx); err != nil {
				return d.most > before, err
			}
		}
		err := d.check()
		return d.most > before, err
	})
}

// newHash is empty but for what Git puts before a file's content.
func newHash(f File) hash.Hash {
	if len(f.Hash) == 2*sha256.Size {
		return sha256.New()
	}
	h := sha1.New()
	fmt.Fprintf(h, "blob %d\x00", f.Size)
	return h
}

// rehash makes sum that of what an earlier run has left.
func (d *download) rehash() error {
	d.sum = newHash(d.file)
	n, err := io.Copy(d.sum, d.part)
	if err != nil {
		return final{err}
	}
	d.have = n
	if n > d.file.Size {
		return d.restart()
	}
	d.most = n
	d.report(n)
	return nil
}

// restart forgets what has arrived.
func (d *download) restart() error {
	if d.have <= d.file.Size {
		d.report(-d.have)
	}
	d.sum, d.have, d.etag = newHash(d.file), 0, ""
	if _, err := d.part.Seek(0, io.SeekStart); err != nil {
		return final{err}
	}
	if err := d.part.Truncate(0); err != nil {
		return final{err}
	}
	return nil
}

// wrong restarts after content that is not the listed one; the server gets a few
// chances.
func (d *download) wrong(err error) error {
	if e := d.restart(); e != nil {
		return e
	}
	if d.begun++; d.begun > maxRestarts {
		return final{fmt.Errorf("%w, %d times; the file on the server is damaged or was changed", err, d.begun)}
	}
	return err
}

// attempt asks for what is missing and appends it.
func (d *download) attempt(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(d.client.Stall, func() { cancel(fmt.Errorf("no byte for %v", d.client.Stall)) })
	defer stalled.Stop()

	header := http.Header{"Accept-Encoding": {"identity"}} // a range is of the bytes listed
	if d.have > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-", d.have))
		if d.etag != "" {
			header.Set("If-Range", d.etag)
		}
	}
	resp, err := d.client.get(ctx, d.address, header)
	if status := (statusError{}); errors.As(err, &status) && status.code == http.StatusRequestedRangeNotSatisfiable {
		return d.wrong(fmt.Errorf("the server has no more than %d of %d bytes", d.have, d.file.Size))
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := d.accept(resp); err != nil {
		return err
	}
	buf := make([]byte, 256<<10)
	for {
		n, err := resp.Body.Read(buf)
		if d.have+int64(n) > d.file.Size {
			return d.wrong(fmt.Errorf("the server sends more than the %d bytes listed", d.file.Size))
		}
		if n > 0 {
			stalled.Reset(d.client.Stall)
			if _, err := d.part.Write(buf[:n]); err != nil {
				return final{err}
			}
			d.sum.Write(buf[:n])
			d.have += int64(n)
			d.most = max(d.most, d.have)
			d.report(int64(n))
		}
		switch {
		case err == io.EOF && d.have < d.file.Size:
			return fmt.Errorf("the server sent %d of %d bytes", d.have, d.file.Size)
		case err == io.EOF:
			return nil
		case context.Cause(ctx) != nil:
			return fmt.Errorf("the server stopped at %d of %d bytes: %w", d.have, d.file.Size, context.Cause(ctx))
		case err != nil:
			return fmt.Errorf("the connection ended at %d of %d bytes: %w", d.have, d.file.Size, err)
		}
	}
}

// accept makes sure that what an answer holds belongs behind what is there already,
// or begins anew.
func (d *download) accept(resp *http.Response) error {
	etag := resp.Header.Get("ETag")
	if strings.HasPrefix(etag, "W/") {
		etag = "" // a weak one does not promise the same bytes
	}
	if resp.StatusCode == http.StatusOK {
		if d.have > 0 {
			if err := d.restart(); err != nil {
				return err
			}
		}
		d.etag = etag
		return nil
	}
	var first, last, total int64
	if _, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-%d/%d", &first, &last, &total); err != nil ||
		first != d.have {
		return d.wrong(fmt.Errorf("asked for bytes from %d, the server sends %q", d.have,
			resp.Header.Get("Content-Range")))
	}
	if total != d.file.Size {
		return d.wrong(fmt.Errorf("%d bytes are listed, the server has %d", d.file.Size, total))
	}
	if d.etag != "" && etag != d.etag {
		return d.wrong(errors.New("the file changed on the server while it was fetched"))
	}
	d.etag = etag
	return nil
}

// check compares all that arrived with the listed hash.
func (d *download) check() error {
	if got := hex.EncodeToString(d.sum.Sum(nil)); got != d.file.Hash {
		return d.wrong(fmt.Errorf("the content's hash is %s, listed is %s", got, d.file.Hash))
	}
	return nil
}
