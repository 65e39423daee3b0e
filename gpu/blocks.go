package gpu

import (
	"math/bits"

	"github.com/rajveermalviya/go-webgpu/wgpu"

	"steplm/gpu/memory"
)

// The library cuts buffers of up to sharedBytes out of chunks of memory, in blocks
// rounded up to a power of two, and gives a chunk back when all of it is free. On a
// CPU that keeps the pages of freed tensors resident: after freeing every second
// tensor of 1 GiB and filling up again, the process held 1.3 GiB. A larger buffer is
// memory of its own, and what of it is never touched costs no more than addresses,
// unless the driver touches it: SwiftShader writes zeros to all it allocates, and a
// run planned at 95 MiB took 9.5 GiB there. Tensors below ownBytes are few bytes in
// all and stay in chunks.
const (
	sharedBytes = 32 << 20
	ownBytes    = 64 << 10
)

// tensorBuffer makes the buffer of a tensor; on a CPU where untouched memory is free,
// one that has its memory to itself.
func (d *wdevice) tensorBuffer(s Spec) (*wgpu.Buffer, error) {
	if l, n := d.Limits(), s.Bytes(); l.CPU && !l.Backed && n >= ownBytes && n <= sharedBytes {
		if b, err := d.buffer(s, sharedBytes+4, tensorUsage); err == nil {
			return b, nil
		}
	}
	return d.buffer(s, s.Bytes(), tensorUsage)
}

// block is the memory that a buffer of n bytes takes out of the library's chunks.
func block(n int64) int64 {
	if n <= 0 || n > sharedBytes {
		return n
	}
	return 1 << bits.Len64(uint64(n-1))
}

// backsUntouched reports whether the driver takes memory for a buffer that nothing
// was written to: by what the process has resident before and after making one. Go
// may take memory meanwhile, so it is asked twice.
func (d *wdevice) backsUntouched() bool {
	probe := Spec{Name: "probe", Class: Scratch, DType: U32, Shape: []int{sharedBytes/4 + 1}}
	for range 2 {
		before, ok := memory.ProcessNow()
		if !ok {
			return true
		}
		b, err := d.buffer(probe, probe.Bytes(), tensorUsage)
		if err != nil {
			return true
		}
		after, _ := memory.ProcessNow()
		b.Destroy()
		b.Release()
		d.dev.Poll(false, nil)
		if after-before < sharedBytes/2 {
			return false
		}
	}
	return true
}
