package model

import (
	"fmt"
	"math"
	"strings"

	"steplm/wgsl"
)

// The kinds of RopeScaling, as Hugging Face names them.
const (
	RopeLinear  = "linear"
	RopeDynamic = "dynamic"
	RopeLlama3  = "llama3"
	RopeYarn    = "yarn"
)

// RopeScaling is how rotary positions were stretched over a context longer than the one that was trained first. The
// zero value is not at all. Names are those of Hugging Face's rope_parameters.
type RopeScaling struct {
	Type   string  `json:"rope_type,omitempty"`
	Factor float64 `json:"factor,omitempty"` // by which the context grew
	// Original is the context before.
	Original int     `json:"original_max_position_embeddings,omitempty"`
	LowFreq  float64 `json:"low_freq_factor,omitempty"`  // of llama3
	HighFreq float64 `json:"high_freq_factor,omitempty"` // likewise
	BetaFast float64 `json:"beta_fast,omitempty"`        // of yarn
	BetaSlow float64 `json:"beta_slow,omitempty"`        // likewise
	// AttentionFactor multiplies cosines and sines; 0: 0.1 ln(Factor) + 1, of yarn.
	AttentionFactor float64 `json:"attention_factor,omitempty"`
	// Untruncated: yarn's ramp begins and ends between two pairs.
	Untruncated bool `json:"untruncated,omitempty"`
}

// ropeScalings has each kind's part: which fields it needs, and what becomes of the frequencies, in place.
var ropeScalings = map[string]struct {
	original, betas, llama3 bool
	scale                   func(s RopeScaling, theta float64, f []float64)
}{
	RopeLinear: {scale: func(s RopeScaling, _ float64, f []float64) {
		for i := range f {
			f[i] /= s.Factor
		}
	}},
	// Up to the context that was trained, which is all that is computed here, nothing is scaled.
	RopeDynamic: {scale: func(RopeScaling, float64, []float64) {}},
	RopeLlama3:  {original: true, llama3: true, scale: scaleLlama3},
	RopeYarn:    {original: true, betas: true, scale: scaleYarn},
}

// Validate refuses a scaling that has no meaning.
func (s RopeScaling) Validate() error {
	if s == (RopeScaling{}) {
		return nil
	}
	kind, ok := ropeScalings[s.Type]
	positive := func(x float64) bool { return x > 0 && !math.IsInf(x, 1) }
	switch {
	case !ok:
		return fmt.Errorf("not supported: rope_type %q (only default, %s)", s.Type,
			strings.Join([]string{RopeLinear, RopeDynamic, RopeLlama3, RopeYarn}, ", "))
	case !(s.Factor >= 1) || math.IsInf(s.Factor, 1):
		return fmt.Errorf("rope_type %s: factor is %g: it must be 1 or more", s.Type, s.Factor)
	case kind.original && s.Original < 1:
		return fmt.Errorf("rope_type %s: original_max_position_embeddings is %d: it must be at least 1", s.Type,
			s.Original)
	case kind.llama3 && !(positive(s.LowFreq) && positive(s.HighFreq) && s.LowFreq < s.HighFreq):
		return fmt.Errorf("rope_type %s: low_freq_factor %g and high_freq_factor %g: they must be above 0, the first "+
			"below the second", s.Type, s.LowFreq, s.HighFreq)
	case kind.betas && !(positive(s.BetaFast) && positive(s.BetaSlow) && s.BetaSlow <= s.BetaFast):
		return fmt.Errorf("rope_type %s: beta_fast %g and beta_slow %g: they must be above 0, the first not below the "+
			"second", s.Type, s.BetaFast, s.BetaSlow)
	case s.AttentionFactor != 0 && !(kind.betas && positive(s.AttentionFactor)):
		return fmt.Errorf("rope_type %s: attention_factor is %g: it must be above 0, and only %s has one", s.Type,
			s.AttentionFactor, RopeYarn)
	}
	return nil
}

// attention is what cosines and sines are multiplied by.
func (s RopeScaling) attention() float64 {
	switch {
	case s.Type != RopeYarn:
		return 1
	case s.AttentionFactor != 0:
		return s.AttentionFactor
	}
	return 0.1*math.Log(s.Factor) + 1
}

// RopeTables are the cosines and sines (t, HeadDim/2) of the first t positions, scaled as the configuration says.
func (c Config) RopeTables(t int) (cos, sin []float32) {
	return wgsl.RopeTables(t, c.RopeFrequencies(), c.RopeScaling.attention())
}

// RopeFrequencies are by how much each pair of a head is turned from one position to the next, in radians, (HeadDim/2),
// scaled as the configuration says.
func (c Config) RopeFrequencies() []float64 {
	f := wgsl.RopeFrequencies(c.HeadDim(), c.RopeTheta)
	if kind, ok := ropeScalings[c.RopeScaling.Type]; ok {
		kind.scale(c.RopeScaling, c.RopeTheta, f)
	}
	return f
}

// scaleLlama3 is Llama 3.1's: waves longer than the old context are stretched, short ones stay, those between are
// mixed.
func scaleLlama3(s RopeScaling, _ float64, f []float64) {
	for i := range f {
		turns := float64(s.Original) * f[i] / (2 * math.Pi) // in the old context
		switch {
		case turns > s.HighFreq:
		case turns < s.LowFreq:
			f[i] /= s.Factor
		default:
			mix := (turns - s.LowFreq) / (s.HighFreq - s.LowFreq)
			f[i] = float64((1-mix)*f[i]/s.Factor) + float64(mix*f[i])
		}
	}
}

// scaleYarn is YaRN's (Peng et al. 2023, arXiv 2309.00071): pairs that turn more than BetaFast times in the old
// context stay, those that turn less than BetaSlow times are stretched, those between are mixed by a ramp.
func scaleYarn(s RopeScaling, theta float64, f []float64) {
	d := float64(2 * len(f))
	pair := func(turns float64) float64 {
		return d * math.Log(float64(s.Original)/(turns*2*math.Pi)) / (2 * math.Log(theta))
	}
	low, high := pair(s.BetaFast), pair(s.BetaSlow)
	if !s.Untruncated {
		low, high = math.Floor(low), math.Ceil(high)
	}
	low, high = max(low, 0), min(high, d-1)
	if low == high {
		high += 0.001
	}
	for i := range f {
		ramp := min(max((float64(i)-low)/(high-low), 0), 1)
		f[i] = float64(f[i]/s.Factor*ramp) + float64(f[i]*(1-ramp))
	}
}
