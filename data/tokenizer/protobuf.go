package tokenizer

import (
	"encoding/binary"
	"fmt"
)

// protoField is one field of a Protocol Buffers message.
type protoField struct {
	number int
	wire   int    // 0: varint, 1: 8 bytes, 2: bytes with their length, 5: 4 bytes
	value  uint64 // of wire types 0, 1 and 5
	bytes  []byte // of wire type 2
}

// eachField calls f with the fields of a message in their order. What f gets is not longer than the message, so that a
// hostile length costs no memory.
func eachField(message []byte, f func(protoField) error) error {
	whole := len(message)
	for len(message) > 0 {
		at := whole - len(message)
		key, n := binary.Uvarint(message)
		if n <= 0 || key>>3 == 0 || key>>3 >= 1<<29 {
			return fmt.Errorf("byte %d of %d begins no protobuf field: not a SentencePiece model, or damaged", at,
				whole)
		}
		message = message[n:]
		field := protoField{number: int(key >> 3), wire: int(key & 7)}
		size := 0
		switch field.wire {
		case 0:
			if field.value, size = binary.Uvarint(message); size <= 0 {
				return truncatedField(field, at, whole)
			}
		case 1:
			if size = 8; len(message) < size {
				return truncatedField(field, at, whole)
			}
			field.value = binary.LittleEndian.Uint64(message)
		case 2:
			length, n := binary.Uvarint(message)
			if n <= 0 || length > uint64(len(message)-n) {
				return truncatedField(field, at, whole)
			}
			size = n + int(length)
			field.bytes = message[n:size]
		case 5:
			if size = 4; len(message) < size {
				return truncatedField(field, at, whole)
			}
			field.value = uint64(binary.LittleEndian.Uint32(message))
		default:
			return fmt.Errorf("protobuf field %d at byte %d has the unknown wire type %d: not a SentencePiece "+
				"model, or damaged", field.number, at, field.wire)
		}
		message = message[size:]
		if err := f(field); err != nil {
			return err
		}
	}
	return nil
}

func truncatedField(field protoField, at, whole int) error {
	return fmt.Errorf("protobuf field %d at byte %d of %d goes past the end: the file is truncated or damaged",
		field.number, at, whole)
}
