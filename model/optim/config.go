package optim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"steplm/gpu"
	"steplm/model"
)

// Config chooses an optimizer. As JSON it is one object: the optimizer's name, max_norm,
// and the fields of its settings.
type Config struct {
	Settings Settings
	MaxNorm  float64 // to which the norm of the whole gradient is clipped; 0: no clipping
}

// Settings are the numbers of one optimizer; their JSON is an object.
type Settings interface {
	// Name is the optimizer's, as recipes spell it.
	Name() string
	// Title is the name for people, and String that with the numbers.
	Title() string
	String() string
	// Validate refuses numbers with which the optimizer is not defined, and a storage
	// with which it does not train.
	Validate(model.Storage) error
	// New makes the optimizer, without memory.
	New(maxNorm float64) Optimizer
}

// Fitted are Settings that ask something of the model.
type Fitted interface {
	// Fits refuses a model for which the optimizer is not defined.
	Fits(model.Config) error
}

// Published is what those who published an optimizer set where nobody says otherwise, for a
// model, and their peak learning rate.
type Published[S Settings] func(model.Config) (settings S, lr float64)

// Kind is an optimizer that recipes may name.
type Kind struct {
	Name      string
	read      func(object []byte) (Settings, error)
	published Published[Settings]
}

// KindOf is the kind with settings of type S.
func KindOf[S Settings](published Published[S]) Kind {
	var zero S
	read := func(object []byte) (Settings, error) {
		var s S
		d := json.NewDecoder(bytes.NewReader(object))
		d.DisallowUnknownFields()
		err := d.Decode(&s)
		return s, err
	}
	return Kind{zero.Name(), read, func(m model.Config) (Settings, float64) { return published(m) }}
}

// Default is the optimizer where neither a user nor a method says which.
const Default = "adamw"

// Kinds lists the optimizers, each in a file of its own. A program that has another one
// adds it before it reads recipes.
var Kinds = []Kind{
	KindOf(publishedAdamW), KindOf(publishedApollo), KindOf(publishedApolloMini), KindOf(publishedFira),
	KindOf(publishedGaLore), KindOf(publishedMuon), KindOf(publishedScale),
}

// Names lists the optimizers.
func Names() (names []string) {
	for _, k := range Kinds {
		names = append(names, k.Name)
	}
	return names
}

// UnheededError is a field that an optimizer's settings do not have.
type UnheededError struct{ Optimizer, Field string }

func (e *UnheededError) Error() string {
	return fmt.Sprintf("optimizer %s has no %s: leave it out", e.Optimizer, e.Field)
}

// Choose is an optimizer as it was published for a model, but for the fields that are given
// by their names in JSON, and the published learning rate. Projections are drawn by the seed.
func Choose(name string, m model.Config, fields map[string]json.RawMessage, seed uint64) (Settings, float64, error) {
	k, err := find(name)
	if err != nil {
		return nil, 0, err
	}
	settings, lr := k.published(m)
	text, err := json.Marshal(settings)
	if err != nil {
		return nil, 0, err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, 0, err
	}
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		if _, ok := all[field]; !ok {
			return nil, 0, &UnheededError{name, field}
		}
		all[field] = fields[field]
	}
	if _, ok := all["seed"]; ok {
		all["seed"] = json.RawMessage(strconv.FormatUint(uint64(uint32(seed)), 10))
	}
	if text, err = json.Marshal(all); err != nil {
		return nil, 0, err
	}
	settings, err = k.read(text)
	return settings, lr, err
}

func find(name string) (Kind, error) {
	for _, k := range Kinds {
		if k.Name == name {
			return k, nil
		}
	}
	return Kind{}, fmt.Errorf("unknown optimizer %q: choose one of %s", name, strings.Join(Names(), ", "))
}

// New makes the optimizer, without memory: enough for a plan.
func (c Config) New() Optimizer { return c.Settings.New(c.MaxNorm) }

// Validate refuses what cannot train in a storage.
func (c Config) Validate(s model.Storage) error {
	if c.Settings == nil {
		return fmt.Errorf("no optimizer is chosen: choose one of %s", strings.Join(Names(), ", "))
	}
	if err := c.Settings.Validate(s); err != nil {
		return err
	}
	if !(c.MaxNorm >= 0) || math.IsInf(c.MaxNorm, 1) {
		return fmt.Errorf("maximum gradient norm %g: it must be 0 (no clipping) or more", c.MaxNorm)
	}
	return nil
}

// Fits refuses a model for which the optimizer is not defined.
func (c Config) Fits(m model.Config) error {
	if f, ok := c.Settings.(Fitted); ok {
		return f.Fits(m)
	}
	return nil
}

// Specs lists all that the optimizer allocates for a layout.
func (c Config) Specs(l model.Layout) []gpu.Spec {
	o := c.New()
	var list []gpu.Spec
	for _, p := range l.Params() {
		if p.Trains() {
			list = append(list, o.Specs(l.Storage, p)...)
		}
	}
	return append(list, o.Scratch(l)...)
}

// TrainableBytes is the bytes that each element of a trainable parameter takes, as the
// storage's sample shows it: weight, gradient (of a slab that all share, none), master and
// the optimizer's planes.
func (c Config) TrainableBytes(s model.Storage) float64 {
	p := s.Sample(true)
	specs := append(c.New().Specs(s, p), p.Weight)
	if p.Master.Name != "" {
		specs = append(specs, p.Master)
	}
	if !s.Release {
		specs = append(specs, p.Grad)
	}
	bytes := int64(0)
	for _, x := range specs {
		bytes += x.Bytes()
	}
	return float64(bytes) / float64(p.Weight.Elements())
}

// head is the part of the JSON that all optimizers share.
type head struct {
	Name    string  `json:"name"`
	MaxNorm float64 `json:"max_norm"`
}

// MarshalJSON puts name and max_norm before the settings' fields.
func (c Config) MarshalJSON() ([]byte, error) {
	if c.Settings == nil {
		return []byte("null"), nil
	}
	settings, err := json.Marshal(c.Settings)
	if err != nil {
		return nil, err
	}
	object, err := json.Marshal(head{c.Settings.Name(), c.MaxNorm})
	if err != nil {
		return nil, err
	}
	if fields := bytes.TrimPrefix(settings, []byte("{")); len(fields) > 1 {
		object = append(append(object[:len(object)-1], ','), fields...)
	}
	return object, nil
}

// UnmarshalJSON refuses an optimizer that Kinds does not have, and fields that its
// settings do not have.
func (c *Config) UnmarshalJSON(text []byte) error {
	var h head
	if err := json.Unmarshal(text, &h); err != nil {
		return err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return err
	}
	delete(fields, "name")
	delete(fields, "max_norm")
	rest, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	k, err := find(h.Name)
	if err != nil {
		return err
	}
	settings, err := k.read(rest)
	if err != nil {
		return fmt.Errorf("optimizer %s: %w", k.Name, err)
	}
	*c = Config{settings, h.MaxNorm}
	return nil
}
