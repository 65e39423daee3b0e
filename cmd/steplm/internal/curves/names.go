package curves

import (
	"fmt"
	"path/filepath"
)

// Names names runs by their folder, or as they were given where two folders
// have one name. A path that is given twice is an error.
func Names(paths []string) ([]string, error) {
	folder := func(path string) string {
		path = filepath.Clean(path)
		if filepath.Ext(path) == ".jsonl" {
			path = filepath.Dir(path)
		}
		if abs, err := filepath.Abs(path); err == nil { // "." has a name too
			path = abs
		}
		return filepath.Base(path)
	}
	times, given := map[string]int{}, map[string]bool{}
	for _, path := range paths {
		if given[filepath.Clean(path)] {
			return nil, fmt.Errorf("%s is given twice", path)
		}
		given[filepath.Clean(path)] = true
		times[folder(path)]++
	}
	var names []string
	for _, path := range paths {
		name := folder(path)
		if times[name] > 1 {
			name = path
		}
		names = append(names, name)
	}
	return names, nil
}
