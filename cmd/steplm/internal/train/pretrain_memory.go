package train

import (
	"fmt"
	"io"

	"steplm/cmd/steplm/internal/view"
	"steplm/gpu"
	"steplm/stage/record"
)

// stageMemory is what one stage was seen to take.
type stageMemory struct {
	record.Peaks
	growth record.Peaks // of the transition into it; zero where this process saw none
}

// measure keeps the peaks that a step or an event of a stage reports.
func (r *result) measure(n int, p record.Peaks, growth bool) {
	if r.memory == nil {
		r.memory = map[int]stageMemory{}
	}
	m := r.memory[n]
	into := &m.Peaks
	if growth {
		into = &m.growth
	}
	// The system's own peak may fall by a few pages: it counts in batches.
	into.PeakBytes, into.ProcessPeak = max(into.PeakBytes, p.PeakBytes), max(into.ProcessPeak, p.ProcessPeak)
	r.memory[n] = m
}

// writeMemory prints what each stage that this process ran was planned with and
// took. The process is shown where its memory is the device's too.
func writeMemory(w io.Writer, res *result, dev gpu.Device) error {
	layouts, err := res.recipe.Layouts()
	if err != nil {
		return err
	}
	process := dev.Limits().CPU
	for _, m := range res.memory {
		process = process && m.ProcessPeak > 0
	}
	header := []string{"", "planned", "on the device", "difference", "growing into it"}
	if process {
		header = append(header, "process", "process - device")
	}
	rows := [][]string{header}
	for i, l := range layouts {
		m := res.memory[i+1]
		if m.PeakBytes == 0 {
			continue // an earlier process ran it
		}
		growth := "-"
		if m.growth.PeakBytes > 0 {
			growth = gpu.Bytes(m.growth.PeakBytes)
		}
		planned := gpu.Plan(dev.Own(), res.recipe.Specs(l)).Peak()
		row := []string{fmt.Sprintf("stage %d", i+1), gpu.Bytes(planned), gpu.Bytes(m.PeakBytes),
			gpu.Bytes(m.PeakBytes - planned), growth}
		if process {
			row = append(row, gpu.Bytes(m.ProcessPeak), gpu.Bytes(m.ProcessPeak-m.PeakBytes))
		}
		rows = append(rows, row)
	}
	fmt.Fprintf(w, "\nMemory, planned and measured\n\n")
	view.Table(w, 1, rows)
	return nil
}
