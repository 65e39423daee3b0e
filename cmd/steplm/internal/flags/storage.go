package flags

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// StorageFlags say how a run keeps its numbers, and what may be there at once.
type StorageFlags struct {
	Precision   string   `default:"${precision}" enum:"bf16,f32" help:"Weights, gradients and activations: bf16 (computing in f32) or f32. Default: ${default}."`
	States      string   `placeholder:"NAME" help:"What training keeps of a parameter: f32 with --precision f32; paper, split, stochastic or flash8 with bf16 (16, 14, 12 and 7.1 bytes with weight and gradient and AdamW; split equals paper bit for bit, stochastic has no master and rounds at random). Default: split, or f32."`
	Release     bool     `help:"Update each parameter as soon as its gradient is there, so that one gradient exists at a time; each is then clipped by itself."`
	Gradients   string   `default:"${gradients}" enum:"auto,bf16,f32" help:"Gradients: auto is the precision, and f32 where several micro-batches are added up."`
	Frozen      string   `placeholder:"TYPE" help:"Frozen layers' linears: the precision, or int8 with a scale for each 64 weights. Default: the precision."`
	Recompute   string   `default:"${recompute}" enum:"auto,none,block" help:"Run each block again in backward instead of keeping its activations: none, block, or auto: where --memory-limit asks for it."`
	HeadRows    int      `placeholder:"N" range:"0..1e9" help:"Rows of logits at once. Default: as many as 16 MiB hold, or what --memory-limit asks for."`
	MemoryLimit ByteSize `placeholder:"SIZE" help:"Most memory that the run may take, such as 6GiB: chooses micro-batch, recomputation and rows of logits for it, at the same global batch."`
}

// ByteSize is a number of bytes as people write it: 6GiB, 500MB, 1073741824.
type ByteSize int64

var byteUnits = []struct {
	name  string
	bytes float64
}{
	{"kib", 1 << 10}, {"mib", 1 << 20}, {"gib", 1 << 30}, {"tib", 1 << 40},
	{"kb", 1e3}, {"mb", 1e6}, {"gb", 1e9}, {"tb", 1e12},
	{"k", 1 << 10}, {"m", 1 << 20}, {"g", 1 << 30}, {"t", 1 << 40}, {"b", 1},
}

// UnmarshalText parses a size; units of 1000 end in B, of 1024 in iB or nothing.
func (b *ByteSize) UnmarshalText(text []byte) error {
	s, unit := strings.ToLower(strings.TrimSpace(string(text))), 1.0
	for _, u := range byteUnits {
		if number, ok := strings.CutSuffix(s, u.name); ok {
			s, unit = strings.TrimSpace(number), u.bytes
			break
		}
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || !(n*unit >= 1) || n*unit >= math.MaxInt64 {
		return fmt.Errorf("%q is no size: write 6GiB, 500MB or a number of bytes, at least 1", text)
	}
	*b = ByteSize(n * unit)
	return nil
}
