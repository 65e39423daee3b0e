package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// tuneCache is where the kit's tuning is kept, for the stages after it too.
func (k *kit) tuneCache() string { return filepath.Join(k.work, "tune") }

// rates tunes the device for the steps that are measured later, then times products and attention.
func rates(ctx context.Context, k *kit, r *result) error {
	k.setPeak(ctx, r)
	n, seconds := 4096, "0.4"
	if k.small() {
		n, seconds = 512, "0.2"
	}
	for _, precision := range []string{"f32", "bf16"} {
		if err := k.tune(ctx, r, precision, seconds); err != nil {
			return err
		}
		for _, transpose := range []string{"nt", "nn", "tn"} {
			if err := k.product(ctx, r, transpose, precision, n); err != nil {
				return err
			}
		}
		if err := k.attention(ctx, r, precision); err != nil {
			return err
		}
	}
	return nil
}

// setPeak keeps the card's fp32 peak, where it is given or NVIDIA's tool tells enough; PyTorch may tell
// it later.
func (k *kit) setPeak(ctx context.Context, r *result) {
	if k.Peak > 0 {
		r.set("peak_gflops", k.Peak)
		return
	}
	smi := nvidiaSMI()
	if smi == "" {
		return
	}
	out, err := exec.CommandContext(ctx, smi, "--query-gpu=clocks.max.sm,compute_cap",
		"--format=csv,noheader,nounits").Output()
	if err == nil {
		first, _, _ := strings.Cut(string(out), "\n")
		clock, capability, _ := strings.Cut(first, ",")
		if mhz, err := strconv.ParseFloat(strings.TrimSpace(clock), 64); err == nil {
			r.set("clock_max_mhz", mhz)
			r.set("compute_capability", strings.TrimSpace(capability))
		}
	}
}

// stepModels are what is tuned for and stepped: the flags of each by name.
func (k *kit) stepModels() []stepModel {
	if k.small() {
		return []stepModel{{"tiny", []string{"--model", "tiny", "--seq-len", "128", "--batch-size", "8"}}}
	}
	return []stepModel{
		{"130m", []string{"--model", "130m", "--seq-len", "256", "--batch-size", "8"}},
		{"368m", []string{"--model", "368m", "--seq-len", "256", "--batch-size", "8"}},
	}
}

type stepModel struct {
	name  string
	flags []string
}

// tune tunes every class of the first model's STEP run.
func (k *kit) tune(ctx context.Context, r *result, precision, seconds string) error {
	var tuned struct {
		Classes []struct {
			Class    string   `json:"class"`
			Variant  string   `json:"variant"`
			GFLOPS   float64  `json:"gflops"`
			Default  float64  `json:"default_gflops"`
			Tried    int      `json:"tried"`
			Excluded []string `json:"excluded"`
		} `json:"classes"`
	}
	args := append([]string{"devices", "tune"}, k.stepModels()[0].flags...)
	args = append(args, "--precision", precision, "--seconds-per-class", seconds, "--tune-cache", k.tuneCache(),
		"--json")
	e, err := k.startJSON(ctx, command{args: k.steplm(args...)}, &tuned)
	if err != nil {
		return err
	}
	best, gain, tried := 0.0, 0.0, 0
	for _, c := range tuned.Classes {
		best, gain, tried = max(best, c.GFLOPS), max(gain, c.GFLOPS/c.Default), tried+c.Tried
		for _, why := range c.Excluded {
			r.fail("tuner, %s: %s", c.Class, why)
		}
	}
	r.set("tuned_"+precision+"_classes", float64(len(tuned.Classes)))
	r.set("tuned_"+precision+"_variants", float64(tried))
	r.set("tuned_"+precision+"_seconds", e.took.Seconds())
	r.set("tuned_"+precision+"_best_gflops", best)
	r.set("tuned_"+precision+"_largest_gain", gain)
	k.say("tuner, %s: %d classes, %d variants in %.0f s, the best %.0f GFLOP/s, at most %.2f times the default",
		precision, len(tuned.Classes), tried, e.took.Seconds(), best, gain)
	return nil
}

func (k *kit) product(ctx context.Context, r *result, transpose, precision string, n int) error {
	var b struct {
		GFLOPS  float64 `json:"gflops"`
		Variant string  `json:"variant"`
	}
	size := strconv.Itoa(n)
	_, err := k.startJSON(ctx, command{args: k.steplm("bench", "matmul", "--m", size, "--n", size, "--k", size,
		"--transpose", transpose, "--precision", precision,
		"--seconds", "0.5", "--seconds-per-class", "1", "--tune-cache", k.tuneCache(), "--json")}, &b)
	if err != nil {
		return err
	}
	r.set("matmul_size", float64(n))
	r.set(fmt.Sprintf("matmul_%s_%s_gflops", precision, transpose), b.GFLOPS)
	r.set(fmt.Sprintf("matmul_%s_%s_variant", precision, transpose), b.Variant)
	k.say("%s %s at %d: %.0f GFLOP/s (%s)", transpose, precision, n, b.GFLOPS, b.Variant)
	return nil
}

func (k *kit) attention(ctx context.Context, r *result, precision string) error {
	var b struct {
		Forward, Backward struct {
			GFLOPS float64 `json:"gflops"`
			GB     float64 `json:"gb_per_second"`
		}
	}
	shape := []string{"--batch", "8", "--heads", "12", "--seq-len", "256", "--head-size", "64"}
	if k.small() {
		shape = []string{"--batch", "2", "--heads", "4", "--seq-len", "128", "--head-size", "24"}
	}
	args := append([]string{"bench", "attention"}, shape...)
	args = append(args, "--precision", precision, "--steps", "5", "--seconds-per-class", "0.3", "--tune-cache",
		k.tuneCache(), "--json")
	if _, err := k.startJSON(ctx, command{args: k.steplm(args...)}, &b); err != nil {
		return err
	}
	r.set("attention_"+precision+"_forward_gflops", b.Forward.GFLOPS)
	r.set("attention_"+precision+"_backward_gflops", b.Backward.GFLOPS)
	k.say("attention %s: %.0f GFLOP/s forward, %.0f backward", precision, b.Forward.GFLOPS, b.Backward.GFLOPS)
	return nil
}
