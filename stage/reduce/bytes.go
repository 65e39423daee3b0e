package reduce

import (
	"strings"
	"unsafe"
)

// number is what messages consist of.
type number interface {
	int64 | float32 | uint16 | uint32
}

// bytesOf are the bytes of values, in the machine's order: all processes have the same program, so the same machine.
func bytesOf[T number](values []T) []byte {
	if len(values) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&values[0])), len(values)*int(unsafe.Sizeof(values[0])))
}

// valuesOf are the values whose bytes these are; they must be aligned.
func valuesOf[T number](b []byte) []T {
	if len(b) == 0 {
		return nil
	}
	var one T
	return unsafe.Slice((*T)(unsafe.Pointer(&b[0])), len(b)/int(unsafe.Sizeof(one)))
}

// aligned is memory for so many bytes, aligned for every number.
func aligned(n int) []byte {
	words := make([]int64, (n+7)/8)
	return bytesOf(words)[:n]
}

// listed is a list in prose.
func listed(words []string) string {
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
	return strings.Join(words, "")
}
