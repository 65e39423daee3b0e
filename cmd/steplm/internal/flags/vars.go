package flags

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"

	"steplm/model/optim"
	"steplm/stage/experiment"
	"steplm/stage/harness"
	"steplm/stage/judge"
	"steplm/stage/logs"
	"steplm/stage/recipe"
	"steplm/stage/session"
)

// Vars puts in its place what flags' defaults and help refer to: default:"${batch_size}". They are no variables of
// kong's, which looks through all of those again for every flag: with so many of both that took longer than all else
// with which a command begins.
var Vars = kong.PostBuild(func(k *kong.Kong) error {
	var pairs []string
	for name, text := range variables() {
		pairs = append(pairs, "${"+name+"}", text)
	}
	put := strings.NewReplacer(pairs...).Replace
	return kong.Visit(k.Model, func(at kong.Visitable, next kong.Next) error {
		if v, ok := at.(*kong.Value); ok {
			v.Default, v.Enum, v.Help = put(v.Default), put(v.Enum), put(v.Help)
		}
		return next(nil)
	})
})

// variables are the defaults of a Spec's options, and lists of what there is.
func variables() map[string]string {
	vars := map[string]string{
		"parallel":    strconv.Itoa(session.FetchParallel),
		"methods":     strings.Join(recipe.MethodNames(), ","),
		"optimizers":  strings.Join(optim.Names(), ","),
		"log_formats": strings.Join(logs.Names(), ", "),
		"judge_url":   judge.OpenAI,
		// Those of `experiment`:
		"experiments": strings.Join(experiment.Names(), ", "),
		"scales":      strings.Join(experiment.Scales(), ", "),
		// Those of `eval tasks`:
		"tasks":        strings.Join(harness.Names(), ", "),
		"fewshot_seed": strconv.Itoa(harness.Seed),
		"resamples":    strconv.Itoa(harness.Resamples),
	}
	spec := session.Default()
	for _, o := range session.Options() {
		b, err := spec.Get(o)
		if err != nil {
			panic(err) // a mistake in session
		}
		text := strings.Trim(string(b), `"`)
		var list []any
		if json.Unmarshal(b, &list) == nil && list != nil {
			var words []string
			for _, x := range list {
				words = append(words, fmt.Sprint(x))
			}
			text = strings.Join(words, ",")
		}
		vars[string(o)] = text
	}
	return vars
}
