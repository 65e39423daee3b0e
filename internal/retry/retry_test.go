package retry

import (
	"testing"
	"time"
)

func TestAfter(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"": -1, "2": 2 * time.Second, "0": 0, "-1": -1, "soon": -1, "1.5": -1,
		"Mon, 02 Jan 2006 15:04:05 GMT": 0,
	} {
		got, said := After(header)
		if said != (want >= 0) || said && got != want {
			t.Errorf("%q: %s, %t, want %s", header, got, said, want)
		}
	}
	if got, said := After("Mon, 02 Jan 2990 15:04:05 GMT"); !said || got < 24*time.Hour {
		t.Errorf("%s, %t", got, said)
	}
}

func TestTemporary(t *testing.T) {
	for status, want := range map[int]bool{200: false, 400: false, 401: false, 404: false, 408: true, 429: true,
		500: true, 503: true} {
		if Temporary(status) != want {
			t.Errorf("%d: want %t", status, want)
		}
	}
}

func TestBackoff(t *testing.T) {
	want := []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second}
	for failures, want := range want {
		if got := Backoff(time.Second, 5*time.Second, failures); got != want {
			t.Errorf("after %d: %s, want %s", failures, got, want)
		}
	}
	if got := Backoff(time.Second, time.Minute, 1000); got != time.Minute {
		t.Errorf("after many: %s", got)
	}
	for range 100 {
		if got := Jitter(time.Second); got < time.Second || got > 1250*time.Millisecond {
			t.Errorf("a second becomes %s", got)
		}
	}
	if Jitter(0) != 0 {
		t.Error("no wait becomes one")
	}
}
