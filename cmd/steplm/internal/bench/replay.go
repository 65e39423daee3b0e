package bench

import (
	"fmt"
	"strings"

	"steplm/cmd/steplm/internal/devices"
	"steplm/cmd/steplm/internal/view"
	"steplm/gpu"
	"steplm/gpu/replay"
	"steplm/wgsl"
	"steplm/wgsl/matmul"
)

// replayed is one of a step's calls, timed by itself.
type replayed struct {
	*timed
	kernel string
	count  int     // calls like it in a micro-batch
	flops  float64 // of one
}

// newReplays lists the products and attention among a micro-batch's calls, those alike
// once.
func newReplays(dev gpu.Device, rp *replay.Replay, calls []gpu.Call) ([]replayed, error) {
	var list []replayed
	at := map[string]int{}
	for _, c := range calls {
		if !strings.HasPrefix(c.Kernel.Name, "matmul") && !strings.HasPrefix(c.Kernel.Name, "attention") {
			continue
		}
		key := fmt.Sprint(c.Kernel.Name, c.Groups, c.Work)
		if i, ok := at[key]; ok {
			list[i].count++
			continue
		}
		own, err := rp.Call(c)
		if err != nil {
			return nil, err
		}
		at[key] = len(list)
		list = append(list, replayed{timedPass(dev, own.Tensors[0], func(p *gpu.Pass) { p.Run(own) }), c.Kernel.Name, 1,
			c.Work})
	}
	return list, nil
}

// sumReplays is what a step's calls of one kind take by themselves, in each turn compared
// with the step of that turn.
func sumReplays(list []replayed, kind string, step *timed, microBatches int) (k kernels) {
	turns := len(step.wall)
	wall, cpu := make([]float64, turns), make([]float64, turns)
	for _, r := range list {
		if !strings.HasPrefix(r.kernel, kind) {
			continue
		}
		n := float64(r.count * microBatches)
		k.FLOPs += n * r.flops
		for turn := range turns {
			wall[turn] += n * r.wall[turn]
			cpu[turn] += n * r.cpu[turn]
		}
	}
	k.Seconds = median(wall)
	for turn := range turns {
		wall[turn] = view.Ratio(wall[turn], step.wall[turn])
		cpu[turn] = view.Ratio(cpu[turn], step.cpu[turn])
	}
	k.Share, k.CPUShare = median(wall), median(cpu)
	return k
}

// timedTrial times a variant of a class. free releases its tensors.
func timedTrial(dev gpu.Device, c wgsl.Class, variant string) (t *timed, free func(), err error) {
	trial, err := c.Trial(dev)
	if err != nil {
		return nil, nil, err
	}
	return timedPass(dev, trial.Outputs[0], func(p *gpu.Pass) { trial.Run(p, variant) }), trial.Free, nil
}

// peakFLOPs is the operations of the product by whose rate steps are judged.
const peakFLOPs = 2 * 1024 * 1024 * 1024

// timedPeak times that product, peakClass's in one piece. free releases its tensors.
func timedPeak(dev gpu.Device, precision string) (t *timed, free func(), err error) {
	x := devices.Types(precision)
	c, err := matmul.NewClass("nt", x, x, x, 1024, 1024, 1024, whole(dev.Limits()))
	if err != nil {
		return nil, nil, err
	}
	return timedTrial(dev, c, chosen(dev, c))
}
