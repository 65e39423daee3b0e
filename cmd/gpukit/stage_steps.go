package main

import (
	"context"
	"fmt"
	"strings"
)

// steps times training steps, vanilla and every stage of STEP, and compares the bytes that the ledger
// counts with those that the driver reports.
func steps(ctx context.Context, k *kit, r *result) error {
	r.table = []string{"| model | | layers | ms a step | tokens/s | GFLOP/s | MFU | planned bytes |",
		"|---|---|---|---|---|---|---|---|"}
	for _, m := range k.stepModels() {
		for _, precision := range []string{"f32", "bf16"} {
			if err := k.step(ctx, r, m, precision); err != nil {
				return err
			}
		}
	}
	return nil
}

func (k *kit) step(ctx context.Context, r *result, m stepModel, precision string) error {
	var b struct {
		Peak   float64 `json:"peak_gflops"`
		Ledger float64 `json:"ledger_peak_bytes"`
		Stages []struct {
			Name    string  `json:"name"`
			Layers  int     `json:"layers"`
			Seconds float64 `json:"step_seconds"`
			Tokens  float64 `json:"tokens_per_second"`
			GFLOPS  float64 `json:"gflops"`
			MFU     float64 `json:"mfu"`
			Bytes   float64 `json:"planned_bytes"`
		} `json:"stages"`
	}
	args := append([]string{"bench", "step"}, m.flags...)
	args = append(args, "--precision", precision, "--steps", "4", "--seconds-per-class", "0.3", "--tune-cache",
		k.tuneCache(), "--json")
	most := watchMemory(ctx)
	e, err := k.startJSON(ctx, command{args: k.steplm(args...)}, &b)
	reported := most()
	if err != nil {
		return fmt.Errorf("%s in %s: %w", m.name, precision, err)
	}
	name := m.name + "_" + precision
	for _, s := range b.Stages {
		key := name + "_" + strings.NewReplacer(": ", "_stage_", " ", "_").Replace(s.Name)
		r.table = append(r.table, fmt.Sprintf("| %s %s | %s | %d | %s | %s | %s | %.0f %% | %.0f |",
			m.name, precision, s.Name, s.Layers, figure(1e3*s.Seconds), figure(s.Tokens), figure(s.GFLOPS), 100*s.MFU,
			s.Bytes))
		r.set(key+"_tokens_per_second", s.Tokens)
		r.set(key+"_mfu", s.MFU)
		k.say("%s %s, %s: %.0f tokens/s, %.1f ms a step, %.0f GFLOP/s, MFU %.0f %% of the best product", m.name,
			precision, s.Name, s.Tokens, 1e3*s.Seconds, s.GFLOPS, 100*s.MFU)
	}
	r.set(name+"_best_product_gflops", b.Peak)
	r.set(name+"_ledger_peak_bytes", b.Ledger)
	if reported > 0 {
		r.set(name+"_driver_reported_bytes", reported)
		r.set(name+"_driver_reported_of_ledger", reported/b.Ledger)
	}
	if e.peak > 0 {
		r.set(name+"_process_peak_bytes", float64(e.peak))
	}
	return nil
}
