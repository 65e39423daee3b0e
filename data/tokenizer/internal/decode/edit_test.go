package decode

import (
	"math"
	"slices"
	"testing"
)

// However often a file says that a character is stripped, no more is done than there are.
func TestStrip(t *testing.T) {
	for _, most := range []int{0, 1, 2, math.MaxInt} {
		s := &Strip{Content: "\u2581", Start: most, Stop: most, Type: "Strip"}
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
		got, err := s.Decode([]string{"\u2581\u2581a\u2581b\u2581\u2581", "", "\u2581"})
		want := map[int][]string{
			0: {"\u2581\u2581a\u2581b\u2581\u2581", "", "\u2581"}, 1: {"\u2581a\u2581b\u2581", "", ""},
			2: {"a\u2581b", "", ""}, math.MaxInt: {"a\u2581b", "", ""},
		}[most]
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("at most %d: %q, %v, want %q", most, got, err, want)
		}
	}
}
