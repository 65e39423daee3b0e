package hf

import (
	"encoding/json"
	"testing"
)

func TestDecimal(t *testing.T) {
	for v, want := range map[decimal]string{10000: "10000.0", 500000: "500000.0", 1e-5: "1e-05", 1e-6: "1e-06",
		0.02: "0.02", 1e6: "1e+06", 0: "0.0", 1e21: "1e+21"} {
		got, err := json.Marshal(v)
		if string(got) != want || err != nil {
			t.Errorf("%g is written as %s (%v), want %s", float64(v), got, err, want)
		}
	}
}
