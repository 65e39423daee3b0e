package stage

import (
	"bytes"
	"encoding/json"
	"fmt"

	"steplm/model/optim"
)

// decodeRecipe reads a recipe's JSON, also that of the format before.
func decodeRecipe(text []byte) (Recipe, error) {
	var f struct {
		Format int `json:"format"`
	}
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&f); err != nil {
		return Recipe{}, err
	}
	switch f.Format {
	case recipeFormat:
		var r Recipe
		err := strict(text, &r)
		return r, err
	case 2:
		var r recipe2
		err := strict(text, &r)
		return r.now(), err
	}
	return Recipe{}, fmt.Errorf("it has format %d, this program reads 2 and %d", f.Format, recipeFormat)
}

// strict refuses fields that there are not.
func strict(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// recipe2 is the recipe of format 2, which knew one optimizer.
type recipe2 struct {
	Recipe
	Optimizer struct {
		optim.AdamW
		MaxNorm float64 `json:"max_norm"`
	} `json:"optimizer"`
}

// now is the same run in this format.
func (r recipe2) now() Recipe {
	n := r.Recipe
	n.Format = recipeFormat
	n.Optimizer = optim.Config{Settings: r.Optimizer.AdamW, MaxNorm: r.Optimizer.MaxNorm}
	return n
}
