package devices

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"

	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/view"
	"steplm/gpu"
	"steplm/stage/recipe"
	"steplm/stage/trainer"
	"steplm/wgsl/tune"
)

// devicesTuneCmd tunes a device ahead of a run.
type devicesTuneCmd struct {
	flags.MethodFlags `embed:""`
	Again             bool `help:"Try out what was tried out before, too."`
	TrialFlags
	flags.DeviceFlag `embed:""`
	JSON             bool `help:"Print JSON."`
}

func (c *devicesTuneCmd) Run(ctx context.Context) error {
	options, err := c.options()
	if err != nil {
		return err
	}
	r, err := c.Recipe()
	if err != nil {
		return err
	}
	dev, err := c.Open()
	if err != nil {
		return err
	}
	defer dev.Close()
	if !gpu.Tunable(dev) {
		return fmt.Errorf(
			"%s has nothing to tune: its kernels have one variant; choose a device that `steplm devices` lists",
			dev.Name())
	}
	list, err := c.tune(ctx, dev, r, options)
	if err != nil {
		return err
	}
	if c.JSON {
		return view.JSON(map[string]any{"device": dev.Name(), "classes": list})
	}
	rows := [][]string{{"class", "variant", "GFLOP/s", "default", "tried", "left out"}}
	for _, r := range list {
		rows = append(rows, []string{r.Class, r.Variant, fmt.Sprintf("%.3g", r.GFLOPS), fmt.Sprintf("%.3g", r.Default),
			strconv.Itoa(r.Tried), strconv.Itoa(len(r.Excluded))})
	}
	view.Table(os.Stdout, 2, rows)
	for _, r := range list {
		for _, why := range r.Excluded {
			fmt.Printf("left out of %s: %s\n", r.Class, why)
		}
	}
	return nil
}

// Tune tries out every class of the recipe, however little is spent in it.
func (c *devicesTuneCmd) tune(ctx context.Context, dev gpu.Device, r recipe.Recipe, o tune.Options) ([]tune.Result,
	error) {
	work, err := trainer.Classes(r, dev.Limits())
	if err != nil {
		return nil, err
	}
	cache := c.cache(dev)
	if c.Again {
		cache.Forget()
	}
	classes := append(slices.Sorted(maps.Keys(work)), peakClass(dev, r.Storage.Precision))
	return runTrials(ctx, dev, classes, cache, o, c.JSON)
}
