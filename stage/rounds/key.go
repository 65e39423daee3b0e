package rounds

import (
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
)

// KeyVariable is the environment's variable with the key.
const KeyVariable = "STEPLM_KEY"

// leastKey is the least characters of a key: 32 hexadecimal digits are 128 bits.
const leastKey = 32

// ErrNoKey is what asks for one.
var ErrNoKey = errors.New("rounds with other machines need a key, the same on all of them: make one with " +
	"`openssl rand -hex 32`, and give it in the environment's " + KeyVariable + " or in a file")

// Key is what all processes of a run share. Its zero value opens nothing.
type Key struct{ secret []byte }

// ReadKey takes the key of a file, which nobody else may read, or with path "" the environment's.
func ReadKey(path string) (Key, error) {
	if path == "" {
		text, ok := os.LookupEnv(KeyVariable)
		if !ok {
			return Key{}, ErrNoKey
		}
		return NewKey(text)
	}
	info, err := os.Stat(path)
	if err != nil {
		return Key{}, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return Key{}, fmt.Errorf("%s has the mode %#o: others can read the key; run chmod 600 on it, and if others "+
			"could log in make a new key", path, mode)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return Key{}, err
	}
	k, err := NewKey(string(text))
	if err != nil {
		return k, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}

// NewKey is a key of a text, the space around which does not count.
func NewKey(text string) (Key, error) {
	text = strings.TrimSpace(text)
	if len(text) < leastKey {
		return Key{}, fmt.Errorf("a key of %d characters: it needs at least %d, drawn at random, since who records a "+
			"connection could try all shorter ones", len(text), leastKey)
	}
	return Key{[]byte(text)}, nil
}

// of is the key of a run's name.
func (k Key) of(name string) ([]byte, error) {
	if len(k.secret) < leastKey {
		return nil, ErrNoKey
	}
	return hkdf.Key(sha256.New, k.secret, []byte("steplm rounds"), name, 32)
}
