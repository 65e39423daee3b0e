package flags

import (
	"fmt"
	"path/filepath"
	"strings"
)

// SVG names the file of an image. Other formats are refused by name, so that no image lies in a file that says it is
// another.
type SVG string

// UnmarshalText takes a name that ends in .svg, or that says nothing of its format.
func (s *SVG) UnmarshalText(text []byte) error {
	name := string(text)
	switch ext := filepath.Ext(name); {
	case name == "":
		return fmt.Errorf("it names no file")
	case ext != "" && !strings.EqualFold(ext, ".svg"):
		return fmt.Errorf("%s: the image is SVG and no %s; name it %s", name, ext, strings.TrimSuffix(name, ext)+".svg")
	}
	*s = SVG(name)
	return nil
}
