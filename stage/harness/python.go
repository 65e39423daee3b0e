package harness

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"steplm/stage/eval"
)

// float is a number that JSON and samples have as Python writes it, with a point or an exponent.
type float float64

// MarshalJSON refuses what no JSON has.
func (f float) MarshalJSON() ([]byte, error) {
	if v := float64(f); math.IsNaN(v) || math.IsInf(v, 0) {
		return nil, fmt.Errorf("%w: %v", eval.ErrNotFinite, v)
	}
	return []byte(f.String()), nil
}

// String is Python's repr.
func (f float) String() string {
	v := float64(f)
	if a := math.Abs(v); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(v, 'e', -1, 64)
	}
	s := strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.ContainsAny(s, ".nN") {
		s += ".0"
	}
	return s
}

// boolean is a truth value as Python writes it.
func boolean(b bool) string {
	if b {
		return "True"
	}
	return "False"
}
