package checkpoint

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
)

// hashPiece is how many bytes of a tensor are held at a time.
const hashPiece = 4 << 20

// Hash is the SHA-256 of every tensor's name, type, shape and bytes, by name: the same for the same tensors in one
// file or in shards.
func (t *Tensors) Hash() (string, error) {
	sum := sha256.New()
	buf := make([]byte, hashPiece)
	for _, name := range slices.Sorted(slices.Values(t.names)) {
		info, _ := t.Info(name)
		fmt.Fprintf(sum, "%q %s %v\n", name, info.DType, info.Shape)
		for at := int64(0); at < info.Bytes(); {
			n := min(info.Bytes()-at, hashPiece)
			if err := t.ReadRaw(name, at, buf[:n]); err != nil {
				return "", err
			}
			sum.Write(buf[:n])
			at += n
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
