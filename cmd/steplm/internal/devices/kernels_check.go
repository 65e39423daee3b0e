package devices

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/view"
	"steplm/gpu"
	"steplm/internal/clock"
)

// kernelsCheckCmd compiles every kernel that a device may be given, each in a process
// of its own, as many at a time as there are processors.
type kernelsCheckCmd struct {
	flags.DeviceFlag
	Named string `placeholder:"TEXT" help:"Only the kernels whose names hold this. Default: all."`
	JSON  bool   `help:"Print JSON, and no progress."`
}

// kernelsCheck is what the check found, in the order of the list.
type kernelsCheck struct {
	Device  string        `json:"device"`
	Seconds float64       `json:"seconds"`
	Kernels []compilation `json:"kernels"`
}

func (c *kernelsCheckCmd) Run(ctx context.Context) error {
	name, kernels, err := c.list()
	if err != nil {
		return err
	}
	start := clock.Now()
	result := kernelsCheck{Device: name, Kernels: c.compile(ctx, kernels, view.ProgressOutput(c.JSON))}
	if err := ctx.Err(); err != nil {
		return err
	}
	result.Seconds = clock.Since(start).Seconds()
	if c.JSON {
		err = view.JSON(result)
	} else {
		result.print(os.Stdout)
	}
	if err == nil {
		err = result.verdict()
	}
	return err
}

func (c *kernelsCheckCmd) list() (device string, kernels []*gpu.Kernel, err error) {
	d, err := c.Open()
	if err != nil {
		return "", nil, err
	}
	defer d.Close()
	all := kernelsOf(d.Limits())
	kernels = slices.DeleteFunc(slices.Clone(all), func(k *gpu.Kernel) bool {
		return !strings.Contains(k.Name, c.Named)
	})
	if len(kernels) == 0 {
		return "", nil, flags.Usagef("--named %s: none of the %d kernels has it in its name", c.Named, len(all))
	}
	return d.Name(), kernels, nil
}

// compile tries every kernel until ctx ends; progress, and each failure as it comes, go to w.
func (c *kernelsCheckCmd) compile(ctx context.Context, kernels []*gpu.Kernel, w io.Writer) []compilation {
	results := make([]compilation, len(kernels))
	next, done := make(chan int), make(chan int)
	var workers sync.WaitGroup
	for range runtime.NumCPU() {
		workers.Go(func() {
			for i := range next {
				results[i].Kernel = kernels[i].Name
				var err error
				if results[i].Seconds, err = tryInChild(ctx, c.Device, kernels[i]); err != nil {
					results[i].Error = err.Error()
				}
				done <- i
			}
		})
	}
	go func() {
		for i := range kernels {
			if ctx.Err() == nil {
				next <- i
			}
		}
		close(next)
		workers.Wait()
		close(done)
	}()
	bar := view.NewProgress(w, "compile", int64(len(kernels)), "kernels")
	defer bar.Done()
	n, failed := 0, 0
	for i := range done {
		n++
		if results[i].Error != "" {
			failed++
			if w != nil {
				view.Print(w, results[i].Error+"\n")
			}
			bar.Describe(fmt.Sprintf("%d failed", failed))
		}
		bar.Set(int64(n))
	}
	return results
}

func (r kernelsCheck) failed() []compilation {
	var list []compilation
	for _, k := range r.Kernels {
		if k.Error != "" {
			list = append(list, k)
		}
	}
	return list
}

// verdict is an error that names the kernels that failed, if any.
func (r kernelsCheck) verdict() error {
	var names []string
	for _, k := range r.failed() {
		names = append(names, k.Kernel)
	}
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d kernels do not compile on %s: %s", len(names), len(r.Kernels), r.Device,
		strings.Join(names, ", "))
}

// print shows the slowest kernels and all that failed.
func (r kernelsCheck) print(w io.Writer) {
	failed := r.failed()
	fmt.Fprintf(w, "%d kernels on %s in %.0f s: %d compiled, %d failed\n\n", len(r.Kernels), r.Device, r.Seconds,
		len(r.Kernels)-len(failed), len(failed))
	slowest := slices.Clone(r.Kernels)
	slices.SortStableFunc(slowest, func(a, b compilation) int { return cmp.Compare(b.Seconds, a.Seconds) })
	rows := [][]string{{"slowest", "seconds"}}
	for _, k := range slowest[:min(10, len(slowest))] {
		rows = append(rows, []string{k.Kernel, strconv.FormatFloat(k.Seconds, 'f', 2, 64)})
	}
	view.Table(w, 1, rows)
	if len(failed) > 0 {
		fmt.Fprintln(w, "\nfailed")
	}
	for _, k := range failed {
		fmt.Fprintln(w, k.Error)
	}
}
