package flags

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
)

// CheckRanges refuses numbers outside what the tags of their flags say: range:"1..", range:"0..1" with the ends,
// range:"0<..1" without the lower one. Lists are checked number by number.
func CheckRanges(parsed *kong.Context) error {
	for _, p := range parsed.Path {
		if p.Flag == nil {
			continue
		}
		text := p.Flag.Tag.Get("range")
		if text == "" {
			continue
		}
		r, err := parseRange(text)
		if err != nil {
			return fmt.Errorf("--%s: %w", p.Flag.Name, err)
		}
		for _, x := range numbersIn(parsed.FlagValue(p.Flag)) {
			if !r.holds(x) {
				return fmt.Errorf("--%s %s: it must be %s", p.Flag.Name, plainNumber(x), r.against(x))
			}
		}
	}
	return nil
}

// numberRange is from low to high, which may be infinite.
type numberRange struct {
	low, high float64
	open      bool // low itself is outside
}

func parseRange(text string) (r numberRange, err error) {
	low, high, ok := strings.Cut(text, "..")
	r = numberRange{high: math.Inf(1)}
	low, r.open = strings.CutSuffix(low, "<")
	if r.low, err = strconv.ParseFloat(low, 64); err == nil && high != "" {
		r.high, err = strconv.ParseFloat(high, 64)
	}
	if err != nil || !ok {
		return r, fmt.Errorf("%q is no range", text)
	}
	return r, nil
}

func (r numberRange) holds(x float64) bool { // so that NaN fails
	return (x > r.low || !r.open && x == r.low) && x <= r.high && !math.IsInf(x, 0)
}

// against says what a number that the range does not hold should be.
func (r numberRange) against(x float64) string {
	switch {
	case x > r.high:
		return "at most " + plainNumber(r.high)
	case r.open:
		return "above " + plainNumber(r.low)
	}
	return plainNumber(r.low) + " or more"
}

// plainNumber prints a number with all its digits as long as these are few.
func plainNumber(x float64) string {
	if math.Abs(x) < 1e16 && x == math.Trunc(x) {
		return strconv.FormatFloat(x, 'f', -1, 64)
	}
	return strconv.FormatFloat(x, 'g', -1, 64)
}

// numbersIn are the numbers of a flag's value: one, several, or none where it is not set.
func numbersIn(value any) (list []float64) {
	v := reflect.ValueOf(value)
	for v.IsValid() && v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	switch {
	case !v.IsValid():
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			list = append(list, numbersIn(v.Index(i).Interface())...)
		}
	case v.CanInt():
		list = append(list, float64(v.Int()))
	case v.CanUint():
		list = append(list, float64(v.Uint()))
	case v.CanFloat():
		list = append(list, v.Float())
	}
	return list
}
