package experiment

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"steplm/model/advice"
	"steplm/stage/session"
)

//go:embed builtin/*.json
var builtins embed.FS

//go:embed scales/*.json
var scales embed.FS

// Names are the experiments that are built in, and Scales the sizes that an experiment can be run at.
func Names() []string { return namesIn(builtins, "builtin") }

// Scales are the names of sizes: each says model, tokens, seeds and tokenizer.
func Scales() []string { return namesIn(scales, "scales") }

func namesIn(files embed.FS, dir string) (names []string) {
	entries, err := files.ReadDir(dir)
	if err != nil {
		panic(err) // It is part of the program.
	}
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".json"))
	}
	return names
}

// Builtin is the experiment of a name.
func Builtin(name string) (File, error) {
	return embedded(builtins, "builtin", "experiment", name, Names())
}

func embedded(files embed.FS, dir, what, name string, names []string) (File, error) {
	text, err := files.ReadFile(path.Join(dir, name+".json"))
	if err != nil {
		return File{}, fmt.Errorf("there is no %s %q, as a file or by name: %w", what, name,
			session.Unknown("", name, names))
	}
	return Read(text)
}

// AtScale is an experiment with the model, tokens, seeds and tokenizer of a scale, where the file does not say them
// itself.
func (f File) AtScale(name string) (File, error) {
	scale, err := embedded(scales, "scales", "scale", name, Scales())
	if err != nil {
		return f, err
	}
	if f.Begins() {
		return f, fmt.Errorf("scale %s: the variants begin with another experiment's models, which have their size: "+
			"leave it out", name)
	}
	if f.Vocab == 0 {
		f.Vocab = scale.Vocab
	}
	if len(f.Seeds) == 0 {
		f.Seeds = scale.Seeds
	}
	f.Base, err = merged(scale.Base, f.Base)
	return f, err
}

// merged is the fields of two parts of a Spec, those of over before those of under. Of a run's lengths there is
// one, over's if it has one.
func merged(under, over json.RawMessage) (json.RawMessage, error) {
	all := map[string]map[string]json.RawMessage{}
	for _, part := range []json.RawMessage{under, over} {
		var groups map[string]map[string]json.RawMessage
		if len(part) == 0 {
			continue
		}
		if err := json.Unmarshal(part, &groups); err != nil {
			return nil, fmt.Errorf("base: %w", session.JSONError(err))
		}
		for group, fields := range groups {
			if all[group] == nil {
				all[group] = map[string]json.RawMessage{}
			}
			says := func(o advice.Option) bool { return fields[string(o)] != nil }
			if group == "schedule" && slices.ContainsFunc(session.Lengths, says) {
				for _, length := range session.Lengths {
					delete(all[group], string(length))
				}
			}
			for name, value := range fields {
				all[group][name] = value
			}
		}
	}
	return json.Marshal(all)
}

// Text is the file as a person edits it.
func (f File) Text() ([]byte, error) {
	text, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = json.Indent(&out, text, "", "  ")
	return append(out.Bytes(), '\n'), err
}
