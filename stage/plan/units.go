package plan

import (
	"fmt"

	"steplm/gpu"
)

// Units prints bytes in the units that a limit was given in: units of 1000, such as 6 GB, if it is whole in those and
// not in units of 1024.
func Units(limit int64) func(bytes int64) string {
	if limit%1e6 != 0 || limit%(1<<20) == 0 {
		return gpu.Bytes
	}
	return func(n int64) string {
		f, u := float64(n), -1
		if f < 1000 {
			return fmt.Sprintf("%d B", n)
		}
		for f >= 1000 && u < 4 {
			f /= 1000
			u++
		}
		return fmt.Sprintf("%.2f %cB", f, "kMGTP"[u])
	}
}
