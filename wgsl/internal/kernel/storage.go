package kernel

import (
	"fmt"
	"strings"

	"steplm/gpu"
)

// Storage types. The text of a kernel is written once, in terms of a Pair of
// neighbouring elements, a vec2<f32> or two bf16 in a word, or of an Eight, a
// mat2x4<f32> or eight bf16 in four words: rows are padded to whole ones. They are the
// units of load and store, and one invocation owns all of one. Eights cost the least
// on CPUs, where invocations do, and words loaded one by one. Weights and activations
// are of one type (P in the list of a kernel's bindings), gradients of another
// (G), since they may be f32 where the rest is bf16; the other letters are F
// (f32), U (words) and I (four int8 in a word).

// Storage is one choice of P and G.
type Storage struct{ Pair, Grad gpu.DType }

// Storages are the choices that kernels are made for.
var Storages = []Storage{{gpu.F32, gpu.F32}, {gpu.BF16, gpu.BF16}, {gpu.BF16, gpu.F32}}

func (s Storage) Suffix() string {
	if s.Pair == s.Grad {
		return "_" + s.Pair.String()
	}
	return "_" + s.Pair.String() + "_" + s.Grad.String()
}

// Prelude is what is put before a kernel's text.
func (s Storage) Prelude() string {
	rounding := ""
	if s.Pair == gpu.BF16 || s.Grad == gpu.BF16 {
		rounding = RoundBF16
	}
	return rounding + unitsOf("", "", s.Pair) + unitsOf("Grad", "_grad", s.Grad) + unpadded + "\n"
}

// unpadded clears the halves of a row's pair j that are padding, unpadded_eight what of
// its eight j is: whatever kernels compute from infinities, padding stays zero.
const unpadded = `fn unpadded(v: vec2<f32>, j: u32, columns: u32) -> vec2<f32> {
	return select(vec2<f32>(0.0, 0.0), v, vec2<bool>(2u * j < columns, 2u * j + 1u < columns));
}
fn unpadded_eight(v: mat2x4<f32>, j: u32, columns: u32) -> mat2x4<f32> {
	let at = vec4<u32>(0u, 1u, 2u, 3u) + 8u * j;
	return mat2x4<f32>(select(vec4<f32>(), v[0], at < vec4<u32>(columns)), select(vec4<f32>(), v[1], at + 4u < vec4<u32>(columns)));
}
`

// RoundBF16 rounds to nearest, ties to even; NaNs stay NaNs. In integers, since
// compilers may take floats for finite, and without branches.
const RoundBF16 = `fn round_bf16(x: f32) -> u32 {
	let bits = bitcast<u32>(x);
	return select((bits + 0x7fffu + ((bits >> 16u) & 1u)) >> 16u, (bits >> 16u) | 0x40u, (bits & 0x7fffffffu) > 0x7f800000u);
}
fn round_bf16s(x: vec4<f32>) -> vec4<u32> {
	let bits = bitcast<vec4<u32>>(x);
	let upper = bits >> vec4<u32>(16u);
	return select((bits + 0x7fffu + (upper & vec4<u32>(1u))) >> vec4<u32>(16u), upper | vec4<u32>(0x40u), (bits & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u));
}
`

// unitsOf are the Pair and the Eight of a type, of names with a prefix, and functions to
// and from floats, with a suffix.
func unitsOf(prefix, suffix string, t gpu.DType) string {
	text := `alias %[1]sPair = vec2<f32>;
fn unpack%[2]s(p: %[1]sPair) -> vec2<f32> { return p; }
fn pack%[2]s(v: vec2<f32>) -> %[1]sPair { return v; }
alias %[1]sEight = mat2x4<f32>;
fn unpack_eight%[2]s(e: %[1]sEight) -> mat2x4<f32> { return e; }
fn pack_eight%[2]s(v: mat2x4<f32>) -> %[1]sEight { return v; }
`
	if t == gpu.BF16 {
		text = `alias %[1]sPair = u32;
fn unpack%[2]s(p: %[1]sPair) -> vec2<f32> { return vec2<f32>(bitcast<f32>(p << 16u), bitcast<f32>(p & 0xffff0000u)); }
fn pack%[2]s(v: vec2<f32>) -> %[1]sPair { return round_bf16(v.x) | (round_bf16(v.y) << 16u); }
alias %[1]sEight = vec4<u32>;
fn unpack_eight%[2]s(e: %[1]sEight) -> mat2x4<f32> {
	let even = bitcast<vec4<f32>>(e << vec4<u32>(16u));
	let odd = bitcast<vec4<f32>>(e & vec4<u32>(0xffff0000u));
	return mat2x4<f32>(vec4<f32>(even.x, odd.x, even.y, odd.y), vec4<f32>(even.z, odd.z, even.w, odd.w));
}
fn pack_eight%[2]s(v: mat2x4<f32>) -> %[1]sEight {
	let a = round_bf16s(v[0]);
	let b = round_bf16s(v[1]);
	return vec4<u32>(a.xz, b.xz) | (vec4<u32>(a.yw, b.yw) << vec4<u32>(16u));
}
`
	}
	return fmt.Sprintf(text, prefix, suffix)
}

// Family is one kernel text in the storage types that it is made for.
type Family struct {
	Name     string
	types    string // of the bindings: P G F U I
	variants map[Storage]*gpu.Kernel
}

// Typed declares the kernels of file name.wgsl for every storage type; types has
// a letter for each binding.
func (l *Library) Typed(name string, workgroup [3]int, access []gpu.Access, types string, host func(gpu.Args)) *Family {
	return l.TypedWith(name, workgroup, access, types, "", 0, host)
}

// TypedWith puts prelude before the text of the file; shared is the bytes of
// workgroup memory. Without both P and G there is nothing to combine.
func (l *Library) TypedWith(name string, workgroup [3]int, access []gpu.Access, types, prelude string, shared int,
	host func(gpu.Args)) *Family {
	among := Storages
	if !strings.Contains(types, "P") || !strings.Contains(types, "G") {
		among = Storages[:2]
	}
	return l.Family(gpu.Kernel{Name: name, Entry: name, Source: prelude + l.Text(name), Workgroup: workgroup,
		Shared: shared, Access: access, Host: host}, types, among)
}

// Family declares a kernel for a list of storage types, of which each adds to
// its name and source.
func (l *Library) Family(k gpu.Kernel, types string, list []Storage) *Family {
	f := &Family{Name: k.Name, types: types, variants: map[Storage]*gpu.Kernel{}}
	for _, s := range list {
		variant := k
		variant.Name, variant.Source, variant.DTypes = k.Name+s.Suffix(), s.Prelude()+k.Source, s.DTypes(types)
		f.variants[s] = l.Add(&variant)
	}
	return f
}

func (s Storage) DTypes(types string) []gpu.DType {
	var list []gpu.DType
	for _, t := range types {
		list = append(list, map[rune]gpu.DType{'P': s.Pair, 'G': s.Grad, 'F': gpu.F32, 'U': gpu.U32, 'I': gpu.I8}[t])
	}
	return list
}

// Run records a call of the variant for the tensors' types.
func (f *Family) Run(p *gpu.Pass, c gpu.Call) {
	s := Storage{gpu.F32, gpu.F32}
	pair, grad := false, false
	for i, t := range c.Tensors {
		switch {
		case f.types[i] == 'P' && !pair:
			s.Pair, pair = t.DType, true
		case f.types[i] == 'G' && !grad:
			s.Grad, grad = t.DType, true
		}
	}
	switch { // the type that no binding has does not matter
	case !pair && s.Grad == gpu.BF16:
		s.Pair = gpu.BF16
	case !grad:
		s.Grad = s.Pair
	}
	k, ok := f.variants[s]
	if !ok {
		p.Fail(fmt.Errorf("%s: no kernel for %s with gradients of %s", f.Name, s.Pair, s.Grad))
		return
	}
	c.Kernel = k
	p.Run(c)
}

// PairStride is the pairs from one row to the next.
func PairStride(t gpu.Tensor) int { return t.Stride() / 2 }

// EightStride is the eights from one row to the next.
func EightStride(t gpu.Tensor) int { return t.Stride() / 8 }
