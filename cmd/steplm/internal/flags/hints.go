package flags

import (
	"errors"
	"fmt"
	"strings"

	"steplm/data/cache"
	"steplm/gpu"
	"steplm/model/advice"
	"steplm/stage/plan"
)

// Explain is an error's text with what would help, in flags. Libraries know the options alone.
func Explain(err error) string {
	text := err.Error()
	var unfit *plan.Unfit
	if errors.As(err, &unfit) {
		return "--memory-limit: " + text + wordFittings(unfit)
	}
	if errors.Is(err, gpu.ErrNoAdapter) {
		return text + ". --device host computes in plain Go, slowly"
	}
	if errors.Is(err, gpu.ErrNoSuchDevice) {
		return text + "; `steplm devices` lists them"
	}
	if errors.Is(err, cache.ErrDamaged) {
		return text + ": `steplm data tokenize` makes the cache anew"
	}
	var help *advice.Error
	if errors.As(err, &help) && len(help.Ways) > 0 {
		var ways []string
		for _, w := range help.Ways {
			ways = append(ways, wordWay(w))
		}
		text += ": " + strings.Join(ways, ", or ")
	}
	return text
}

// wordFittings says which changes would make a run fit, alone or together.
func wordFittings(u *plan.Unfit) string {
	bytes := plan.Units(u.Limit)
	word := func(f plan.Fitting) string { return fmt.Sprintf("%s (%s)", wordFlags(f.Way), bytes(f.Bytes)) }
	var fits, not []string
	for _, c := range u.Changes {
		if c.Bytes <= u.Limit {
			fits = append(fits, word(c))
		} else {
			not = append(not, word(c))
		}
	}
	switch {
	case len(fits) > 0:
		return "; it would fit with " + strings.Join(fits, ", or ")
	case len(u.Together.Way) > 0 && u.Together.Bytes <= u.Limit:
		return "; no single change is enough, it would fit with " + word(u.Together)
	case len(not) > 1 && len(u.Together.Way) > 0:
		return "; no changes are enough, the least is with " + word(u.Together)
	case len(not) > 0:
		return "; no change is enough: with " + strings.Join(not, ", with ")
	}
	return "; nothing makes it smaller but a smaller model"
}

// wordWay is one way to help: use --grad-accum 1.
func wordWay(w advice.Way) string {
	var list []string
	for _, r := range w {
		list = append(list, fmt.Sprintf("%s %s", r.How, wordFlags(advice.Way{r})))
	}
	return strings.Join(list, " and ")
}

// wordFlags is a way as a command line has it: --stages 3 --split real.
func wordFlags(w advice.Way) string {
	var list []string
	for _, r := range w {
		list = append(list, Of(r.Option))
		if r.Value != "" {
			list = append(list, r.Value)
		}
	}
	return strings.Join(list, " ")
}
