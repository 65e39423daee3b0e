package experiment

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"

	"steplm/model/advice"
	"steplm/stage/session"
)

// counted are options that a run may go on with otherwise and that its row depends on all the same: what is scored,
// what ends it early, and where the model lies that it begins with.
var counted = []advice.Option{"init", "eval_every", "eval_tokens", "final_eval_tokens", "patience"}

// hash is the short one of what a run computes: of the options in which its Spec is not the default, in order of
// their names. So an option that a later version adds changes no name.
func hash(s session.Spec) string {
	settings, err := s.Differs(session.Default())
	if err != nil {
		panic(err) // plain data always marshals
	}
	h := sha256.New()
	for _, x := range settings {
		if !x.Free && x.Option != advice.Out || slices.Contains(counted, x.Option) {
			fmt.Fprintf(h, "%s=%s\n", x.Option, x.Value)
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:8]
}

// hash is that of a variant's Spec: of the model that it begins with, where that is another experiment's run, the run's
// name, which is of content too, and not where it lies.
func (v Made) hash(s session.Spec) string {
	if v.From != "" {
		s.Model.Init = filepath.Base(s.Model.Init)
	}
	return hash(s)
}
