package hf

import (
	"path/filepath"

	"steplm/internal/disk"
)

// Sampling is how a Hugging Face directory has tokens chosen, besides its temperature; 0: it does not say.
type Sampling struct {
	TopK              int     `json:"top_k"`
	TopP              float64 `json:"top_p"`
	MinP              float64 `json:"min_p"`
	RepetitionPenalty float64 `json:"repetition_penalty"`
}

// ReadSampling reads the generation_config.json of a directory, which transformers goes by unless it is told otherwise.
func ReadSampling(dir string) (s Sampling, err error) {
	_, err = disk.ReadJSON(filepath.Join(dir, "generation_config.json"), &s)
	return s, err
}
