package gpu

import "testing"

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
