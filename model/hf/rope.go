package hf

import (
	"fmt"
	"math"

	"steplm/model"
)

// ropeFields is what a file says of rotary positions: rope_parameters of transformers 5, rope_scaling of 4.
type ropeFields struct {
	Theta           *float64 `json:"rope_theta"`
	Type            *string  `json:"rope_type"`
	OldType         *string  `json:"type"`
	Factor          *float64 `json:"factor"`
	Original        *int     `json:"original_max_position_embeddings"`
	LowFreq         *float64 `json:"low_freq_factor"`
	HighFreq        *float64 `json:"high_freq_factor"`
	BetaFast        *float64 `json:"beta_fast"`
	BetaSlow        *float64 `json:"beta_slow"`
	AttentionFactor *float64 `json:"attention_factor"`
	MScale          *float64 `json:"mscale"`
	MScaleAll       *float64 `json:"mscale_all_dim"`
	Truncate        *bool    `json:"truncate"`
	Partial         *float64 `json:"partial_rotary_factor"`
}

const ropeDefault = "default"

// scaling is what they say of a context that was made longer, of a model of so many positions.
func (f ropeFields) scaling(positions int) (s model.RopeScaling, err error) {
	s.Type = or(f.Type, or(f.OldType, ropeDefault))
	if s.Type == ropeDefault {
		return model.RopeScaling{}, nil
	}
	s.Factor, s.Original = or(f.Factor, 0), or(f.Original, 0)
	switch s.Type {
	case model.RopeLinear, model.RopeDynamic:
		s.Original = 0 // Neither looks at it.
	case model.RopeLlama3:
		s.LowFreq, s.HighFreq = or(f.LowFreq, 0), or(f.HighFreq, 0)
	case model.RopeYarn:
		s.BetaFast, s.BetaSlow = or(f.BetaFast, 32), or(f.BetaSlow, 1)
		s.Untruncated = !or(f.Truncate, true)
		if f.Original == nil {
			s.Original = positions
		} else if f.Factor == nil && *f.Original > 0 {
			s.Factor = float64(positions) / float64(*f.Original)
		}
		s.AttentionFactor = or(f.AttentionFactor, 0)
		if a, b := or(f.MScale, 0), or(f.MScaleAll, 0); f.AttentionFactor == nil && a != 0 && b != 0 {
			s.AttentionFactor = (float64(0.1*a*math.Log(s.Factor)) + 1) / (float64(0.1*b*math.Log(s.Factor)) + 1)
		}
	}
	return s, s.Validate()
}

// rope takes what both places say, which must be the same: releases of transformers read one or the other.
func (f configFields) rope(c *model.Config) error {
	c.RopeTheta = or(f.RopeTheta, 10000)
	if f.RopeParameters != nil {
		c.RopeTheta = or(f.RopeParameters.Theta, c.RopeTheta)
	}
	var said []model.RopeScaling
	for _, x := range []struct {
		name   string
		fields *ropeFields
	}{{"rope_scaling", f.RopeScaling}, {"rope_parameters", f.RopeParameters}} {
		if x.fields == nil {
			continue
		}
		if p := or(x.fields.Partial, 1); p != 1 {
			return fmt.Errorf("not supported: %s: partial_rotary_factor %v (only 1)", x.name, p)
		}
		s, err := x.fields.scaling(c.MaxSeqLen)
		if err != nil {
			return fmt.Errorf("%s: %w", x.name, err)
		}
		said = append(said, s)
	}
	switch {
	case len(said) == 2 && said[0] != said[1]:
		return fmt.Errorf("rope_scaling and rope_parameters say different things (%+v and %+v): leave one out", said[0],
			said[1])
	case len(said) > 0:
		c.RopeScaling = said[0]
	}
	return nil
}

// writtenRope is ropeFields as they are written.
type writtenRope struct {
	Type            string   `json:"rope_type"`
	Theta           *decimal `json:"rope_theta,omitempty"` // of rope_parameters alone
	Factor          decimal  `json:"factor,omitempty"`
	Original        int      `json:"original_max_position_embeddings,omitempty"`
	LowFreq         decimal  `json:"low_freq_factor,omitempty"`
	HighFreq        decimal  `json:"high_freq_factor,omitempty"`
	BetaFast        decimal  `json:"beta_fast,omitempty"`
	BetaSlow        decimal  `json:"beta_slow,omitempty"`
	AttentionFactor decimal  `json:"attention_factor,omitempty"`
	Truncate        *bool    `json:"truncate,omitempty"`
}

// writeRope is rope_scaling, nil where nothing is scaled, and rope_parameters.
func writeRope(c model.Config) (scaling *writtenRope, parameters writtenRope) {
	theta, s := decimal(c.RopeTheta), c.RopeScaling
	if s == (model.RopeScaling{}) {
		return nil, writtenRope{Type: ropeDefault, Theta: &theta}
	}
	parameters = writtenRope{Type: s.Type, Factor: decimal(s.Factor), Original: s.Original, LowFreq: decimal(s.LowFreq),
		HighFreq: decimal(s.HighFreq), BetaFast: decimal(s.BetaFast), BetaSlow: decimal(s.BetaSlow),
		AttentionFactor: decimal(s.AttentionFactor)}
	if s.Untruncated {
		no := false
		parameters.Truncate = &no
	}
	old := parameters
	parameters.Theta = &theta
	return &old, parameters
}
