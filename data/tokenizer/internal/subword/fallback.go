package subword

import (
	"fmt"
	"strconv"
)

// noToken is no id.
const noToken = ^uint32(0)

// FallbackByte reads a token such as <0x0A>.
func FallbackByte(token string) (byte, bool) {
	if len(token) != len("<0x0A>") || token[:3] != "<0x" || token[5] != '>' {
		return 0, false
	}
	b, err := strconv.ParseUint(token[3:5], 16, 8)
	return byte(b), err == nil
}

// fallbackBytes finds the tokens that stand for bytes, noToken where there is none.
func fallbackBytes(vocab map[string]uint32) (ids [256]uint32, all bool) {
	all = true
	for b := range ids {
		id, ok := vocab[fmt.Sprintf("<0x%02X>", b)]
		if !ok {
			id, all = noToken, false
		}
		ids[b] = id
	}
	return ids, all
}
