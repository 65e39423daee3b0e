package gpu

import (
	"math"
	"strings"
	"testing"
)

func TestRowsArePadded(t *testing.T) {
	for _, c := range []struct {
		dtype               DType
		shape               []int
		rows, stride, words int
	}{
		{F32, []int{1}, 1, 8, 8},
		{F32, []int{8}, 1, 8, 8},
		{F32, []int{3, 5}, 3, 8, 24},
		{F32, []int{2, 3, 9}, 6, 16, 96},
		{BF16, []int{1}, 1, 8, 4},
		{BF16, []int{3, 9}, 3, 16, 24},
		{BF16, []int{2048, 5461}, 2048, 5464, 2048 * 5464 / 2},
		{I8, []int{1}, 1, 8, 2},
		{I8, []int{3, 64}, 3, 64, 48},
		{I8, []int{3, 65}, 3, 72, 54},
		{U32, []int{1}, 1, 1, 1},
		{U32, []int{3, 5}, 3, 5, 15},
	} {
		s := Spec{Name: "x", DType: c.dtype, Shape: c.shape}
		if s.Rows() != c.rows || s.Stride() != c.stride || s.Words() != c.words || s.Bytes() != int64(c.words)*4 {
			t.Errorf("%s: %d rows, stride %d, %d words, %d bytes; want %d, %d, %d", s, s.Rows(), s.Stride(), s.Words(),
				s.Bytes(), c.rows, c.stride, c.words)
		}
	}
}

// Parts of PartRows rows begin where they can be bound, within the limit, and
// one more row, or as many as begin aligned, would exceed it.
func TestPartRows(t *testing.T) {
	for _, dtype := range []DType{F32, BF16, I8, U32} {
		for _, cols := range []int{1, 7, 8, 9, 64, 100, 256, 5461} {
			for _, limit := range []int64{0, 255, 256, 1 << 12, 1<<20 + 1} {
				s := Spec{DType: dtype, Shape: []int{1 << 20, cols}}
				n := s.PartRows(limit)
				row := int64(s.rowWords() * 4)
				if n < 0 || int64(n)*row > limit || int64(n)*row%viewAlign != 0 {
					t.Errorf("%s, limit %d: parts of %d rows of %d bytes", s, limit, n, row)
				}
				for more := int64(n) + 1; more*row <= limit; more++ {
					if more*row%viewAlign == 0 {
						t.Errorf("%s, limit %d: parts of %d rows, %d would do", s, limit, n, more)
						break
					}
				}
			}
		}
	}
}

// Every bfloat16 there is, with lower halves around every rounding decision,
// against the definition: the nearer neighbour, of two as near the even one.
func TestBF16RoundsToNearestEven(t *testing.T) {
	for high := range uint32(1 << 16) {
		exact := FromBF16(uint16(high))
		if got := math.Float32bits(exact); got != high<<16 {
			t.Fatalf("FromBF16(%#x) has bits %#x", high, got)
		}
		for _, low := range []uint32{0, 1, 0x7fff, 0x8000, 0x8001, 0xffff} {
			f := math.Float32frombits(high<<16 | low)
			got := BF16Bits(f)
			if f != f {
				if v := FromBF16(got); v == v || got&0x40 == 0 || got>>15 != uint16(high>>15) {
					t.Fatalf("NaN %#x becomes %#x", high<<16|low, got)
				}
				continue
			}
			// Distances are exact: between neighbours in float64. Beyond the largest
			// finite value comes 2^128, which stands for infinity.
			value := func(bits uint32) float64 {
				if bits&0x7fff == 0x7f80 {
					return math.Copysign(math.Ldexp(1, 128), float64(math.Float32frombits(bits<<16)))
				}
				return float64(math.Float32frombits(bits << 16))
			}
			want := high
			if low != 0 {
				down, up := math.Abs(float64(f)-value(high)), math.Abs(value(high+1)-float64(f))
				if up < down || up == down && high&1 == 1 {
					want = high + 1
				}
			}
			if uint32(got) != want {
				t.Fatalf("%#x (%g) becomes %#x, want %#x", high<<16|low, f, got, want)
			}
		}
	}
}

// dense are values of which no two rows are alike, some of them ties in BF16.
func dense(rows, cols int) []float32 {
	f := make([]float32, rows*cols)
	for i := range f {
		f[i] = (1 + float32(i%97)/256) * float32(int(1)<<(i%7)) * float32(1-i%3)
	}
	f[0] = float32(math.Inf(-1))
	return f
}

// stored is what reading returns of f.
func stored(dtype DType, f []float32) []float32 {
	want := make([]float32, len(f))
	for i, v := range f {
		want[i] = v
		if dtype == BF16 {
			want[i] = FromBF16(BF16Bits(v))
		}
	}
	return want
}

func sameFloats(t *testing.T, what string, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("%s: value %d is %g, want %g", what, i, got[i], want[i])
		}
	}
}

// padding fails if any word or half word behind the columns is not zero.
func padding(t *testing.T, d Device, x Tensor) {
	t.Helper()
	words := make([]uint32, x.Words())
	if err := d.Read(x, 0, words); err != nil {
		t.Fatal(err)
	}
	for row := range x.Rows() {
		for j := x.Cols(); j < x.Stride(); j++ {
			w := words[row*x.rowWords():]
			if x.DType == BF16 && w[j/2]>>(j%2*16)&0xffff != 0 || x.DType == F32 && w[j] != 0 {
				t.Fatalf("%s: padding at row %d, column %d is not zero", x.Spec, row, j)
			}
		}
	}
}

func TestValuesOfPaddedRows(t *testing.T) {
	both(t, func(t *testing.T, d Device) {
		for _, dtype := range []DType{F32, BF16} {
			// the last in several chunks
			for _, shape := range [][]int{{1}, {7}, {8}, {3, 5}, {2, 2, 9}, {5, 15}, {300, 5461}} {
				x := newTensor(t, d, Spec{Name: "x", DType: dtype, Shape: shape})
				ones := make([]uint32, x.Words())
				for i := range ones {
					ones[i] = 0x3f803f80
				}
				if err := d.Write(x, 0, ones); err != nil { // padding that WriteF32 must clear
					t.Fatal(err)
				}
				f := dense(x.Rows(), x.Cols())
				if err := WriteF32(d, x, f); err != nil {
					t.Fatal(err)
				}
				padding(t, d, x)
				got, err := ReadF32(d, x)
				if err != nil {
					t.Fatal(err)
				}
				sameFloats(t, x.String(), got, stored(dtype, f))
			}
		}
	})
}

func TestRowsAreWrittenAndReadAlone(t *testing.T) {
	both(t, func(t *testing.T, d Device) {
		for _, dtype := range []DType{F32, BF16} {
			const rows, cols = 6, 11
			x := newTensor(t, d, Spec{Name: "x", DType: dtype, Shape: []int{2, 3, cols}})
			want := make([]float32, rows*cols)
			f := dense(2, cols)
			copy(want[3*cols:], f)
			if err := WriteRows(d, x, 3, f); err != nil {
				t.Fatal(err)
			}
			got, err := ReadF32(d, x)
			if err != nil {
				t.Fatal(err)
			}
			sameFloats(t, "all", got, stored(dtype, want))
			padding(t, d, x)
			part := make([]float32, 3*cols)
			if err := ReadRows(d, x, 2, part); err != nil {
				t.Fatal(err)
			}
			sameFloats(t, "rows 2 to 5", part, stored(dtype, want[2*cols:5*cols]))
			if err := ReadRows(d, x, 6, nil); err != nil {
				t.Errorf("no rows: %v", err)
			}
			for what, err := range map[string]error{
				"not whole rows of 11":    WriteRows(d, x, 0, f[:cols+1]),
				"12 values are not":       ReadRows(d, x, 0, part[:cols+1]),
				"65 values written to 66": WriteF32(d, x, make([]float32, rows*cols-1)),
				"read tensor x: words":    ReadRows(d, x, rows-1, part),
				"write tensor x: words":   WriteRows(d, x, -1, f),
				`tensor "none" has no memory`: WriteRows(d, Tensor{Spec: Spec{Name: "none", Shape: []int{1}}}, 0,
					f[:1]),
			} {
				if err == nil || !strings.Contains(err.Error(), what) {
					t.Errorf("%s: %v does not say %q", dtype, err, what)
				}
			}
		}
		for _, dtype := range []DType{U32, I8} {
			x := newTensor(t, d, Spec{Name: "x", DType: dtype, Shape: []int{2, 3}})
			if _, err := ReadF32(d, x); err == nil ||
				!strings.Contains(err.Error(), "of "+dtype.String()+" has no float values") {
				t.Errorf("%s read as values: %v", dtype, err)
			}
			if WriteF32(d, x, make([]float32, 6)) == nil {
				t.Errorf("values were written to %s", dtype)
			}
		}
	})
}

func newTensor(t *testing.T, d Device, s Spec) Tensor {
	t.Helper()
	s.Class = Scratch
	x, err := d.New(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Free(x) })
	return x
}

// A reference sees plain values, and what it writes is rounded and padded; what
// it only reads stays as it is, bit for bit.
func TestHostKernelsSeeValues(t *testing.T) {
	d := NewHost()
	double := Kernel{
		Name: "double", Workgroup: [3]int{1, 1, 1}, Access: []Access{Write, Read, Write},
		Host: func(a Args) {
			if len(a.F(0)) != 15 || len(a.F(1)) != 15 {
				t.Errorf("%d and %d values, want 15", len(a.F(0)), len(a.F(1)))
			}
			for i, v := range a.F(1) {
				a.F(0)[i] += 2 * v
				a.F(1)[i] = 99 // not a store: binding 1 is read
			}
			a.U(2)[1] = 7
		},
	}
	for _, dtype := range []DType{F32, BF16} {
		out := newTensor(t, d, Spec{Name: "out", DType: dtype, Shape: []int{3, 5}})
		x := newTensor(t, d, Spec{Name: "x", DType: dtype, Shape: []int{3, 5}})
		words := newTensor(t, d, Spec{Name: "words", DType: U32, Shape: []int{2}})
		f := dense(3, 5)
		first := make([]float32, len(f))
		for i := range first {
			first[i] = 1
		}
		if err := WriteF32(d, x, f); err != nil {
			t.Fatal(err)
		}
		if err := WriteF32(d, out, first); err != nil {
			t.Fatal(err)
		}
		p := d.Begin("double")
		p.Run(Call{Kernel: &double, Groups: [3]int{1, 1, 1}, Tensors: []Tensor{out, x, words}})
		if err := p.End(); err != nil {
			t.Fatal(err)
		}
		want := stored(dtype, f)
		for i, v := range want {
			want[i] = 1 + 2*v
		}
		got, err := ReadF32(d, out)
		if err != nil {
			t.Fatal(err)
		}
		sameFloats(t, "out", got, stored(dtype, want))
		padding(t, d, out)
		if got, err = ReadF32(d, x); err != nil {
			t.Fatal(err)
		}
		sameFloats(t, "x", got, stored(dtype, f))
		w := make([]uint32, 2)
		if err := d.Read(words, 0, w); err != nil || w[1] != 7 {
			t.Errorf("words %d, %v", w, err)
		}
	}
}
