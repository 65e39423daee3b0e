package kernel

import (
	"fmt"

	"steplm/gpu"
)

// MaxLoop is the most iterations that one invocation may make, in all its loops
// together.
const MaxLoop = 65535

// MaxWalk is the most iterations of the loops in which a kernel walks what is long. The
// rest is for the short ones, such as those of tree.wgsl, and for the iteration in
// which a loop ends, which counts too.
const MaxWalk = MaxLoop - 35

// FitsWorkgroup fails the pass when so many lanes cannot walk n elements (of what they
// are called) in each of loops loops.
func FitsWorkgroup(p *gpu.Pass, name, elements string, n, lanes, loops int) bool {
	if most := MaxWalk / loops * lanes; n > most {
		p.Fail(fmt.Errorf("%s: %d %s, at most %d", name, n, elements, most))
		return false
	}
	return true
}

// Traffic is the Work of a kernel that memory bounds and that moves so many bytes
// for each of n elements. At the tenth of their peak that budgets reckon with,
// GPUs from the slowest to the fastest make 2 to 4 operations in the time of a
// byte.
func Traffic(bytes, n int) float64 { return 2 * float64(bytes) * float64(n) }
