package plan

import (
	"fmt"
	"slices"
	"testing"

	"steplm/gpu"
	"steplm/model"
	"steplm/stage/recipe"
	"steplm/stage/recipe/recipetest"
)

// plannedModel has grouped-query attention and a tied head.
var plannedModel = model.Config{Hidden: 128, FFN: 352, Layers: 8, Heads: 4, KVHeads: 2, Vocab: 2048, MaxSeqLen: 256,
	NormEps: 1e-5, RopeTheta: 10000, Tied: true}

// planOptions are the options of a plan, nothing else.
func planOptions(c model.Config, rank, stages int) recipe.Options {
	return recipe.Options{
		Model: c, Storage: model.FullStorage, Recompute: recipe.RecomputeNone, SplitBy: recipe.SplitPaper,
		Batch: model.Size{Batch: 2, SeqLen: 32}, Stages: stages, TrainEmbedding: true, TrainHead: true,
		TrainNorms: true,
		LoRA:       model.LoRALayout{Rank: rank, Alpha: 1, Targets: model.LinearNames()},
	}
}

func mustPlan(t *testing.T, o recipe.Options) Plan {
	t.Helper()
	p, err := Make(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The reductions by the paper's formula at the sizes that fit its names.
func TestPlanByThePapersFormula(t *testing.T) {
	for _, c := range []struct {
		preset string
		rank   int
		split  []int
		want   string
	}{
		{"368m", 8, []int{13, 11}, "45.8 %"},
		{"368m", 64, []int{13, 11}, "42.0 %"},
		{"368m", 64, []int{10, 8, 6}, "57.3 %"},
		{"368m", 128, []int{14, 10}, "39.5 %"},
		{"680m", 128, []int{14, 10}, "41.7 %"},
		{"1.2b", 128, []int{10, 8, 6}, "57.3 %"},
	} {
		preset, err := model.Preset(c.preset)
		if err != nil {
			t.Fatal(err)
		}
		p := mustPlan(t, planOptions(preset, c.rank, len(c.split)))
		if got := fmt.Sprintf("%.1f %%", 100*p.PaperReduction); got != c.want || !slices.Equal(p.Split, c.split) {
			t.Errorf("%s, rank %d: split %v saves %s, want %v and %s", c.preset, c.rank, p.Split, got, c.split, c.want)
		}
	}
}

// What is allocated for a model whose bytes can be added up on paper.
func TestPlanCountsWhatIsAllocated(t *testing.T) {
	o := planOptions(plannedModel, 8, 2) // no row needs padding
	o.Split = []int{5, 3}
	p := mustPlan(t, o)
	c := o.Model
	block := c.BlockParams()
	adapter, err := c.LoRAParams(8, model.LinearNames())
	if err != nil {
		t.Fatal(err)
	}
	outside := c.EmbeddingParams() + int64(c.Hidden) // tied
	oldNorms := 5 * (block - c.LayerParams())
	for _, s := range []struct {
		name                string
		bytes               map[string]int64
		weights, lora, grad int64
	}{
		{"stage 1", p.Stages[0].Bytes, outside + 5*block, 0, outside + 5*block},
		{"stage 2", p.Stages[1].Bytes, outside + 8*block, 5 * adapter, outside + 3*block + oldNorms + 5*adapter},
		{"vanilla", p.Vanilla, outside + 8*block, 0, outside + 8*block},
	} {
		for _, class := range []struct {
			class gpu.Class
			want  int64
		}{{gpu.Weights, 4 * s.weights}, {gpu.LoRA, 4 * s.lora}, {gpu.Gradients, 4 * s.grad}, {gpu.Optimizer,
			8 * s.grad}} {
			if got := s.bytes[class.class.String()]; got != class.want {
				t.Errorf("%s: %s take %d bytes, want %d", s.name, class.class, got, class.want)
			}
		}
		for _, class := range []gpu.Class{gpu.Activations, gpu.Scratch} {
			if s.bytes[class.String()] == 0 {
				t.Errorf("%s: no %s", s.name, class)
			}
		}
	}
	for i, s := range p.Stages {
		sum := int64(0)
		for _, n := range s.Bytes {
			sum += n
		}
		if sum != s.PeakBytes || len(s.Bytes) != len(gpu.Classes()) {
			t.Errorf("stage %d: %d classes add up to %d bytes, the peak is %d", i+1, len(s.Bytes), sum, s.PeakBytes)
		}
		if paper := recipe.PaperStageBytes(block, adapter)(o.Split[i], s.Layers-o.Split[i]); s.PaperBytes != paper ||
			s.NewLayers != o.Split[i] {
			t.Errorf("stage %d: %d new layers, %d bytes by the paper, want %d and %d", i+1, s.NewLayers, s.PaperBytes,
				o.Split[i], paper)
		}
	}
	largest := max(p.Stages[0].PeakBytes, p.Stages[1].PeakBytes)
	if want := 1 - float64(largest)/float64(p.VanillaBytes); p.Reduction != want {
		t.Errorf("reduction %g, want %g", p.Reduction, want)
	}
}

// A single stage is vanilla, and needs no adapters.
func TestPlanOfOneStageIsVanilla(t *testing.T) {
	p := mustPlan(t, planOptions(plannedModel, 0, 1))
	if p.Reduction != 0 || p.PaperReduction != 0 || p.Stages[0].PeakBytes != p.VanillaBytes {
		t.Errorf("one stage: %+v", p)
	}
}

func TestPlanErrors(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*recipe.Options)
		want  []string
	}{
		{"more stages than layers", func(o *recipe.Options) { o.Stages = 9 }, []string{"8 layers", "9 stages"}},
		{"no stages", func(o *recipe.Options) { o.Stages = 0 }, []string{"0 stages"}},
		{"rank 0", func(o *recipe.Options) { o.LoRA.Rank = 0 }, []string{"rank 0"}},
		{"rank above the smallest matrix", func(o *recipe.Options) { o.LoRA.Rank = 65 },
			[]string{"rank 65", "wk", "64"}},
		{"heads", func(o *recipe.Options) { o.Model.Heads = 3 }, []string{"128", "3", "divisible"}},
		{"window", func(o *recipe.Options) { o.Batch.SeqLen = 257 }, []string{"257", "256"}},
		{"batch", func(o *recipe.Options) { o.Batch.Batch = 0 }, []string{"batch size 0"}},
		{"int8 of nothing", func(o *recipe.Options) { o.Stages, o.Storage.Frozen = 1, model.Int8 },
			[]string{"int8", "freezes nothing", "[leave out frozen]"}},
		{"split", func(o *recipe.Options) { o.Split = []int{4, 5} }, []string{"9 layers", "8 layers"}},
		{"target", func(o *recipe.Options) { o.LoRA.Targets = []string{"wx"} }, []string{"wx", "gate"}},
	} {
		o := planOptions(plannedModel, 4, 2)
		c.spoil(&o)
		_, err := Make(o)
		t.Run(c.name, func(t *testing.T) { recipetest.WantError(t, err, c.want...) })
	}
}
