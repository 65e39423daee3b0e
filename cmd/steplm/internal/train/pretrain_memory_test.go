package train

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/gpu"
	"steplm/gpu/memory"
	"steplm/model"
	"steplm/model/optim"
	"steplm/stage/recipe"
	"steplm/stage/record"
)

// memoryTable is the lines of the table that ends a run's output, with single
// spaces.
func memoryTable(out string) (lines []string) {
	_, table, _ := strings.Cut(out, "\nMemory, planned and measured\n\n")
	table, _, _ = strings.Cut(table, "\n\n")
	for line := range strings.Lines(table) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return lines
}

// elsewhere is a device whose memory is not the process's.
type elsewhere struct{ gpu.Device }

func (d elsewhere) Limits() gpu.Limits {
	l := d.Device.Limits()
	l.CPU = false
	return l
}

// The table has the stages that were seen, shows a difference of a few bytes, and
// the process only where its memory is the device's and known.
func TestMemoryTable(t *testing.T) {
	r, err := recipe.NewRecipe("step", recipe.Options{
		Model: model.Config{Hidden: 16, FFN: 24, Layers: 6, Heads: 2, KVHeads: 1, Vocab: 32, MaxSeqLen: 16,
			NormEps: 1e-5, RopeTheta: 10000},
		Storage: model.FullStorage, Recompute: recipe.RecomputeNone, SplitBy: recipe.SplitPaper, Steps: 12,
		Batch: model.Size{Batch: 2, SeqLen: 8}, GradAccum: 1,
		Optimizer: optim.Config{Settings: optim.AdamW{Beta1: 0.9, Beta2: 0.95,
			Eps: 1e-8}}, LR: []float64{1e-2}, Decay: []float64{0}, LoRALR: 1, LoRADecay: 1,
		Schedule: optim.Constant, Stages: 3, GrowAt: 0.75, Operator: "mean", Position: "upper",
		LoRA: model.LoRALayout{Rank: 2, Alpha: 2, Targets: model.LinearNames()}, TrainEmbedding: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	layouts, err := r.Layouts()
	if err != nil {
		t.Fatal(err)
	}
	host := gpu.NewHost()
	plan := func(n int) int64 { return gpu.Plan(host.Own(), r.Specs(layouts[n-1])).Total() }
	// resumed is a run that went on in its second stage and took 16 bytes too many
	// in the third. mib is a unit of the process's peaks.
	resumed := func(mib int64) *result {
		res := &result{recipe: r}
		v := newRunView(false, "", r, res)
		event := func(n int, grows bool, bytes, process int64) {
			at := record.At{Stage: n, Peaks: record.Peaks{PeakBytes: bytes, ProcessPeak: process * mib}}
			if grows {
				v.event(record.Growth{Transition: record.Transition{At: at}})
			} else {
				v.event(unprinted{at})
			}
		}
		step := func(n int, bytes, process int64) {
			res.step(record.Metrics{Stage: n, TokensPerSecond: 1, Peaks: record.Peaks{PeakBytes: bytes,
				ProcessPeak: process * mib}})
		}
		event(2, false, plan(2), 90)
		step(2, plan(2), 100)
		step(2, plan(2), 99)
		event(3, true, plan(3)-2048, 300)
		step(3, plan(3)+16, 150)
		event(3, false, plan(3)+16, 200)
		return res
	}
	header := "planned on the device difference growing into it"
	second := fmt.Sprintf("stage 2 %s %[1]s 0 B -", gpu.Bytes(plan(2)))
	third := fmt.Sprintf("stage 3 %s %s 16 B %s", gpu.Bytes(plan(3)), gpu.Bytes(plan(3)+16), gpu.Bytes(plan(3)-2048))
	for name, c := range map[string]struct {
		dev  gpu.Device
		mib  int64
		want []string
	}{
		"CPU": {host, 1 << 20, []string{
			header + " process process - device",
			second + " 100.0 MiB " + gpu.Bytes(100<<20-plan(2)),
			third + " 200.0 MiB " + gpu.Bytes(200<<20-plan(3)-16),
		}},
		"not a CPU":           {elsewhere{host}, 1 << 20, []string{header, second, third}},
		"no peaks of process": {host, 0, []string{header, second, third}},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			if err := writeMemory(&out, resumed(c.mib), c.dev); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, memoryTable(out.String())); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// On a CPU adapter the ledger is the plan to the byte in every stage, and the
// process takes the ledger and one constant whatever the size of the model:
// training, growing, saving, exporting and loading.
func TestProcessTakesPlanAndConstant(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("this system does not tell a process's peak")
	}
	adapters := gpu.Enumerate()
	at := slices.IndexFunc(adapters, func(a gpu.Adapter) bool { return a.Limits.CPU })
	if at < 0 {
		t.Skip("no adapter computes on the CPU: ", gpu.NoAdapterHelp)
	}
	if err := memory.ResetProcessPeak(); err != nil {
		t.Skip(err)
	}
	m := clitest.NewMaterial(t)
	run := func(flags ...string) []measuredStage {
		dir := clitest.NewRun(t)
		args := m.Pretrain(dir, append(flags, "--device", strconv.Itoa(adapters[at].Index), "--save-every", "0")...)
		stages := checkMemory(t, dir, clitest.Succeed(t, "", args...))
		checkMemory(t, dir, clitest.Succeed(t, "", append(args, "--resume", dir)...)) // which loads and exports
		return stages
	}
	tiny := run()
	large := run("--hidden", "384", "--ffn", "1024", "--layers", "8", "--heads", "6", "--kv-heads", "6", "--vocab",
		"6144",
		"--seq-len", "64", "--batch-size", "1", "--steps", "5", "--rank", "8")
	for i := range large {
		// What the larger model has more was touched: it is in the process too.
		if more, device := large[i].process-tiny[i].process, large[i].planned-tiny[i].planned; more < device*9/10 ||
			device < 150<<20 {
			t.Errorf("stage %d: the device takes %s more than with the tiny model, the process %s more", i+1,
				gpu.Bytes(device), gpu.Bytes(more))
		}
	}
}

// measuredStage is a stage's plan and the process's peak in the stage.
type measuredStage struct{ planned, process int64 }

// checkMemory checks what is in a run's metrics since it began or was resumed,
// and its table.
func checkMemory(t *testing.T, run, out string) []measuredStage {
	t.Helper()
	recipe, layouts := recipeOf(t, run)
	stages := make([]measuredStage, len(layouts))
	for i, l := range layouts {
		stages[i].planned = gpu.Plan(gpu.OwnSpecs(), recipe.Specs(l)).Total()
	}
	lines := clitest.ReadMetrics(t, run)
	if at := slices.IndexFunc(lines, func(l clitest.MetricsLine) bool { return l.Text("event") == "resume" }); at >= 0 {
		lines = lines[at:]
	}
	growth := slices.Repeat([]string{"-"}, len(stages))
	for _, l := range lines {
		n := int(l.Number(t, "stage")) - 1
		s := &stages[n]
		device, process := int64(l.Number(t, "peak_bytes")), int64(l.Number(t, "process_peak_bytes"))
		if l.Text("event") == "growth" {
			growth[n] = gpu.Bytes(device)
			if most := max(s.planned, stages[n-1].planned); device > most {
				t.Errorf("growing takes %d bytes of the device, the larger stage is planned with %d", device, most)
			}
		} else {
			if device != s.planned {
				t.Errorf("%d bytes of the device are taken, planned are %d: %s", device, s.planned, l)
			}
			s.process = max(s.process, process)
		}
		if process > device*11/10+memory.ProcessOverhead {
			t.Errorf("the process takes %s, the device %s: %s", gpu.Bytes(process), gpu.Bytes(device), l)
		}
		if l.Step() && process < device*9/10 { // not all was touched
			t.Errorf("the process takes %s only, the device %s: %s", gpu.Bytes(process), gpu.Bytes(device), l)
		}
	}
	if last := lines[len(lines)-1].Text("event"); last != "end" {
		t.Errorf("the last line is %q", last)
	}
	want := []string{"planned on the device difference growing into it process process - device"}
	for i, s := range stages {
		if s.process > 0 {
			want = append(want, strings.Join([]string{"stage", strconv.Itoa(i + 1), gpu.Bytes(s.planned),
				gpu.Bytes(s.planned), "0 B",
				growth[i], gpu.Bytes(s.process), gpu.Bytes(s.process - s.planned)}, " "))
		}
	}
	if diff := cmp.Diff(want, memoryTable(out)); diff != "" {
		t.Errorf("the table (-want +got):\n%s", diff)
	}
	t.Log(strings.Join(memoryTable(out), "\n"))
	return stages
}

// A run by any optimizer under a limit keeps to it: what it was planned to take is what its ledger had at most, and one
// byte less is refused or arranged otherwise, with less.
func TestEveryOptimizerKeepsALimit(t *testing.T) {
	m := clitest.NewMaterial(t)
	// A plan for a limit counts what a program has on a GPU, also on the host, which lacks it.
	besides := memory.ProcessOverhead + gpu.Plan(gpu.OwnSpecs()).Total() - gpu.Plan(gpu.NewHost().Own()).Total()
	for _, name := range optim.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			peak := func(limit int64) int64 {
				t.Helper()
				run := clitest.NewRun(t)
				_, stderr, code := clitest.Call(t, "", m.Pretrain(run, "--method", "vanilla", "--optimizer", name,
					"--steps", "1", "--batch-size", "4", "--grad-accum", "2", "--device", "host", "--eval-tokens", "0",
					"--final-eval-tokens", "0", "--save-every", "0", "--memory-limit", fmt.Sprint(limit), "--json")...)
				if code != 0 {
					if !strings.Contains(stderr, "does not fit") {
						t.Errorf("%d bytes: %s", limit, stderr)
					}
					return 0
				}
				most := int64(0)
				for _, l := range clitest.ReadMetrics(t, run) {
					n, err := strconv.ParseInt(l.Text("peak_bytes"), 10, 64)
					if err != nil {
						t.Fatal(err)
					}
					most = max(most, n)
				}
				return most + besides
			}
			took := peak(1 << 40)
			if again := peak(took); again != took {
				t.Errorf("within the %d bytes that it took it takes %d", took, again)
			}
			if less := peak(took - 1); less >= took || less == 0 {
				t.Errorf("within a byte less than %d it takes %d", took, less)
			}
			if none := peak(besides + 4096); none != 0 {
				t.Errorf("within 4096 bytes it takes %d", none)
			}
		})
	}
}
