package curves

// Axis is what the horizontal axis counts.
type Axis string

// The axes.
const (
	Steps  Axis = "step"
	Tokens Axis = "tokens"
	FLOPs  Axis = "flops"
	Time   Axis = "time"
)

// Axes are all of them, as they are shown.
var Axes = []Axis{Steps, Tokens, FLOPs, Time}

// Label says what the axis counts.
func (a Axis) Label() string {
	switch a {
	case FLOPs:
		return "floating point operations"
	case Time:
		return "seconds of work"
	}
	return string(a)
}

// X is where each of a run's steps is on an axis.
func (r Run) X(a Axis) ([]float64, error) {
	switch a {
	case FLOPs:
		if r.FLOPs == nil {
			return nil, r.NoFLOPs
		}
		return r.FLOPs, nil
	case Time:
		return r.Curve.Seconds, nil
	case Tokens:
		return floats(r.Curve.Tokens), nil
	}
	return floats(r.Curve.Steps), nil
}

func floats[T int | int64](list []T) []float64 {
	out := make([]float64, len(list))
	for i, n := range list {
		out[i] = float64(n)
	}
	return out
}
