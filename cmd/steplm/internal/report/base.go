package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"steplm/cmd/steplm/internal/curves"
	"steplm/model/optim"
	"steplm/stage/recipe"
)

// baseWord is what tables call the method that others are compared with.
func baseWord(against string) string {
	if against == "" {
		return recipe.VanillaName
	}
	return "the baseline"
}

// baseName stands for baseWord in what a column is called and says of itself.
const baseName = "{baseline}"

// named is a text with what the others are compared with; a difference needs no article.
func named(text, against string) string {
	word := baseWord(against)
	text = strings.ReplaceAll(text, "Δ "+baseName, "Δ "+strings.TrimPrefix(word, "the "))
	return strings.ReplaceAll(text, baseName, word)
}

// chooseBase chooses the group that all are compared with, among those that the table shows and that have ended.
func (s *setting) chooseBase() {
	s.base = s.vanilla()
	if s.against != "" {
		s.base = nil
		if found := s.matching(); len(found) == 1 {
			s.base = found[0]
		}
	}
	if s.base == nil {
		return
	}
	loss := s.base.values(func(r *run) float64 { return r.TrainLoss }).Summary().Mean
	if math.IsNaN(loss) {
		s.base = nil // Nothing can be compared with what has not ended.
		return
	}
	s.target = curves.Hundredths(loss)
}

// matching are the groups that the table shows whose label is what was asked for, or has it in it.
func (s *setting) matching() (list []*group) {
	for _, g := range s.groups {
		switch {
		case !g.shown:
		case g.label == s.against:
			return []*group{g}
		case strings.Contains(strings.ToLower(g.label), strings.ToLower(s.against)):
			list = append(list, g)
		}
	}
	return list
}

// vanilla is the group of vanilla training that is most as the program does it; nil: there is none.
func (s *setting) vanilla() (base *group) {
	adamW := func(g *group) bool {
		_, optimizer := g.runs[0].kind()
		return optimizer == (optim.AdamW{}).Name()
	}
	for _, g := range s.groups {
		method, _ := g.runs[0].kind()
		if !g.shown || method != recipe.VanillaName || g.runs[0].Method != recipe.VanillaName {
			continue
		}
		switch {
		case base == nil, adamW(g) && !adamW(base), adamW(g) == adamW(base) && g.own() < base.own():
			base = g
		}
	}
	return base
}

// compared refuses a method to compare with that no setting has, or that several of a setting could be.
func (r *Report) compared() error {
	if r.against == "" {
		return nil
	}
	var labels []string
	for _, s := range r.settings {
		found := s.matching()
		if len(found) == 1 {
			return nil
		}
		for _, g := range s.groups {
			if g.shown && !slices.Contains(labels, g.label) && (len(found) == 0 || slices.Contains(found, g)) {
				labels = append(labels, g.label)
			}
		}
	}
	if len(labels) == 0 {
		return nil // There are none; why not is told elsewhere.
	}
	return fmt.Errorf("no method of the table, or more than one, has %q in its name to be compared with: give one of "+
		"these: %s", r.against, strings.Join(labels, "; "))
}

// baseText says what a setting's methods are compared with.
func (s *setting) baseText() string {
	switch {
	case s.base != nil:
		return fmt.Sprintf("Compared with %s, rate %s, whose final loss is %.2f.", s.base.label, s.base.lr,
			float64(s.target)/100)
	case s.against != "":
		return fmt.Sprintf("No one method here that is done has %q in its name: nothing is compared.", s.against)
	}
	return "No run of " + recipe.VanillaName + " that is done is among these: nothing is compared with it. " +
		"--against METHOD compares with another."
}
