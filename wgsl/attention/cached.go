package attention

import (
	"fmt"
	"math"

	"steplm/gpu"
	"steplm/wgsl/internal/kernel"
	"steplm/wgsl/ref"
)

// CachedShape is Rows queries, each of some sequence, over a cache of Positions keys and values; H, KV and D
// are as in Shape. Window is how many positions a row attends to, itself the last; 0: all.
type CachedShape = ref.CachedShape

// Cached sets out (R, H D) to attention of each row of q (R, H D) over the keys and values (P, KV D) of its
// sequence with scale 1/sqrt(D). places (2, R; U32) is where in the cache each row's sequence begins, and
// then where each row itself lies, which is the last position that it sees. At most MaxKeys may lie between them.
//
// A row gets the bits that Forward gives it, whatever else is among the rows.
func Cached(p *gpu.Pass, out, q, k, v, places gpu.Tensor, s CachedShape) {
	runCached(p, walk, out, q, k, v, places, s)
}

// Decode is Cached for rows that are few, one of a sequence. A row gets the same bits whatever else is among
// the rows; on GPUs they are not those of Cached, since many invocations share a row.
func Decode(p *gpu.Pass, out, q, k, v, places gpu.Tensor, s CachedShape) {
	runCached(p, decodeWay(p.Limits(), head{s.D, out.DType}), out, q, k, v, places, s)
}

// decodeWay is how Decode walks the keys on a device with such limits.
func decodeWay(l gpu.Limits, h head) cachedWay {
	if l.CPU || !spreads(h.size, h.dtype) {
		return walk
	}
	return spread
}

// MaxKeys is how many positions a row may attend to.
const MaxKeys = kernel.MaxLoop

// CacheStore copies the rows of k and v (R, KV D) to their places in keys and values (P, KV D), see Cached.
func CacheStore(p *gpu.Pass, keys, values, k, v, places gpu.Tensor, s CachedShape) {
	name := cacheStore.Name
	if !cachedShapes(p, name, keys, values, places, s) || !kernel.Shaped(p, name, k, s.Rows, s.KV*s.D) ||
		!kernel.Shaped(p, name, v, s.Rows, s.KV*s.D) {
		return
	}
	n := s.Rows * kernel.EightStride(k)
	cacheStore.Run(p, gpu.Call{Groups: kernel.Groups1(n, 64),
		Params:  p.Params(uint32(s.Rows), uint32(kernel.EightStride(k))),
		Tensors: p.Tensors(keys, values, k, v, places), Work: kernel.Traffic(128, n)})
}

var cacheStore = library.Typed("cache_store", [3]int{64, 1, 1},
	[]gpu.Access{gpu.Write, gpu.Write, gpu.Read, gpu.Read, gpu.Read}, "PPPPU", func(a gpu.Args) {
		rows := a.Int(0) // whole words: nothing is computed
		ref.CacheStore(a.U(0), a.U(1), a.U(2), a.U(3), a.U(4), rows, len(a.U(2))/rows)
	})

// cachedShapes checks what lies in the cache, and where.
func cachedShapes(p *gpu.Pass, name string, keys, values, places gpu.Tensor, s CachedShape) bool {
	return kernel.Shaped(p, name, keys, s.Positions, s.KV*s.D) &&
		kernel.Shaped(p, name, values, s.Positions, s.KV*s.D) && kernel.Shaped(p, name, places, 2, s.Rows)
}

// runCached checks a call and records it in the variant that is chosen for its class.
func runCached(p *gpu.Pass, way cachedWay, out, q, k, v, places gpu.Tensor, s CachedShape) {
	name := cachedWays[way]
	switch {
	case s.D < 2 || s.D > maxHead || s.D%2 != 0:
		p.Fail(fmt.Errorf("%s: head size %d, kernels exist for even sizes from 2 to %d", name, s.D, maxHead))
		return
	case s.Group() < 1:
		p.Fail(fmt.Errorf("%s: %d query heads do not divide among %d key-value heads", name, s.H, s.KV))
		return
	}
	if !kernel.Shaped(p, name, out, s.Rows, s.H*s.D) || !kernel.Shaped(p, name, q, s.Rows, s.H*s.D) ||
		!cachedShapes(p, name, k, v, places, s) {
		return
	}
	if q.DType != gpu.F32 && q.DType != gpu.BF16 {
		p.Fail(fmt.Errorf("%s: tensor %s is %s, kernels take %s and %s", name, q.Name, q.DType, gpu.F32, gpu.BF16))
		return
	}
	c := cachedClassOf(way, q.DType, s)
	call := cachedCall{CachedShape: s, keys: min(s.Positions, trialKeys)}
	c.run(p, c.choose(p, call.work()), call, p.Tensors(out, q, k, v, places))
}

// cachedCall is a call, and about how many keys its rows have: where they lie is known on the device alone.
type cachedCall struct {
	CachedShape
	keys int
}

func (c cachedCall) work() float64 {
	return 4 * float64(c.D) * float64(c.Rows*c.H) * float64(c.keys)
}

// run records a call in a variant.
func (c CachedClass) run(p *gpu.Pass, v cachedBlock, s cachedCall, tensors []gpu.Tensor) {
	unit := c.head().unit()
	call := gpu.Call{
		Kernel: cachedVariant{v, c.head(), c.Way}.kernel(),
		Groups: [3]int{gpu.Groups(s.Rows*s.H, v.Size), 1, 1},
		Params: p.Params(uint32(s.Rows), uint32(s.H), uint32(s.KV), uint32(gpu.Padded(s.H*s.D)/unit),
			uint32(gpu.Padded(s.KV*s.D)/unit), gpu.Param(float32(1/math.Sqrt(float64(s.D)))), uint32(s.Window),
			uint32(s.Positions)),
		Tensors: tensors,
		Work:    s.work(),
	}
	if c.Way == spread {
		call.Groups = [3]int{gpu.Groups(s.H, v.Size/spreadLanes), s.Rows, 1}
	}
	p.Run(call)
}
