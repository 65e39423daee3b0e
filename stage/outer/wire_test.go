package outer

import (
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// What was sent and the residual are together what was meant, over many rounds, for every wire and any values; and
// what a block loses at once is no more than half a step of its code.
func TestSentAndResidualAreWhatWasMeant(t *testing.T) {
	steps := map[string]float64{WireF32: 0, WireBF16: 1.0 / 128, WireInt8: 1.01 / 127, WireInt4: 1.01 / 7}
	for _, name := range Wires() {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				w, n := wireOf(name), rapid.IntRange(1, 3*blockElements+1).Draw(t, "n")
				scale := math.Pow(10, rapid.Float64Range(-12, 6).Draw(t, "exponent"))
				residual, sent, meant := make([]float32, n), make([]float64, n), make([]float64, n)
				largest := 0.0
				for range rapid.IntRange(1, 12).Draw(t, "rounds") {
					values := make([]float32, n)
					for i := range values {
						values[i] = float32(scale * rapid.Float64Range(-1, 1).Draw(t, "value"))
						meant[i] += float64(values[i])
					}
					bytes := make([]byte, w.bytes(n))
					if err := w.feedback(bytes, values, residual); err != nil {
						t.Fatal(err)
					}
					read := make([]float32, n)
					if err := w.decode(read, bytes); err != nil {
						t.Fatal(err)
					}
					for i, f := range read {
						if f != values[i] {
							t.Fatalf("element %d: the sender takes %g for sent, %g arrives", i, values[i], f)
						}
						sent[i] += float64(f)
						largest = max(largest, math.Abs(float64(f))+math.Abs(float64(residual[i])))
					}
				}
				for i := range sent {
					// Sums of a dozen float32 values round by 2^-24 each.
					if d := math.Abs(sent[i] + float64(residual[i]) - meant[i]); d > 24*largest/(1<<24) {
						t.Fatalf("element %d: %g sent and %g left, %g meant", i, sent[i], residual[i], meant[i])
					}
					// Below 2^-126 bf16 has steps of 2^-133, whatever the value.
					most := steps[name]*largest/2 + largest/(1<<24) + 0x1p-134
					if math.Abs(float64(residual[i])) > most {
						t.Fatalf("element %d: %g is left, at most %g may be", i, residual[i], most)
					}
				}
			})
		})
	}
}

// Bytes of a block by hand: an int4 value takes half a byte, 64 share two bytes of a scale, of which the largest is 7.
func TestWiresByHand(t *testing.T) {
	values := []float32{0, 7, -7, 3.4, -0.4}
	for _, c := range []struct {
		name  string
		bytes []byte
		reads []float32
	}{
		{WireInt4, []byte{0x80, 0x3f, 0x70, 0x39, 0}, []float32{0, 7, -7, 3, 0}},
		{WireBF16, []byte{0, 0, 0xe0, 0x40, 0xe0, 0xc0, 0x5a, 0x40, 0xcd, 0xbe},
			[]float32{0, 7, -7, 3.40625, -0.400390625}},
	} {
		w := wireOf(c.name)
		out, read := make([]byte, w.bytes(len(values))), make([]float32, len(values))
		w.encode(out, values)
		if string(out) != string(c.bytes) {
			t.Errorf("%s: % x, want % x", c.name, out, c.bytes)
		}
		if err := w.decode(read, out); err != nil {
			t.Error(err)
		}
		for i := range read {
			if read[i] != c.reads[i] {
				t.Errorf("%s: element %d reads %g, want %g", c.name, i, read[i], c.reads[i])
			}
		}
	}
	for name, want := range map[string]int{WireF32: 4 * 130, WireBF16: 2 * 130, WireInt8: 3*2 + 130,
		WireInt4: 3*2 + 32 + 32 + 1} {
		if n := wireOf(name).bytes(130); n != want {
			t.Errorf("%s: 130 elements take %d bytes, want %d", name, n, want)
		}
	}
}

// A change that is no number is neither sent nor taken.
func TestNotFiniteIsRefused(t *testing.T) {
	for _, name := range Wires() {
		for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
			w, values := wireOf(name), []float32{1, bad}
			if err := w.feedback(make([]byte, w.bytes(2)), values, make([]float32, 2)); !errors.Is(err, ErrNotFinite) {
				t.Errorf("%s sends %g: %v", name, bad, err)
			}
		}
	}
	for name, bytes := range map[string][]byte{
		WireF32: {0, 0, 0x80, 0x7f}, WireBF16: {0x80, 0xff}, WireInt8: {0x80, 0x7f, 1}, WireInt4: {0xc0, 0x7f, 1},
		"negative scale": {0x80, 0xbf, 1},
	} {
		if name == "negative scale" {
			name = WireInt4
		}
		if err := wireOf(name).decode(make([]float32, 1), bytes); !errors.Is(err, ErrNotFinite) {
			t.Errorf("%s takes % x: %v", name, bytes, err)
		}
	}
}
