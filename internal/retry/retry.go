// Package retry says when a request over HTTP is worth another attempt, and how long to wait for it.
//
// It is a low package, for whoever asks servers. What Go cannot enforce: that whoever waits also ends when it should.
package retry

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// After reads a Retry-After header's two forms, seconds and a time; false: it says nothing.
func After(header string) (time.Duration, bool) {
	if seconds, err := strconv.ParseUint(header, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second, true
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(0, time.Until(at)), true
	}
	return 0, false
}

// Temporary reports whether a server that answers with a status may answer otherwise later.
func Temporary(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= 500
}

// Backoff is how long to wait after so many failures in a row, from 0 on: first, doubled each time, up to most.
func Backoff(first, most time.Duration, failures int) time.Duration {
	return min(first<<min(failures, 16), most)
}

// Jitter is a wait made up to a quarter longer, by chance, so that those who failed together do not come back together.
func Jitter(wait time.Duration) time.Duration {
	if wait < 4 {
		return wait
	}
	return wait + rand.N(wait/4)
}
