package measure

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/model"
	"steplm/model/hf"
	"steplm/stage/plan"
	"steplm/stage/recipe"
)

// The table of a plan with round numbers, not of a model: what it shows must
// not depend on what kernels need.
func TestPlanText(t *testing.T) {
	classes := func(base int64) map[string]int64 {
		m := map[string]int64{}
		for i, class := range []string{"weights", "adapters", "gradients", "optimizer", "activations", "scratch"} {
			m[class] = base << (2 * i)
		}
		return m
	}
	vanilla := plan.MethodPlan{Method: recipe.PlanVanilla,
		Stages: []plan.StagePlan{{NewLayers: 24, Layers: 24, PaperBytes: 5 << 30, Bytes: classes(2 << 20),
			PeakBytes: 2730 << 20}}}
	step := plan.MethodPlan{
		Method: recipe.PlanStep, Split: []int{13,
			11}, Reduction: 0.5, StateReduction: 0.45, PaperBytes: 3 << 30, PaperReduction: 0.4,
		Stages: []plan.StagePlan{
			{NewLayers: 13, Layers: 13, PaperBytes: 1 << 31, Bytes: classes(1000), PeakBytes: 1365000},
			{NewLayers: 11, Layers: 24, PaperBytes: 3 << 30, Bytes: classes(1 << 20), PeakBytes: 1365 << 20},
		},
	}
	other := plan.MethodPlan{Method: "other", Reduction: -0.1,
		Stages: []plan.StagePlan{{NewLayers: 24, Layers: 24, Bytes: classes(1 << 19), PeakBytes: 1365 << 19}}}
	p := plan.Plan{
		Model:      model.Config{Hidden: 1024, FFN: 2736, Layers: 24, Heads: 16, KVHeads: 8, Vocab: 32000},
		Parameters: 367969280, Batch: model.Size{Batch: 8,
			SeqLen: 256}, GradAccum: 2, Storage: model.FullStorage, Optimizer: "AdamW", TrainableBytes: 16,
		LoRA:    model.LoRALayout{Rank: 64, Alpha: 128, Targets: []string{"wq", "up"}},
		Methods: []plan.MethodPlan{vanilla, step, other}, PaperVanillaBytes: 5 << 30,
	}
	var b bytes.Buffer
	show := func() {
		if err := printPlan(&b, p); err != nil {
			t.Fatal(err)
		}
	}
	show()
	p.Model.Tied, p.Methods, p.LoRA = true, p.Methods[:1], model.LoRALayout{}
	fmt.Fprintln(&b)
	show()
	clitest.Golden(t, *update, "plan.txt", b.String())
}

// The keys that other programs read.
func TestPlanJSON(t *testing.T) {
	var p map[string]any
	out := clitest.Succeed(t, "", "plan", "--model", "368m", "--rank", "64", "--stages", "2", "--split", "paper",
		"--json")
	if err := json.Unmarshal([]byte(out), &p); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"stages", "paper_vanilla_bytes", "paper_reduction", "vanilla_bytes", "reduction"} {
		if _, ok := p[key]; !ok {
			t.Errorf("no key %q in %s", key, out)
		}
	}
	if r := p["paper_reduction"].(float64); fmt.Sprintf("%.1f", 100*r) != "42.0" {
		t.Errorf("the paper's formula saves %g, want 0.420", r)
	}
	stages := p["stages"].([]any)
	if len(stages) != 2 {
		t.Fatalf("%d stages", len(stages))
	}
	for i, s := range stages {
		s := s.(map[string]any)
		for _, key := range []string{"new_layers", "paper_bytes", "peak_bytes"} {
			if n, ok := s[key].(float64); !ok || n < 1 {
				t.Errorf("stage %d: %s is %v", i+1, key, s[key])
			}
		}
		bytes := s["bytes"].(map[string]any)
		want := []string{"activations", "adapters", "gradients", "optimizer", "scratch", "weights"}
		if got := slices.Sorted(maps.Keys(bytes)); !slices.Equal(got, want) {
			t.Errorf("stage %d: classes %v, want %v", i+1, got, want)
		}
		sum := 0.0
		for _, n := range bytes {
			sum += n.(float64)
		}
		if sum != s["peak_bytes"] {
			t.Errorf("stage %d: classes add up to %v, the peak is %v", i+1, sum, s["peak_bytes"])
		}
	}
	if first := stages[0].(map[string]any); first["new_layers"] != 13.0 {
		t.Errorf("stage 1 adds %v layers, want 13", first["new_layers"])
	}
}

// A preset, its dimensions one by one, and its config.json are one plan.
func TestPlanOfDimensionsAndFile(t *testing.T) {
	want := clitest.Succeed(t, "", "plan", "--model", "15m", "--rank", "8", "--stages", "3", "--json")
	flags := []string{"plan", "--hidden", "288", "--ffn", "768", "--layers", "6", "--heads", "6", "--kv-heads", "6",
		"--vocab", "32000",
		"--tied", "--max-seq-len", "256", "--rank", "8", "--stages", "3", "--json"}
	if got := clitest.Succeed(t, "", flags...); got != want {
		t.Errorf("by flags: got\n%s\nwant\n%s", got, want)
	}
	c, err := model.Preset("15m")
	if err != nil {
		t.Fatal(err)
	}
	path := clitest.WriteFile(t, "15m.json", "")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := hf.WriteConfig(f, c, "float32", hf.SpecialIDs{}); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if got := clitest.Succeed(t, "", "plan", "--model", path, "--rank", "8", "--stages", "3", "--json"); got != want {
		t.Errorf("by file: got\n%s\nwant\n%s", got, want)
	}
}

func TestPlanErrors(t *testing.T) {
	small := []string{"plan", "--model", "15m"}
	for _, c := range []struct {
		args  []string
		parts []string
	}{
		{append(small, "--stages", "9"), []string{"6 layers", "9 stages"}},
		{append(small, "--rank", "289"), []string{"rank 289", "288"}},
		{append(small, "--hidden", "130"), []string{"130", "6", "divisible"}},
		{append(small, "--split", "4,5"), []string{"9 layers", "6 layers"}},
		{append(small, "--split", "4,2", "--stages", "3"), []string{"3 stages"}},
		{append(small, "--seq-len", "300"), []string{"300", "256"}},
		{append(small, "--lora-targets", "wq,wx"), []string{"wx", "gate"}},
		{[]string{"plan", "--model", "368"}, []string{`"368"`, "did you mean 368m?", "1.2b"}},
		{[]string{"plan", "--model", "none/config.json"}, []string{"none/config.json", "no such"}},
	} {
		clitest.Fail(t, 1, c.parts, c.args...)
	}
	for _, flag := range []string{"--rank", "--layers"} {
		clitest.Fail(t, 2, []string{flag + " 0", "1 or more"}, append(small, flag, "0")...)
	}
}

// Of a limit that no single change meets the hint is a combination: it fits as it is said to, in the limit's unit, and
// without each of its parts it does not.
func TestPlanHintsFit(t *testing.T) {
	args := []string{"plan", "--model", "1.2b", "--memory-limit", "6GB", "--device", "gpu"}
	_, stderr, code := clitest.Call(t, "", args...)
	m := regexp.MustCompile(`no single change is enough, it would fit with (--.*) \((\S+ GB)\)\n$`).
		FindStringSubmatch(stderr)
	if code != 1 || m == nil || strings.Contains(stderr, "GiB") {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	out := clitest.Succeed(t, "", append(args, strings.Fields(m[1])...)...)
	if !strings.Contains(out, " of 6.00 GB;") {
		t.Errorf("with %s: %s", m[1], out)
	}
	for _, flag := range regexp.MustCompile(`--\S+( [^-]\S*)?`).FindAllString(m[1], -1) {
		fewer := strings.Fields(strings.Replace(m[1], flag, "", 1))
		if _, _, code := clitest.Call(t, "", append(args, fewer...)...); code == 0 {
			t.Errorf("of %s the part %s is not needed", m[1], flag)
		}
	}
}

// On a device of the CPU the process counts, as it does in pretrain.
func TestPlanCountsTheProcess(t *testing.T) {
	for device, code := range map[string]int{"gpu": 0, "host": 1} {
		_, stderr, got := clitest.Call(t, "", "plan", "--model", "tiny", "--memory-limit", "640MiB", "--device", device)
		if got != code {
			t.Errorf("%s: exit code %d, want %d: %s", device, got, code, stderr)
		}
	}
	if out := clitest.Succeed(t, "", "plan", "--model", "tiny", "--memory-limit", "700MiB", "--device",
		"host"); !strings.Contains(out, "(640.0 MiB of it for the process") {
		t.Errorf("got %s", out)
	}
}
