package devices

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/view"
	"steplm/gpu"
	"steplm/model"
	"steplm/stage/recipe"
	"steplm/stage/trainer"
	"steplm/wgsl/matmul"
	"steplm/wgsl/tune"
)

// TuneFlags say whether the device is tuned to the run, and how.
type TuneFlags struct {
	NoTune bool `help:"Do not try out kernels' variants on the device before a long run: take what earlier tuning found, else safe defaults. The numbers are the same."`
	TrialFlags
}

// TrialFlags say how long trials take, and where what they find is kept.
type TrialFlags struct {
	SecondsPerClass float64 `default:"2" placeholder:"S" help:"Time for the trials of a class of calls, but for compiling. Default: ${default}."`
	TuneCache       string  `placeholder:"DIR" help:"Where tuning keeps what it finds. Default: the user's cache folder."`
}

// options bound the trials.
func (f TrialFlags) options() (tune.Options, error) {
	if !(f.SecondsPerClass > 0 && f.SecondsPerClass <= 3600) { // so that NaN fails
		return tune.Options{}, flags.Usagef("--seconds-per-class %g: it must be above 0 and at most 3600",
			f.SecondsPerClass)
	}
	return tune.Options{Budget: time.Duration(f.SecondsPerClass * float64(time.Second))}, nil
}

// cache opens the device's. Where there is no place for it, as without a home, it is in memory alone.
func (f TrialFlags) cache(dev gpu.Device) *tune.Cache {
	dir, missing := f.TuneCache, error(nil)
	if dir == "" {
		if dir, missing = tune.CacheDir(); missing != nil {
			missing = fmt.Errorf("%w; --tune-cache names one", missing)
		}
	}
	c, warning := tune.OpenCache(dir, dev)
	warnOfTuning(cmp.Or(missing, warning))
	return c
}

// warnOfTuning tells what is wrong with what tuning keeps, if anything is: nothing ends by that.
func warnOfTuning(err error) {
	if err != nil {
		flags.SessionUI(true).Warn(err.Error())
	}
}

// TuneRun is Tune of all that a recipe's stages compute.
func (f TuneFlags) TuneRun(ctx context.Context, dev gpu.Device, r recipe.Recipe, quiet bool) (peak float64, err error) {
	work, err := trainer.Classes(r, dev.Limits())
	if err != nil {
		return 0, err
	}
	return f.Tune(ctx, dev, work, r.Storage.Precision, quiet)
}

// Tune makes the device's choices for a run that spends so many operations in each
// class, and returns the rate of its products at their best, in operations per
// second: 0 where it was not measured.
func (f TuneFlags) Tune(ctx context.Context, dev gpu.Device, work map[string]float64, precision string,
	quiet bool) (peak float64, err error) {
	options, err := f.options()
	if err != nil {
		return 0, err
	}
	if !gpu.Tunable(dev) {
		return 0, nil
	}
	c := f.cache(dev)
	best := peakClass(dev, precision)
	classes := tune.Needed(dev, work)
	if f.NoTune {
		classes = nil
		for class := range work {
			if _, ok := c.Find(class); ok && dev.Choices().Chosen(class) == "" {
				classes = append(classes, class)
			}
		}
	} else if len(classes) > 0 {
		classes = append(classes, best)
	}
	if _, err := runTrials(ctx, dev, classes, c, options, quiet); err != nil {
		return 0, err
	}
	r, ok := c.Find(best)
	if ok {
		gpu.SetSpeed(dev, r.GFLOPS*1e9)
	}
	return r.GFLOPS * 1e9, nil
}

// runTrials shows how far it has got.
func runTrials(ctx context.Context, dev gpu.Device, classes []string, c *tune.Cache, o tune.Options,
	quiet bool) ([]tune.Result, error) {
	var bar *view.Progress
	if gpu.CompilerMayAbort(dev) {
		o.Compiles = func(k *gpu.Kernel) error {
			_, err := tryInChild(ctx, gpu.Selector(dev), k)
			return err
		}
	}
	list, err := tune.Run(ctx, dev, classes, c, o, func(i, n int, class string) {
		if bar == nil {
			bar = view.NewProgress(view.ProgressOutput(quiet), "tune", int64(n), "classes")
			bar.Expect(time.Duration(n) * o.Budget)
		}
		bar.Describe(class)
		bar.Set(int64(i))
	})
	if bar != nil {
		bar.Done()
	}
	if why := c.Unwritten(); why != nil {
		warnOfTuning(fmt.Errorf("what tuning found is not kept, and is looked for again the next time: %w; "+
			"--tune-cache names another folder", why))
	}
	return list, err
}

// peakClass is the product by whose rate all else is judged: square and large.
func peakClass(dev gpu.Device, precision string) string {
	t := Types(precision)
	c, err := matmul.NewClass("nt", t, t, t, 1024, 1024, 1024, dev.Limits())
	if err != nil {
		panic(err) // a mistake here
	}
	return c.String()
}

// Types are the storage types of a precision.
func Types(precision string) gpu.DType {
	if precision == model.BF16 {
		return gpu.BF16
	}
	return gpu.F32
}
