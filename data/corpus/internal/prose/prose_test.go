package prose

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestWriteFollowsFromTheSeed(t *testing.T) {
	write := func(seed uint64) ([]Document, []Document) {
		t.Helper()
		train, held, err := Write(seed, 50_000, 10_000)
		if err != nil {
			t.Fatal(err)
		}
		return train, held
	}
	train, held := write(7)
	again, heldAgain := write(7)
	if !slices.Equal(train, again) || !slices.Equal(held, heldAgain) {
		t.Error("the same seed gave other documents")
	}
	if other, _ := write(8); other[0] == train[0] {
		t.Error("another seed gave the same first document")
	}
}

func TestWriteUsesEveryKindAndNoKeyTwice(t *testing.T) {
	train, held, err := Corpus()
	if err != nil {
		t.Fatal(err)
	}
	keys, seen := map[string]bool{}, map[string]int{}
	for _, d := range slices.Concat(train, held) {
		if keys[d.Key] {
			t.Errorf("two documents are %q", d.Key)
		}
		keys[d.Key] = true
		seen[d.Kind]++
	}
	for _, k := range kinds {
		if seen[k.name] == 0 {
			t.Errorf("no document is of the kind %q", k.name)
		}
	}
}

// Every statement of arithmetic in the corpus must be true.
func TestArithmeticIsRight(t *testing.T) {
	values := map[string]int{}
	for n := range 100 {
		values[number(n)] = n
	}
	value := func(s string) (int, bool) {
		if n, err := strconv.Atoi(s); err == nil {
			return n, true
		}
		n, ok := values[strings.ToLower(s)]
		return n, ok
	}
	statement := regexp.MustCompile(`([\w-]+) (plus|minus|times|divided by) ([\w-]+)(?: plus ([\w-]+))? is ([\w-]+)`)
	train, held, err := Corpus()
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, d := range slices.Concat(train, held) {
		for _, m := range statement.FindAllStringSubmatch(d.Text, -1) {
			a, okA := value(m[1])
			b, okB := value(m[3])
			c, okC := value(m[5])
			if !okA || !okB || !okC {
				continue
			}
			var want, rest int
			switch m[2] {
			case "plus":
				want = a + b
			case "minus":
				want = a - b
			case "times":
				want = a * b
			case "divided by":
				want, rest = a/b, a%b
			}
			if m[4] != "" {
				d, ok := value(m[4])
				if !ok {
					continue
				}
				want += d
			}
			// A division may have a rest, which the text then names.
			if c != want || rest != 0 && !strings.Contains(d.Text, "left over") {
				t.Errorf("%q in %q", m[0], d.Key)
			}
			checked++
		}
	}
	if checked < 700 {
		t.Errorf("found only %d statements of arithmetic", checked)
	}
}
