package flags

import (
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
)

// Numbers has kong read whole numbers as people write them: 30k, 1.5M, 1e6, 2B, 10_000.
var Numbers = kong.OptionFunc(func(k *kong.Kong) error {
	for _, kind := range []reflect.Kind{reflect.Int, reflect.Int64, reflect.Uint64} {
		if err := kong.KindMapper(kind, kong.MapperFunc(decodeWhole)).Apply(k); err != nil {
			return err
		}
	}
	return nil
})

var numberUnits = map[string]float64{"": 1, "k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}

var numberText = regexp.MustCompile(`^([+-]?[0-9][0-9_]*(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)([kKmMbBgGtT]?)$`)

// decodeWhole reads a number into an integer of any kind.
func decodeWhole(ctx *kong.DecodeContext, target reflect.Value) error {
	var text string
	if err := ctx.Scan.PopValueInto("whole number", &text); err != nil {
		return err
	}
	digits := strings.ReplaceAll(text, "_", "")
	if target.CanUint() {
		if n, err := strconv.ParseUint(digits, 10, 64); err == nil { // Seeds may need all 64 bits.
			target.SetUint(n)
			return nil
		}
	} else if n, err := strconv.ParseInt(digits, 10, 64); err == nil && !target.OverflowInt(n) {
		target.SetInt(n)
		return nil
	}
	m := numberText.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return fmt.Errorf("%q is no whole number: write 30000, 30k, 1e6 or 1M", text)
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(m[1], "_", ""), 64)
	f *= numberUnits[strings.ToLower(m[2])]
	switch {
	case err != nil || math.Abs(f) > 1<<53:
		return fmt.Errorf("%q is too large", text)
	case math.Abs(f-math.Round(f)) > 1e-6:
		return fmt.Errorf("%q is no whole number", text)
	case target.CanUint() && f < 0:
		return fmt.Errorf("%q is below 0", text)
	case target.CanUint():
		target.SetUint(uint64(math.Round(f)))
	default:
		target.SetInt(int64(math.Round(f)))
	}
	return nil
}

var (
	longFlag = regexp.MustCompile(`^--[a-z][a-z0-9-]*$`)
	negative = regexp.MustCompile(`^-(\.?[0-9]|inf|Inf)`)
)

// JoinNegative writes --lr -1 as --lr=-1: a value that begins with a dash and a digit is a number and no flag.
func JoinNegative(args []string) (joined []string) {
	for i := 0; i < len(args); i++ {
		if args[i] == "--" {
			return append(joined, args[i:]...)
		}
		if i+1 < len(args) && longFlag.MatchString(args[i]) && negative.MatchString(args[i+1]) {
			joined = append(joined, args[i]+"="+args[i+1])
			i++
			continue
		}
		joined = append(joined, args[i])
	}
	return joined
}
