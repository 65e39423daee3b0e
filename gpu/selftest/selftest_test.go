package selftest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
)

// liar is a device whose nth read is wrong in one bit, or fails.
type liar struct {
	gpu.Device
	nth  int
	fail error
}

func (l *liar) Read(t gpu.Tensor, at int, words []uint32) error {
	err := l.Device.Read(t, at, words)
	l.nth--
	if l.nth == 0 {
		words[len(words)/2] ^= 4
		if l.fail != nil {
			return l.fail
		}
	}
	return err
}

func TestSelfTestFindsFaults(t *testing.T) {
	for i, what := range []string{"loops", "workgroup memory", "floating point", "copies under load"} {
		for _, fail := range []error{nil, errors.New("the bus is gone")} {
			d := gpu.NewHost()
			want := "computes wrongly"
			if fail != nil {
				want = fail.Error()
			}
			_, err := SelfTest(&liar{d, i + 1, fail})
			if err == nil || !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), want) {
				t.Errorf("fault in %s: %v", what, err)
			}
			if n := d.Ledger().Total(); n != 0 {
				t.Errorf("fault in %s: %d bytes were left on the device", what, n)
			}
		}
	}
}

func TestSelfTestWarnsOfCutLoops(t *testing.T) {
	whole := loopKernel.Host
	defer func() { loopKernel.Host = whole }()
	loopKernel.Host = func(a gpu.Args) {
		for i := range a.U(0) {
			sum := uint32(0)
			for k := range min(a.Int(0), 65535) {
				sum += uint32(i + k)
			}
			a.U(0)[i] = sum
		}
	}
	if w, err := SelfTest(gpu.NewHost()); err != nil || !strings.Contains(w, "65,535") {
		t.Errorf("warning %q, error %v", w, err)
	}
}

// A compiler that assumes there is no NaN must be found out.
func TestSelfTestChecksNaN(t *testing.T) {
	whole := fmaKernel.Host
	defer func() { fmaKernel.Host = whole }()
	fmaKernel.Host = func(a gpu.Args) {
		whole(a)
		for i, w := range a.U(0) {
			if w == canonicalNaN {
				a.U(0)[i] = 0
			}
		}
	}
	_, err := SelfTest(gpu.NewHost())
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%#x", canonicalNaN)) {
		t.Errorf("NaN that vanishes: %v", err)
	}
}

func TestSelfTest(t *testing.T) {
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		w, err := SelfTest(d)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %q", d.Name(), w)
	})
}
