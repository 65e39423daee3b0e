//go:build unix

package clock

import "time"

func now() time.Time { return time.Now() }
