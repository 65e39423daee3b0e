package train

import (
	"testing"

	"steplm/stage/recipe"
	"steplm/stage/recipe/recipetest"
)

// What is told of the old layers at a growth is what the recipe does with them.
func TestFrozenIsWhatTheRecipeDoes(t *testing.T) {
	for _, c := range []struct {
		method string
		edit   func(*recipe.Options)
		want   string
	}{
		{"step", func(*recipe.Options) {}, ", whose linears froze under LoRA of rank 2"},
		{"step", func(o *recipe.Options) { o.NoLoRA = true }, ", whose linears froze"},
		{"step", func(o *recipe.Options) { o.NoFreeze = true }, ", which train on"},
		{"stack", func(o *recipe.Options) { o.Operator = "" }, ", which train on"},
	} {
		o := recipetest.Tiny()
		c.edit(&o)
		o.LoRA.Rank = 2
		if r := recipetest.Must(t, c.method, o); frozen(r, 2) != c.want {
			t.Errorf("%s: %q, want %q", c.method, frozen(r, 2), c.want)
		}
	}
}
