package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
)

// flatten writes a JSON value's parts by their paths: stages[1].entry.verbs[0].do. Lists of plain values are one part.
func flatten(out map[string]string, path string, value any) {
	switch v := value.(type) {
	case map[string]any:
		for name, part := range v {
			below := name
			if path != "" {
				below = path + "." + name
			}
			flatten(out, below, part)
		}
		return
	case []any:
		if slices.ContainsFunc(v, func(part any) bool { _, is := part.(map[string]any); return is }) {
			for i, part := range v {
				flatten(out, fmt.Sprintf("%s[%d]", path, i), part)
			}
			return
		}
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false) // It is for people; whoever shows it escapes it.
	if e.Encode(value) == nil {
		out[path] = strings.TrimSpace(text.String())
	}
}

// sorted is a map in the order of its keys.
func sorted(m map[string]string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if !yield(key, m[key]) {
				return
			}
		}
	}
}

// last is the last name of a path.
func last(path string) string { return path[strings.LastIndex(path, ".")+1:] }
