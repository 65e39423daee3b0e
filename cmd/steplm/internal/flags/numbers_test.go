package flags

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// numberFlags have a flag of each kind of number.
type numberFlags struct {
	Steps  int       `range:"0..1e9" default:"0"`
	Tokens int64     `default:"0"`
	Seed   uint64    `default:"0"`
	Rank   *int      `range:"1.."`
	LR     []float64 `range:"0<..100"`
}

func parseNumbers(t *testing.T, args ...string) (f numberFlags, err error) {
	t.Helper()
	k, err := kong.New(&f, Numbers)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := k.Parse(JoinNegative(args))
	if err == nil {
		err = CheckRanges(parsed)
	}
	return f, err
}

// Whole numbers are read as people write them.
func TestWholeNumbers(t *testing.T) {
	for text, want := range map[string]int64{"30000": 30000, "30k": 30000, "30K": 30000, "1e6": 1e6, "1M": 1e6, "1.5M": 15e5,
		"2B": 2e9, "10_000": 10000, "1E3": 1000, "-3": -3, "0.5k": 500, "0": 0} {
		if f, err := parseNumbers(t, "--tokens", text); err != nil || f.Tokens != want {
			t.Errorf("%s is %d (%v), want %d", text, f.Tokens, err, want)
		}
	}
	for _, text := range []string{"1.5", "many", "k", "1kk", "0x10", "1e30", "", "1,000", "nan", "inf", "1.0001k"} {
		if f, err := parseNumbers(t, "--tokens="+text); err == nil || !strings.Contains(err.Error(), "--tokens") {
			t.Errorf("%q is %d (%v), want an error that names the flag", text, f.Tokens, err)
		}
	}
	if f, err := parseNumbers(t, "--seed", "18446744073709551615"); err != nil || f.Seed != math.MaxUint64 {
		t.Errorf("a seed of 64 bits is %d (%v)", f.Seed, err)
	}
	if _, err := parseNumbers(t, "--seed", "-1"); err == nil {
		t.Error("a seed below 0 was taken")
	}
}

// What is outside a flag's range is refused with the flag, the number and the range; a flag that is not given is not.
func TestRanges(t *testing.T) {
	if f, err := parseNumbers(t, "--steps", "5", "--rank", "2", "--lr", "0.5,100"); err != nil || f.Steps != 5 {
		t.Errorf("%+v, %v", f, err)
	}
	if _, err := parseNumbers(t); err != nil {
		t.Error(err)
	}
	for want, args := range map[string][]string{
		"--steps -4: it must be 0 or more":                  {"--steps", "-4"},
		"--steps 2000000000: it must be at most 1000000000": {"--steps", "2B"},
		"--rank 0: it must be 1 or more":                    {"--rank", "0"},
		"--lr -1: it must be above 0":                       {"--lr", "-1"},
		"--lr 101: it must be at most 100":                  {"--lr", "1,101"},
		"--lr 0: it must be above 0":                        {"--lr", "0"},
		"--lr NaN: it must be above 0":                      {"--lr", "nan"},
	} {
		if _, err := parseNumbers(t, args...); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", args, err, want)
		}
	}
}

func TestJoinNegative(t *testing.T) {
	for text, want := range map[string]string{
		"--lr -1 --x": "--lr=-1 --x", "--lr -.5": "--lr=-.5", "--lr=2 -1": "--lr=2 -1", "--json --lr 1": "--json --lr 1",
		"-- --lr -1": "-- --lr -1", "--text -x": "--text -x", "--lr": "--lr",
	} {
		if got := JoinNegative(strings.Fields(text)); !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}
