package tune

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"steplm/gpu"
	"steplm/wgsl"
)

// worthwhile is how many submissions a run must spend in a class for tuning it to pay:
// below, the trials take longer than they could save.
const worthwhile = 30

// Needed lists the classes, of a run that spends so many operations in each, that are
// worth tuning and that nothing was chosen for, those with most work first.
func Needed(d gpu.Device, work map[string]float64) []string {
	list := slices.SortedFunc(maps.Keys(work), func(a,
		b string) int {
		return cmp.Or(cmp.Compare(work[b], work[a]), cmp.Compare(a, b))
	})
	return slices.DeleteFunc(list, func(class string) bool {
		return work[class] < worthwhile*d.Limits().Budget || d.Choices().Chosen(class) != ""
	})
}

// Run makes the device's choices for classes: as the cache has them, or by trials
// whose results it then keeps. progress, unless nil, hears before each trial.
func Run(ctx context.Context, d gpu.Device, classes []string, c *Cache, o Options,
	progress func(i, n int, class string)) ([]Result, error) {
	var list []Result
	var missing []string
	for _, class := range classes {
		if r, ok := c.Find(class); ok {
			d.Choices().Set(class, r.Variant)
			list = append(list, r)
		} else {
			missing = append(missing, class)
		}
	}
	for i, class := range missing {
		if progress != nil {
			progress(i, len(missing), class)
		}
		x, err := wgsl.ParseClass(class)
		if err != nil {
			return list, err
		}
		r, err := Class(ctx, d, x, o)
		if err != nil {
			return list, err
		}
		c.Add(r)
		d.Choices().Set(class, r.Variant)
		list = append(list, r)
	}
	if len(missing) > 0 {
		return list, gpu.Trim(d) // most of what was tried is not called again
	}
	return list, nil
}
