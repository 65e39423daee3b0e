package chat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nikolalohinski/gonja/v2/exec"
)

// filterJSON is transformers' tojson: Python's json.dumps, without escapes beyond ASCII.
func filterJSON(_ *exec.Evaluator, in *exec.Value, params *exec.VarArgs) *exec.Value {
	if in.IsError() {
		return in
	}
	if len(params.Args) > 0 || len(params.KwArgs) > 0 {
		return exec.AsValue(fmt.Errorf("tojson takes no arguments here"))
	}
	text, err := dumps(in.ToGoSimpleType(true))
	if err != nil {
		return exec.AsValue(err)
	}
	return exec.AsSafeValue(text)
}

// dumps is a value as Python writes it: a blank after each comma and colon. A message's role comes before its content,
// as in the conversation; other keys are in order.
func dumps(value any) (string, error) {
	switch x := value.(type) {
	case nil:
		return "null", nil
	case bool:
		return strconv.FormatBool(x), nil
	case string:
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(x); err != nil {
			return "", err
		}
		return strings.TrimSuffix(b.String(), "\n"), nil
	case int, int64, float64:
		text, err := json.Marshal(x)
		return string(text), err
	case []any:
		return dumpsAll(len(x), "[", "]", func(i int) (string, any) { return "", x[i] })
	case map[any]any:
		named := map[string]any{}
		for key, value := range x {
			named[fmt.Sprint(key)] = value
		}
		return dumps(named)
	case map[string]any:
		keys := slices.Sorted(maps.Keys(x))
		slices.SortStableFunc(keys, func(a, b string) int {
			switch {
			case a == "role" && b == "content":
				return -1
			case a == "content" && b == "role":
				return 1
			}
			return 0
		})
		return dumpsAll(len(keys), "{", "}", func(i int) (string, any) { return keys[i], x[keys[i]] })
	}
	return "", fmt.Errorf("tojson of a %T", value)
}

func dumpsAll(n int, open, end string, at func(i int) (key string, value any)) (string, error) {
	var text strings.Builder
	text.WriteString(open)
	for i := range n {
		if i > 0 {
			text.WriteString(", ")
		}
		key, value := at(i)
		if open == "{" {
			name, err := dumps(key)
			if err != nil {
				return "", err
			}
			text.WriteString(name + ": ")
		}
		one, err := dumps(value)
		if err != nil {
			return "", err
		}
		text.WriteString(one)
	}
	return text.String() + end, nil
}

// strftime is a time as Python's strftime writes it, of the directives that dates are made of.
func strftime(t time.Time, format string) string {
	layouts := map[byte]string{'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'd': "02", 'e': "_2", 'H': "15",
		'I': "03", 'j': "002", 'm': "01", 'M': "04", 'p': "PM", 'S': "05", 'y': "06", 'Y': "2006", 'Z': "MST"}
	var text strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			text.WriteByte(format[i])
			continue
		}
		i++
		switch layout, ok := layouts[format[i]]; {
		case ok:
			text.WriteString(t.Format(layout))
		case format[i] == '%':
			text.WriteByte('%')
		default: // as Python's library leaves what it does not know
			text.WriteString(format[i-1 : i+1])
		}
	}
	return text.String()
}
