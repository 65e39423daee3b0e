package optim

import (
	"fmt"
	"math"

	"steplm/gpu"
	"steplm/wgsl/update"
)

// adam is AdamW as other optimizers have it for what their own rule is not for. Published code
// knows two forms, which are not the same:
//
//	inside   W -= lr (M/(1-b1^t) / (sqrt(V/(1-b2^t)) + eps) + wd W)
//	outside  W -= lr c M / (sqrt V + eps), c = sqrt(1-b2^t) / (1-b1^t)
//
// Outside the bias correction, eps weighs 1/sqrt(1-b2^t) times more: 32 times in the first
// update with b2 0.999. The decay is of the old weight or, after the update, of the new one.
// Both are AdamW's kernels with other numbers.
type adam struct {
	AdamW
	outside bool    // epsilon is
	after   bool    // the decay is
	rate    float64 // factor on the learning rate
}

func (c adam) Update(p *gpu.Pass, u Update) { recordAdamW(p, u, c.numbers(u)) }

func (c adam) numbers(u Update) update.AdamW {
	u.Rates.LR *= c.rate
	o := c.AdamW.numbers(u)
	if c.outside {
		o.Eps = float32(c.Eps / math.Sqrt(1-math.Pow(c.Beta2, float64(u.Count))))
	}
	if c.after {
		kept := 1 - u.Rates.LR*u.Rates.Decay
		o.LR, o.Decay = float32(u.Rates.LR*kept), float32(u.Rates.Decay/kept)
	}
	return o
}

func (c adam) String() string {
	s := fmt.Sprintf("AdamW (betas %g and %g, epsilon %g", c.Beta1, c.Beta2, c.Eps)
	if c.outside {
		s += " outside the bias correction"
	}
	if c.after {
		s += ", decay of the new weight"
	}
	if c.rate != 1 {
		s += fmt.Sprintf(", %g times the rate", c.rate)
	}
	return s + ")"
}

// loraAdam is what every optimizer does to LoRA's matrices, which none of their sources know:
// they are of low rank already.
var loraAdam = adam{AdamW: AdamW{Beta1: 0.9, Beta2: 0.999, Eps: 1e-8}, rate: 1}

// unitInterval refuses betas with which a moment is not defined.
func unitInterval(optimizer string, betas ...float64) error {
	for _, b := range betas {
		if !(b >= 0 && b < 1) {
			return fmt.Errorf("%s with a beta of %g: it must be at least 0 and below 1", optimizer, b)
		}
	}
	return nil
}

// above0 refuses numbers that must be positive.
func above0(optimizer, what string, x float64) error {
	if !(x > 0) || math.IsInf(x, 1) {
		return fmt.Errorf("%s, %s %g: it must be above 0", optimizer, what, x)
	}
	return nil
}
