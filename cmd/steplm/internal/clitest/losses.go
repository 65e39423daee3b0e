package clitest

import (
	"encoding/json"
	"strings"
	"testing"
)

// LossLines is the run's metrics without what clocks and memory say.
func LossLines(t *testing.T, run string) string {
	t.Helper()
	var out strings.Builder
	for _, line := range strings.Split(Contents(t, run, "metrics.jsonl"), "\n") {
		var m struct {
			Step     int
			Loss     float64
			GradNorm float64 `json:"grad_norm"`
		}
		if strings.Contains(line, `"loss"`) {
			if err := json.Unmarshal([]byte(line), &m); err != nil {
				t.Fatal(err)
			}
			b, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			out.Write(append(b, '\n'))
		}
	}
	return out.String()
}
