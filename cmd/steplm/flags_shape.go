package main

import (
	"steplm/model"
	"steplm/stage"
)

// ShapeFlags are a run of which nothing is trained: what its steps compute.
type ShapeFlags struct {
	ModelFlags   `embed:""`
	StepFlags    `embed:""`
	StorageFlags `embed:""`
	BatchSize    int `default:"8" placeholder:"N" help:"Windows per micro-batch. Default: ${default}."`
	GradAccum    int `default:"1" placeholder:"N" help:"Micro-batches per step. Default: ${default}."`
}

// Options are the choices that decide what is in memory and what is computed.
func (f ShapeFlags) Options() (stage.Options, error) {
	config, err := f.Config(0)
	if err != nil {
		return stage.Options{}, err
	}
	o := stage.Options{Model: config, Batch: model.Size{Batch: f.BatchSize, SeqLen: f.Window(config)}, GradAccum: f.GradAccum}
	if err := f.StorageFlags.Set(&o); err != nil {
		return o, err
	}
	if err := f.StepFlags.Set(&o, config); err != nil {
		return o, err
	}
	return o, nil
}

// MethodFlags are ShapeFlags of one method.
type MethodFlags struct {
	Method     string `default:"step" enum:"${methods}" help:"Method: ${enum}. Default: ${default}."`
	ShapeFlags `embed:""`
}

// Recipe is a run of these shapes.
func (f MethodFlags) Recipe() (stage.Recipe, error) {
	o, err := f.Options()
	if err != nil {
		return stage.Recipe{}, err
	}
	if err := f.StepFlags.check(f.Method); err != nil {
		return stage.Recipe{}, err
	}
	if f.MemoryLimit > 0 {
		if o, _, err = stage.FitShape(f.Method, o, int64(f.MemoryLimit)); err != nil {
			return stage.Recipe{}, err
		}
	}
	return stage.ShapeRecipe(f.Method, o)
}
