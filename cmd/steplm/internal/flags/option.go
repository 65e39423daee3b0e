package flags

import (
	"strings"

	"steplm/model/advice"
)

// Of spells an option: seq_len is --seq-len.
func Of(o advice.Option) string { return "--" + strings.ReplaceAll(string(o), "_", "-") }

// OptionOf is flagOf's inverse, of a flag's bare name.
func OptionOf(flag string) advice.Option { return advice.Option(strings.ReplaceAll(flag, "-", "_")) }
