package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
)

// torch runs PyTorch's steps of the same model and batch on the same card, where Python has PyTorch.
// Its script prints a line for each figure as soon as it has it.
func torch(ctx context.Context, k *kit, r *result) error {
	python, err := exec.LookPath(k.Python)
	if err != nil {
		return errSkip{fmt.Sprintf("there is no %s here; --python names one that has PyTorch", k.Python)}
	}
	if e, err := k.start(ctx, command{args: []string{python, "-c", "import torch"}}); err != nil {
		if ctx.Err() != nil {
			return err
		}
		return errSkip{fmt.Sprintf("%s has no PyTorch: %s", python, lastLine(e.words))}
	}
	models, n := "130m,368m", "4096"
	if k.small() {
		models, n = "tiny", "512"
	}
	args := []string{python, k.path("torch_step.py"), "--models", models, "--n", n}
	if k.Peak > 0 {
		args = append(args, "--peak", fmt.Sprint(k.Peak))
	}
	_, err = k.start(ctx, command{args: args, env: []string{"PYTHONUNBUFFERED=1"}, line: func(text string) {
		var f struct {
			Figure string `json:"figure"`
			Value  any    `json:"value"`
			Failed string `json:"failed"`
		}
		if json.Unmarshal([]byte(text), &f) != nil || f.Figure == "" {
			return
		}
		if f.Failed != "" {
			r.fail("%s: %s", f.Figure, f.Failed)
			return
		}
		r.set(f.Figure, f.Value)
		k.say("%s %s", f.Figure, figure(f.Value))
	}})
	return err
}
