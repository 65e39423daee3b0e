package measure

import (
	"cmp"
	"fmt"
	"io"

	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/view"
	"steplm/gpu"
	"steplm/model"
	"steplm/stage/outer"
	"steplm/stage/plan"
	"steplm/stage/reduce"
	"steplm/stage/rounds"
)

// planProcessFlags ask what several processes would send each other.
type planProcessFlags struct {
	Processes int       `placeholder:"N" range:"2..16384" help:"Also say what each of so many processes sends in a step of every stage, or with --outer-every in a round, which mpirun or srun would start."`
	Wire      string    `placeholder:"TYPE" help:"With --processes: f32 or bf16, as pretrain has it. Default: f32."`
	Bandwidth []float64 `default:"1,10,100,400" placeholder:"X" range:"0<..1e6" help:"With --processes: Gbit a second that each sends, one or several. Default: ${default}."`
	Latency   float64   `default:"5" placeholder:"X" range:"0..1e7" help:"With --processes: microseconds that a message costs; bench reduce measures both. Default: ${default}."`
	Rate      float64   `placeholder:"X" range:"0<..1e20" help:"With --processes: operations a second that a process computes with, such as 50e12; then the largest number of processes that compute half of their time is said, too."`
}

// planProcesses is what processes send.
type planProcesses struct {
	Processes int          `json:"processes"`
	Round     int          `json:"steps_of_a_round,omitempty"` // whose changes travel; 0: gradients do, at every step
	Wire      reduce.Wire  `json:"wire"`
	Latency   float64      `json:"latency_seconds"`
	Rate      float64      `json:"flops_per_second,omitempty"`
	Stages    []planTravel `json:"stages"`
}

// planTravel is a stage of a method.
type planTravel struct {
	Stage     string          `json:"stage"`
	Values    int64           `json:"gradient_values"`
	Bytes     int64           `json:"bytes_per_step"`            // that each process sends; in rounds the mean
	Round     int64           `json:"bytes_per_round,omitempty"` // likewise
	Bandwidth []planBandwidth `json:"bandwidth"`
}

// planBandwidth is what a bandwidth makes of that.
type planBandwidth struct {
	Bandwidth float64 `json:"bytes_per_second"`
	Seconds   float64 `json:"seconds_per_step"` // in rounds the mean
	Round     float64 `json:"seconds_per_round,omitempty"`
	Useful    int     `json:"largest_useful,omitempty"` // number of processes
}

// plan is nil where nobody asks.
func (f planProcessFlags) plan(p plan.Plan) (*planProcesses, error) {
	if f.Processes == 0 {
		return nil, nil
	}
	o := reduce.Options{Wire: reduce.WireF32}
	if f.Wire != "" {
		o.Wire = reduce.Wire(f.Wire)
	}
	if err := o.Wire.Check(); err != nil {
		return nil, flags.Usagef("--wire: %v", err)
	}
	if p.Outer != nil {
		return f.planRounds(p)
	}
	all := &planProcesses{Processes: f.Processes, Wire: o.Wire, Latency: f.Latency * 1e-6, Rate: f.Rate}
	for _, m := range p.Methods {
		for i, s := range m.Stages {
			load := reduce.Load{Gradients: s.Gradients, Statistics: model.StatValues}
			t := planTravel{Stage: stageLabel(m, i), Bytes: o.Bytes(load, f.Processes)}
			for _, n := range s.Gradients {
				t.Values += int64(n)
			}
			for _, gbit := range f.Bandwidth {
				link := reduce.Link{Bandwidth: gbit * 1e9 / 8, Latency: all.Latency}
				b := planBandwidth{Bandwidth: link.Bandwidth, Seconds: o.Seconds(load, f.Processes, link)}
				if f.Rate > 0 {
					b.Useful = o.Useful(load, link, s.FLOPs/f.Rate)
				}
				t.Bandwidth = append(t.Bandwidth, b)
			}
			all.Stages = append(all.Stages, t)
		}
	}
	return all, nil
}

// planRounds is what processes send that meet at the end of rounds.
func (f planProcessFlags) planRounds(p plan.Plan) (*planProcesses, error) {
	if f.Wire != "" {
		return nil, flags.Usagef("--wire and --outer-every: gradients do not travel in rounds, changes do; say how " +
			"with --outer-wire")
	}
	wire := reduce.Wire(cmp.Or(p.Outer.Wire, outer.WireF32))
	all := &planProcesses{Processes: f.Processes, Round: p.Outer.Every, Wire: wire, Latency: f.Latency * 1e-6,
		Rate: f.Rate}
	for _, m := range p.Methods {
		for i, s := range m.Stages {
			sent := rounds.Bytes(s.RoundBytes, f.Processes)
			t := planTravel{Stage: stageLabel(m, i), Values: s.Trainable, Round: sent, Bytes: sent / int64(all.Round)}
			for _, gbit := range f.Bandwidth {
				b := planBandwidth{Bandwidth: gbit * 1e9 / 8}
				seconds := func(n int) float64 {
					messages := float64((n - 1) * (2 + len(s.Gradients)))
					return messages*all.Latency + float64(rounds.Bytes(s.RoundBytes, n))/b.Bandwidth
				}
				b.Round = seconds(f.Processes)
				b.Seconds = b.Round / float64(all.Round)
				if f.Rate > 0 {
					computing := s.FLOPs / f.Rate * float64(p.GradAccum*all.Round)
					for b.Useful = 1; b.Useful < reduce.MostProcesses && seconds(b.Useful+1) <= computing; {
						b.Useful++
					}
				}
				t.Bandwidth = append(t.Bandwidth, b)
			}
			all.Stages = append(all.Stages, t)
		}
	}
	return all, nil
}

func (p *planProcesses) print(w io.Writer) {
	in, begun := "a step", "with a micro-batch each, "
	if p.Round > 0 {
		in, begun = fmt.Sprintf("a round of %s", view.Steps(p.Round)), ""
	}
	fmt.Fprintf(w, "\nWhat each of %d processes sends in %s, as %s, and how long that takes\n", p.Processes, in, p.Wire)
	header := []string{"", "values", "bytes"}
	for _, b := range p.Stages[0].Bandwidth {
		header = append(header, fmt.Sprintf("at %g Gbit/s", b.Bandwidth*8/1e9))
		if p.Rate > 0 {
			header = append(header, "useful")
		}
	}
	rows := [][]string{header}
	for _, t := range p.Stages {
		cells := []string{t.Stage, view.Count(t.Values), gpu.Bytes(cmp.Or(t.Round, t.Bytes))}
		for _, b := range t.Bandwidth {
			cells = append(cells, fmt.Sprintf("%.3g s", cmp.Or(b.Round, b.Seconds)))
			if p.Rate > 0 {
				cells = append(cells, useful(b.Useful))
			}
		}
		rows = append(rows, cells)
	}
	view.Table(w, 1, rows)
	fmt.Fprintln(w, "\nfrozen layers have no gradients, and send nothing")
	if p.Rate > 0 {
		fmt.Fprintf(w, "useful  the most processes, %sthat compute at least half of their time at %.3g operations a "+
			"second\n", begun, p.Rate)
	}
}

// useful words a number of processes.
func useful(n int) string {
	if n == reduce.MostProcesses {
		return fmt.Sprintf("> %d", n)
	}
	return fmt.Sprint(n)
}
