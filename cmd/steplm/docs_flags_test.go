package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/cmd/steplm/internal/command"
	"steplm/cmd/steplm/internal/flags"
)

// TestDocumentsFlags: each command line of steplm that the documents name in their text is one that it understands,
// and each flag that they name there by itself is one of a command's.
func TestDocumentsFlags(t *testing.T) {
	parser, err := kong.New(&command.CLI{}, kong.Name("steplm"), flags.Vars)
	if err != nil {
		t.Fatal(err)
	}
	var known []string
	err = kong.Visit(parser.Model, func(node kong.Visitable, next kong.Next) error {
		if f, ok := node.(*kong.Flag); ok {
			known = append(known, f.Name)
			if f.Negated || f.Tag.Negatable != "" {
				known = append(known, "no-"+f.Name)
			}
		}
		return next(nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	command := regexp.MustCompile("`(?:bin/)?steplm ([^`]*)`")
	flags := regexp.MustCompile("`--[^`]*`")
	name := regexp.MustCompile(`--([a-z][a-z0-9-]*)`)
	known = append(known, "peak") // of a script that is no more, see docs/benchmarks.md
	commands, named := 0, 0
	for _, page := range documents(t) {
		text := strings.Join(strings.Fields(fenced.ReplaceAllString(clitest.Contents(t, "../../"+page), "")), " ")
		for _, m := range command.FindAllStringSubmatch(text, -1) {
			commands++
			if _, err := parser.Parse(strings.Fields(m[1])); err != nil {
				t.Errorf("%s names the command steplm %s: %v", page, m[1], err)
			}
		}
		for _, span := range flags.FindAllString(text, -1) {
			for _, m := range name.FindAllStringSubmatch(span, -1) {
				if named++; !slices.Contains(known, m[1]) {
					t.Errorf("%s names the flag --%s, which no command has", page, m[1])
				}
			}
		}
	}
	if commands < 10 || named < 60 {
		t.Errorf("found %d commands and %d flags in the documents: the patterns look for the wrong thing", commands,
			named)
	}
}
