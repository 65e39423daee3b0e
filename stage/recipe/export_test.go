package recipe

import "steplm/model"

// What tests see of the package's own.
var Descending = descending

const MaxLayers = maxLayers

func (o Options) StageLayout(added, before int) model.Layout { return o.stageLayout(added, before) }
