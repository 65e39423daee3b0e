package clock

import (
	"testing"
	"time"
)

// The clock does not stand still over what takes a few microseconds, and agrees with the system's.
func TestClockIsFine(t *testing.T) {
	begun, system := Now(), time.Now()
	distinct, last := 0, begun
	for Since(begun) < 50*time.Millisecond {
		at := Now()
		if at.Before(last) {
			t.Fatalf("from %v back to %v", last, at)
		}
		if at.Sub(last) > 0 {
			distinct, last = distinct+1, at
		}
	}
	if distinct < 1000 {
		t.Errorf("%d moments in 50 ms", distinct)
	}
	time.Sleep(100 * time.Millisecond)
	if took, want := Since(begun), time.Since(system); (took - want).Abs() > 40*time.Millisecond {
		t.Errorf("%v, the system's clock says %v", took, want)
	}
}
