package view

import (
	"fmt"
	"strconv"
)

// Figure prints a number with three digits, a missing one as "-".
func Figure(x float64) string {
	switch {
	case x == 0:
		return "-"
	case x >= 1000:
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.3g", x)
}

// PerCent prints a ratio, "-" where it is not known.
func PerCent(x float64) string {
	if x == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100*x)
}

// Ratio is part of a whole, 0 where the whole is not known.
func Ratio(part, whole float64) float64 {
	if whole == 0 {
		return 0
	}
	return part / whole
}

// Count prints a large number: 367,969,280.
func Count(n int64) string {
	s := strconv.FormatInt(n, 10)
	for at := len(s) - 3; at > 0; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}
