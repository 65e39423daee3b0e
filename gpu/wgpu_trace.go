package gpu

import (
	"fmt"
	"time"

	"github.com/rajveermalviya/go-webgpu/wgpu"

	"steplm/internal/clock"
)

// stamps is the timestamps of one submission, two for each dispatch, and how they
// stand to the system's clock. The library does not tell what a tick is, so that is
// measured between two readings of both.
type stamps struct {
	set     *wgpu.QuerySet
	resolve *wgpu.Buffer
	first   reading
	last    reading
	period  float64 // ns per tick; 0: not measured, or the ticks do not advance
}

// reading is the device's ticks at a moment.
type reading struct {
	at    time.Time
	ticks uint64
}

// stampSpec is the buffer of one submission's timestamps, 8 bytes each.
func stampSpec() Spec {
	return Spec{Name: "device.timestamps", Class: Scratch, DType: U32, Shape: []int{slots, 4}}
}

// newStamps makes them; the device was opened with the feature, without which the
// library would abort.
func (d *wdevice) newStamps() error {
	set, err := d.dev.CreateQuerySet(&wgpu.QuerySetDescriptor{Label: "timestamps", Type: wgpu.QueryType_Timestamp,
		Count: 2 * slots})
	if err != nil {
		return fmt.Errorf("make room for timestamps: %s", oneLine(err))
	}
	s := &stamps{set: set}
	if s.resolve, err = d.buffer(stampSpec(), stampSpec().Bytes(),
		wgpu.BufferUsage_QueryResolve|wgpu.BufferUsage_CopySrc); err != nil {
		set.Release()
		return err
	}
	d.ledger.add(stampSpec())
	d.stamps = s
	s.first, err = d.readStamp()
	return err
}

func (s *stamps) release() {
	s.set.Release()
	s.resolve.Destroy()
	s.resolve.Release()
}

// readStamp reads both clocks, as close together as a few tries bring them.
func (d *wdevice) readStamp() (best reading, err error) {
	shortest := time.Duration(0)
	for try := range 5 {
		enc, err := d.dev.CreateCommandEncoder(nil)
		if err != nil {
			return best, err
		}
		err = enc.WriteTimestamp(d.stamps.set, 0)
		if err == nil {
			err = enc.ResolveQuerySet(d.stamps.set, 0, 1, d.stamps.resolve, 0)
		}
		var cmd *wgpu.CommandBuffer
		if err == nil {
			cmd, err = enc.Finish(nil)
		}
		enc.Release()
		if err != nil {
			return best, err
		}
		words := make([]uint32, 2)
		start := clock.Now()
		if err := d.submit(cmd); err != nil {
			return best, err
		}
		if err := d.readBack(d.stamps.resolve, 0, words); err != nil {
			return best, err
		}
		if took := clock.Since(start); try == 0 || took < shortest {
			shortest, best = took, reading{start.Add(took / 2), tick(words)}
		}
	}
	return best, nil
}

func tick(words []uint32) uint64 { return uint64(words[0]) | uint64(words[1])<<32 }

// calibrate measures a tick, over the time since the device was opened.
func (d *wdevice) calibrate() (by string, err error) {
	if err := d.enter(); err != nil {
		return "", err
	}
	defer d.turn.Give()
	const waits = "each dispatch in a submission of its own that is waited for, by the system's clock: handing " +
		"over and waiting are in its time"
	if d.stamps == nil {
		return waits, nil
	}
	const least = 100 * time.Millisecond // against some 0.1 ms by which a reading may be off
	time.Sleep(least - clock.Since(d.stamps.first.at))
	s := d.stamps
	if s.last, err = d.readStamp(); err != nil {
		return "", fmt.Errorf("trace %s: %w", d.Name(), err)
	}
	if s.period = 0; s.last.ticks > s.first.ticks {
		s.period = float64(s.last.at.Sub(s.first.at)) / float64(s.last.ticks-s.first.ticks)
	}
	if s.period == 0 {
		return waits + " (the device's timestamps do not advance)", nil
	}
	return fmt.Sprintf("timestamps of the device, a tick of which is %.4g ns as measured against the system's "+
		"clock over %s", s.period, s.last.at.Sub(s.first.at).Round(time.Millisecond)), nil
}

// putTraced is put with the time that the dispatch takes.
func (d *wdevice) putTraced(c *Call, b *bound, origin, n [3]int, work float64) error {
	span := Span{Track: Dispatches, Name: c.Kernel.Name, Pass: d.label, Work: work, Groups: n}
	if d.stamps != nil && d.stamps.period > 0 {
		if err := d.stamp(2 * len(d.timed)); err != nil {
			return err
		}
		d.put(b, origin, n, c.Params)
		if err := d.stamp(2*len(d.timed) + 1); err != nil {
			return err
		}
		d.timed = append(d.timed, span)
		return nil
	}
	d.put(b, origin, n, c.Params)
	start := clock.Now()
	if err := d.flush(nil); err != nil {
		return err
	}
	span.Submission = d.submissions
	if err := d.sync(); err != nil {
		return err
	}
	span.Start, span.Duration = d.trace.since(start), clock.Since(start)
	d.trace.add(span)
	d.pace.rest(span.Duration)
	return nil
}

// stamp writes a timestamp between two passes of the submission.
func (d *wdevice) stamp(i int) error {
	err := d.compute.End()
	d.compute.Release()
	if err == nil {
		err = d.encoder.WriteTimestamp(d.stamps.set, uint32(i))
	}
	d.compute, d.set = d.encoder.BeginComputePass(nil), nil
	return err
}

// resolve records that the submission's timestamps are written to their buffer.
func (d *wdevice) resolve() error {
	if len(d.timed) == 0 {
		return nil
	}
	return d.encoder.ResolveQuerySet(d.stamps.set, 0, uint32(2*len(d.timed)), d.stamps.resolve, 0)
}

// collect waits for the submission that was handed over at start and notes what its
// dispatches took.
func (d *wdevice) collect(timed []Span, start time.Time) error {
	s, index := d.stamps, d.submissions
	words := make([]uint32, 4*len(timed))
	if err := d.readBack(s.resolve, 0, words); err != nil {
		return err
	}
	work := 0.0
	for i, span := range timed {
		begin, end := tick(words[4*i:]), tick(words[4*i+2:])
		// Relative to the last reading, in either direction.
		span.Start = d.trace.since(s.last.at) + time.Duration(float64(int64(begin-s.last.ticks))*s.period)
		span.Duration = time.Duration(max(0, float64(int64(end-begin))) * s.period)
		span.Submission = index
		work += span.Work
		d.trace.add(span)
	}
	d.trace.add(Span{Track: Submissions, Name: fmt.Sprintf("submission %d", index), Start: d.trace.since(start),
		Duration: clock.Since(start), Submission: index, Work: work})
	return nil
}
