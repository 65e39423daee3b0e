package view

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Item is something that a line of progress says: its usual form, and the one for narrow terminals, which is "" where
// it is left out there.
type Item struct{ Long, Short string }

// Same is an item that narrow terminals show too.
func Same(format string, args ...any) Item {
	text := fmt.Sprintf(format, args...)
	return Item{text, text}
}

// fitItems joins items to a line of so many columns at most: the short form replaces the long one where it must, in
// the order that gives says, by index, first of what is left out entirely. What still is too long is cut.
func fitItems(items []Item, gives []int, columns int) string {
	parts := make([]string, len(items))
	for i, x := range items {
		parts[i] = x.Long
	}
	join := func() string {
		return strings.Join(slices.DeleteFunc(slices.Clone(parts), func(s string) bool { return s == "" }), "  ")
	}
	for _, leftOut := range []bool{true, false} {
		for _, i := range gives {
			if utf8.RuneCountInString(join()) <= columns {
				return join()
			}
			if (items[i].Short == "") == leftOut {
				parts[i] = items[i].Short
			}
		}
	}
	text := join()
	if utf8.RuneCountInString(text) > columns {
		text = strings.ReplaceAll(text, "  ", " ")
	}
	if runes := []rune(text); len(runes) > columns {
		text = string(runes[:max(0, columns)])
	}
	return text
}

// Duration prints a time by its two largest units: 12s, 1m20s, 3h05m, 2d04h.
func Duration(d time.Duration) string {
	s := int64(max(0, d).Round(time.Second) / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%dh%02dm", s/3600, s/60%60)
	}
	return fmt.Sprintf("%dd%02dh", s/86400, s/3600%24)
}

// Rate prints so many a second: 0.52, 834, 12.3k, 4.56M.
func Rate(x float64) string {
	switch {
	case x >= 1e6:
		return fmt.Sprintf("%.3gM", x/1e6)
	case x >= 1e4:
		return fmt.Sprintf("%.3gk", x/1e3)
	case x >= 100:
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.3g", x)
}

// Steps is a number of steps: 1 step, 2 steps.
func Steps(n int) string {
	if n == 1 {
		return "1 step"
	}
	return Count(int64(n)) + " steps"
}

// Plural is a number of things: 1 step, 2 steps, 12,000 steps.
func Plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Count(n) + " " + many
}
