package report

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"io"
	"strings"
)

//go:embed page
var assets embed.FS

// asset is a file of the page.
func asset(name string) string {
	text, err := assets.ReadFile("page/" + name)
	if err != nil {
		panic(err) // It is embedded.
	}
	return string(text)
}

var (
	layout = template.Must(template.New("report").Parse(asset("report.html")))
	// styles and scripts are in the page itself, and nothing else may run in it: see policy.
	styles  = []string{asset("uplot/uPlot.min.css"), asset("report.css")}
	scripts = []string{asset("uplot/uPlot.iife.min.js"), asset("plots.js"), asset("report.js")}
)

// policy is the page's Content-Security-Policy: its own styles and scripts by their hashes, and nothing from elsewhere.
// A live page may ask the server that it came from.
func policy(live bool) string {
	hashes := func(list []string) string {
		var words []string
		for _, text := range list {
			sum := sha256.Sum256([]byte(text))
			words = append(words, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")
		}
		return strings.Join(words, " ")
	}
	p := "default-src 'none'; style-src " + hashes(styles) + "; script-src " + hashes(scripts) +
		"; img-src data:; base-uri 'none'; form-action 'none'"
	if live {
		p += "; connect-src 'self'"
	}
	return p
}

// elements are texts between a tag's beginning and end, as they are: their hashes are in the policy.
func elements(tag string, texts []string) (list []template.HTML) {
	for _, text := range texts {
		list = append(list, template.HTML("<"+tag+">"+text+"</"+tag+">"))
	}
	return list
}

// section is a setting as the layout shows it.
type section struct {
	Title, Base, Protocol string
	Methods               table
	Grid, Judged, Tasks   *table // nil: there is none
	Asked                 string // what else is to be said of Tasks; "": nothing
}

// writeHTML writes the page. Whatever is not a constant of this package the template escapes.
func (r *Report) writeHTML(w io.Writer, out string) error {
	var sections []section
	grids := 0
	for _, s := range r.settings {
		x := section{Title: s.title, Base: s.baseText(), Protocol: s.protocolText(), Methods: s.methods()}
		if grid, ok := s.grid(); ok {
			x.Grid = &grid
			grids++
		}
		if marks, ok := s.judged(); ok {
			x.Judged = &marks
		}
		if scored, ok := s.tasks(); ok {
			x.Tasks, x.Asked = &scored, s.askedText()
		}
		sections = append(sections, x)
	}
	var scores *table
	if t, ok := r.scores(); ok {
		scores = &t
	}
	var answers *table
	if t, ok := r.answersTable(); ok {
		answers = &t
	}
	return layout.Execute(w, map[string]any{
		"Scores": scores, "Answers": answers,
		"Policy": policy(r.live), "Styles": elements("style", styles), "Scripts": elements("script", scripts),
		"Count": len(r.runs), "States": r.states(), "Problems": r.problems, "Live": r.live,
		"Sections": sections, "Grids": grids, "Runs": r.runsTable(), "Data": r.data(), "Commands": r.commands(out),
		"Notes": r.notes(), "Columns": r.legend(), "Page": r.page(), "Licence": asset("uplot/LICENSE"),
	})
}
