package gpu

import (
	"strings"
	"testing"
)

func TestCompile(t *testing.T) {
	both(t, func(t *testing.T, d Device) {
		for _, k := range append(OwnKernels(), &count) {
			if err := Compile(d, k); err != nil {
				t.Error(err)
			}
		}
		none := Kernel{Name: "none", Workgroup: [3]int{1, 0, 1}}
		refused(t, Compile(d, &none), "kernel none", "every dimension must be 1 or more")
		if _, compiles := d.(*wdevice); !compiles {
			return
		}
		broken := Kernel{Name: "broken", Workgroup: [3]int{1, 1, 1}, Access: []Access{Write},
			Source: "fn broken() { let x = ; }"}
		refused(t, Compile(d, &broken), "kernel broken does not compile on "+d.Name())
		p := d.Begin("own")
		refused(t, Compile(d, &count), "compile kernel count", `pass "own" is still open`)
		if err := p.End(); err != nil {
			t.Error(err)
		}
	})
}

func refused(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v does not hold %q", err, part)
		}
	}
}

// A trimmed device has nothing compiled, keeps its tensors, and computes on.
func TestTrim(t *testing.T) {
	both(t, func(t *testing.T, d Device) {
		x := counter(t, d, 5)
		for n := range uint32(3) {
			if err := add(d, x, 1); err != nil {
				t.Fatal(err)
			}
			if err := Trim(d); err != nil {
				t.Fatal(err)
			}
			if w, ok := d.(*wdevice); ok && len(w.pipelines)+len(w.groups)+len(w.groupsOf) > 0 {
				t.Errorf("%d kernels and %d bindings are left", len(w.pipelines), len(w.groups))
			}
			if got := counted(t, d, x); got != n+1 {
				t.Errorf("counted %d, want %d", got, n+1)
			}
		}
	})
}
