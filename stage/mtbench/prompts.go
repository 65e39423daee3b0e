package mtbench

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Prompt is what a judge is asked by, a line of FastChat's judge_prompts.jsonl.
type Prompt struct {
	Name     string `json:"name"`
	Type     string `json:"type"` // single or pairwise
	System   string `json:"system_prompt"`
	Template string `json:"prompt_template"` // with fields in braces, as Python's str.format has them
	Output   string `json:"output_format"`   // [[rating]] or [[A]]
}

// ReadPrompts reads judge prompts, by their names; of two with one name the last counts, as in FastChat.
func ReadPrompts(path string) (map[string]Prompt, error) {
	list := map[string]Prompt{}
	err := eachLine(path, func(_ int, text []byte) error {
		var p Prompt
		if err := json.Unmarshal(text, &p); err != nil {
			return err
		}
		if p.Name == "" || p.Template == "" {
			return fmt.Errorf("a judge prompt needs a name and a prompt_template")
		}
		list[p.Name] = p
		return nil
	})
	return list, err
}

// fill puts values into a template as Python's str.format does: {name} is a value, {{ and }} are braces. Braces in
// values are none of the template's.
func fill(template string, values map[string]string) (string, error) {
	var out strings.Builder
	for rest := template; rest != ""; {
		at := strings.IndexAny(rest, "{}")
		if at < 0 {
			out.WriteString(rest)
			break
		}
		out.WriteString(rest[:at])
		brace := rest[at : at+1]
		if rest = rest[at+1:]; strings.HasPrefix(rest, brace) {
			out.WriteString(brace)
			rest = rest[1:]
			continue
		}
		name, after, closed := strings.Cut(rest, "}")
		if brace == "}" || !closed {
			return "", fmt.Errorf("its template has a single %s", brace)
		}
		value, known := values[name]
		if !known {
			return "", fmt.Errorf("its template asks for {%s}, which is not known of what it judges", name)
		}
		out.WriteString(value)
		rest = after
	}
	return out.String(), nil
}
