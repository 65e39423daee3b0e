package report

import (
	"fmt"
	"io"
	"strings"
)

// writeMarkdown writes what the page shows, but its charts.
func (r *Report) writeMarkdown(w io.Writer, out string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Report of %d runs\n\n%s.\n", len(r.runs), capital(inline(r.states())))
	for _, p := range r.problems {
		fmt.Fprintf(&b, "\n- %s", inline(p))
	}
	if len(r.problems) > 0 {
		b.WriteString("\n")
	}
	for _, s := range r.settings {
		fmt.Fprintf(&b, "\n## %s\n\n%s %s\n\n", inline(s.title), inline(s.baseText()), inline(s.protocolText()))
		s.methods().markdown(&b)
		if grid, ok := s.grid(); ok {
			b.WriteString("\n### Learning rates\n\nValidation perplexity; the rate that the table has is in bold.\n\n")
			grid.markdown(&b)
		}
		if scored, ok := s.tasks(); ok {
			b.WriteString("\n### Downstream tasks\n\n")
			scored.markdown(&b)
			if text := s.askedText(); text != "" {
				fmt.Fprintf(&b, "\n%s\n", inline(text))
			}
		}
		if marks, ok := s.judged(); ok {
			b.WriteString("\n### MT-Bench\n\n")
			marks.markdown(&b)
		}
	}
	if scores, ok := r.scores(); ok {
		b.WriteString("\n## Downstream tasks, run by run\n\n")
		scores.markdown(&b)
	}
	b.WriteString("\n## Runs\n\n")
	r.runsTable().markdown(&b)
	if heard, ok := r.samplesTable(); ok {
		b.WriteString("\n## What the models say\n\nThe last samples of each run; the page has all.\n\n")
		heard.markdown(&b)
	}
	if said, _ := r.speakers(); len(said) > 0 {
		fmt.Fprintf(&b, "\n## Answers\n\n[%s](%[1]s) has them side by side.\n\n", AnswersFile)
		saidTable(said).markdown(&b)
	}
	b.WriteString("\n## Data\n\n")
	r.data().markdown(&b)
	b.WriteString("\n## Commands to repeat\n\n")
	for _, c := range r.commands(out) {
		fmt.Fprintf(&b, "    %s\n", strings.NewReplacer("\n", " ", "\r", " ").Replace(c))
	}
	b.WriteString("\n## How to read it\n\n")
	for _, n := range r.notes() {
		fmt.Fprintf(&b, "- %s\n", inline(n))
	}
	b.WriteString("\n### Columns of methods\n\n")
	for _, line := range r.legend() {
		fmt.Fprintf(&b, "- %s\n", inline(line))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func capital(s string) string {
	if s == "" {
		return "None"
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// markdown writes a table.
func (t table) markdown(b *strings.Builder) {
	row := func(cells []cell) {
		b.WriteString("|")
		for _, c := range cells {
			text := inline(c.Text)
			if c.Mark != "" && text != "" {
				text = "**" + text + "**"
			}
			b.WriteString(" " + text + " |")
		}
		b.WriteString("\n")
	}
	row(t.Head)
	b.WriteString("|" + strings.Repeat("---|", len(t.Head)) + "\n")
	for _, cells := range t.Rows {
		row(cells)
	}
}

// inline is a text in which Markdown, and the HTML within it, has no meaning.
func inline(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '<':
			b.WriteString("&lt;")
		case r == '&':
			b.WriteString("&amp;")
		case strings.ContainsRune("\\`*_[]|#~", r):
			b.WriteRune('\\')
			b.WriteRune(r)
		case r < ' ':
			b.WriteRune(' ')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
