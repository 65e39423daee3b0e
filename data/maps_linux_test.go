package data

import (
	"os"
	"strings"
	"testing"

	"steplm/data/cache"
)

// A cache that is read leaves no part of it mapped: a system allows a process so many maps, and no more.
func TestReadingLeavesNoMaps(t *testing.T) {
	s, dir, tok := manyGroups(t), t.TempDir(), hashed{name: "h"}
	c, err := Tokenize(t.Context(), s, tok, dir, cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for _, err := range c.Tokens(t.Context(), s.order(1, 0), 0) {
		if rows++; err != nil {
			t.Fatal(err)
		}
	}
	if rows != 86 {
		t.Errorf("%d rows, want 86", rows)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Skip("this system does not list a process's maps: ", err)
	}
	if n := strings.Count(string(maps), dir); n > 0 {
		t.Errorf("%d maps of the cache are left", n)
	}
}
