package gpu

import (
	"maps"
	"sync"
)

// Choices say which variant of a kernel a device runs for a class of calls. All
// variants of a class give the same bits on a device, so that a choice changes how
// long a call takes and nothing else. Classes and variants are words of whoever made
// the kernels.
type Choices struct {
	mu   sync.Mutex
	set  map[string]string
	used map[string]*Use // pointers, so that a further call looks up once
}

// Use is what became of a class.
type Use struct {
	Variant string
	Work    float64 // of all its calls so far
}

// Set makes variant the choice for a class.
func (c *Choices) Set(class, variant string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.set == nil {
		c.set = map[string]string{}
	}
	c.set[class] = variant
}

// Take makes another device's choices these.
func (c *Choices) Take(from *Choices) {
	from.mu.Lock()
	set := maps.Clone(from.set)
	from.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set = set
}

// Chosen is what Set made the choice for a class; "": nothing.
func (c *Choices) Chosen(class string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.set[class]
}

// Used lists the classes that were called for since the device was opened.
func (c *Choices) Used() map[string]Use {
	c.mu.Lock()
	defer c.mu.Unlock()
	used := map[string]Use{}
	for class, u := range c.used {
		used[class] = *u
	}
	return used
}

// use notes a call.
func (c *Choices) use(class, variant string, work float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.used[class]
	if u == nil {
		if c.used == nil {
			c.used = map[string]*Use{}
		}
		u = &Use{}
		c.used[class] = u
	}
	u.Variant, u.Work = variant, u.Work+work
}

// Chosen is the variant that the pass's device was told to run for a class; "":
// nothing was said.
func (p *Pass) Chosen(class string) string { return p.choices.Chosen(class) }

// Use notes that a call of a class, of so much work, runs a variant.
func (p *Pass) Use(class, variant string, work float64) { p.choices.use(class, variant, work) }
