package gpu

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/rajveermalviya/go-webgpu/wgpu"
)

func (d *wdevice) Write(t Tensor, at int, words []uint32) error {
	return d.copy("write", t, at, len(words), func(b *wgpu.Buffer) error {
		if err := d.clearFresh(); err != nil {
			return err
		}
		for at := t.at + at; len(words) > 0; {
			n := min(len(words), uploadBytes/4)
			if err := d.upload(b, at*4, bytesOf(words[:n])); err != nil {
				return err
			}
			words, at = words[n:], at+n
			// The library copies every write and frees the copy only after a
			// submission was waited for.
			if d.unflushed > flushBytes {
				if err := d.sync(); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (d *wdevice) Read(t Tensor, at int, words []uint32) error {
	return d.copy("read", t, at, len(words), func(b *wgpu.Buffer) error {
		for at := t.at + at; len(words) > 0; {
			n := min(len(words), (StagingBytes-slotBytes)/4)
			if err := d.readBack(b, at*4, words[:n]); err != nil {
				return err
			}
			words, at = words[n:], at+n
		}
		return nil
	})
}

// copy does what is common to Write and Read.
func (d *wdevice) copy(verb string, t Tensor, at, n int, do func(*wgpu.Buffer) error) error {
	if t.None() {
		return noneError(verb, t)
	}
	if err := d.enter(); err != nil {
		return fmt.Errorf("%s tensor %s: %w", verb, t.Name, err)
	}
	defer d.turn.Give()
	defer d.trace.begin(verb + " " + t.Name)()
	a, err := d.alive(t)
	if err != nil {
		return err
	}
	if err := checkCopy(verb, t.Spec, at, n); err != nil {
		return err
	}
	if err := checkCopy(verb, a.spec, t.at+at, n); err != nil {
		return err
	}
	if err := do(a.buf); err != nil {
		return fmt.Errorf("%s tensor %s: %s", verb, t.Name, oneLine(err))
	}
	return nil
}

// upload queues a copy of data, which the next submission carries out first.
func (d *wdevice) upload(b *wgpu.Buffer, at int, data []byte) error {
	d.unflushed += len(data)
	if err := d.queue.WriteBuffer(b, uint64(at), data); err != nil {
		return err
	}
	return d.watch.Take()
}

// clearFresh submits the clearing of new buffers. The library would clear what
// has not been written when it is first used, from wherever the last write
// ended; offsets that are not multiples of 16 bytes are filled wrongly by some
// drivers, so whole buffers are cleared first.
func (d *wdevice) clearFresh() error {
	if len(d.fresh) == 0 {
		return nil
	}
	if err := d.open(); err != nil {
		return err
	}
	return d.flush(nil)
}

// sync waits for everything submitted.
func (d *wdevice) sync() error { return d.readBack(nil, 0, nil) }

// readBack copies words from b, and the canary behind them, waits, and checks
// that every submission so far has run; this one too, or the words would be an
// earlier read's.
func (d *wdevice) readBack(b *wgpu.Buffer, at int, words []uint32) error {
	size := len(words) * 4
	if err := d.open(); err != nil {
		return err
	}
	err := d.flush(func(enc *wgpu.CommandEncoder) error {
		if b != nil {
			if err := enc.CopyBufferToBuffer(b, uint64(at), d.staging, 0, uint64(size)); err != nil {
				return err
			}
		}
		return enc.CopyBufferToBuffer(d.canary, 0, d.staging, uint64(size), 4)
	})
	if err != nil {
		return err
	}
	// patience, and what the queued work takes at a fiftieth of a slow CPU,
	// at most a day.
	limit := patience + time.Duration(min(d.queued/1e8, 86400)*float64(time.Second))
	waited := d.trace.begin("wait")
	err = d.watch.MapRead(d.dev, d.staging, size+4, limit)
	waited()
	if err != nil {
		d.hung = true
		return d.die(err)
	}
	d.queued, d.unflushed, d.pending, d.draining = 0, 0, 0, false
	mapped := d.staging.GetMappedRange(0, uint(size+4))
	copy(bytesOf(words), mapped)
	canary := binary.LittleEndian.Uint32(mapped[size:])
	if err := d.staging.Unmap(); err != nil {
		return d.die(err)
	}
	if err := d.watch.Take(); err != nil {
		return d.die(err)
	}
	if canary != d.chain {
		return d.die(fmt.Errorf("the GPU dropped work: after %d submissions its canary reads %d, not %d; results "+
			"cannot be trusted", d.submissions, canary, d.chain))
	}
	return nil
}

// patience is how long an idle device may take to answer; tests shorten it.
var patience = time.Minute
