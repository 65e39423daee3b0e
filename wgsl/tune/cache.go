package tune

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"steplm/gpu"
	"steplm/internal/disk"
	"steplm/wgsl"
)

// Cache is what was found on one device, in a file of the user's.
type Cache struct {
	path      string // "": it is in memory alone
	file      cacheFile
	unwritten error // of the last result
}

// cacheFile is the file's JSON.
type cacheFile struct {
	Device  string            `json:"device"`  // adapter, backend, driver
	Kernels string            `json:"kernels"` // wgsl.TextHash
	Classes map[string]Result `json:"classes"`
}

// CacheDir is the folder of all caches: the system's for a user's caches.
func CacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no folder for what tuning finds, which is looked for again the next time: %w", err)
	}
	return filepath.Join(dir, "steplm", "tune"), nil
}

// OpenCache reads what dir has of a device, which may be nothing. A file that cannot
// be read as one is an empty cache, and warning says why. Without a dir it is in memory alone.
func OpenCache(dir string, d gpu.Device) (c *Cache, warning error) {
	c = &Cache{file: cacheFile{Device: gpu.Identity(d), Kernels: wgsl.TextHash(), Classes: map[string]Result{}}}
	if dir == "" {
		return c, nil
	}
	key := sha256.Sum256([]byte(c.file.Device + "\n" + c.file.Kernels))
	c.path = filepath.Join(dir, hex.EncodeToString(key[:])[:24]+".json")
	found, err := readCache(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err == nil && (found.Device != c.file.Device || found.Kernels != c.file.Kernels) {
		err = fmt.Errorf("%s is of device %q", c.path, found.Device)
	}
	if err != nil {
		return c, fmt.Errorf("what tuning found before is not used: %w", err)
	}
	c.merge(found)
	return c, nil
}

func readCache(path string) (f cacheFile, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return f, err
	}
	if err := json.Unmarshal(b, &f); err != nil {
		return f, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// merge takes what is new.
func (c *Cache) merge(f cacheFile) {
	for class, r := range f.Classes {
		if _, ok := c.file.Classes[class]; !ok {
			c.file.Classes[class] = r
		}
	}
}

// Path is the file.
func (c *Cache) Path() string { return c.path }

// Forget has everything tried out again. The file is as it was until Add.
func (c *Cache) Forget() { clear(c.file.Classes) }

// Find is what was found for a class.
func (c *Cache) Find(class string) (Result, bool) {
	r, ok := c.file.Classes[class]
	return r, ok
}

// Unwritten is why what was added is not in the file, which the next process then finds anew; nil: it is.
func (c *Cache) Unwritten() error { return c.unwritten }

// Add keeps a result and writes the file, whole or not at all, together with what
// another process has added meanwhile. Where it cannot be written the result is
// kept all the same, see Unwritten.
func (c *Cache) Add(r Result) {
	c.file.Classes[r.Class] = r
	if c.path != "" {
		c.unwritten = c.write()
	}
}

func (c *Cache) write() error {
	if found, err := readCache(c.path); err == nil {
		c.merge(found)
	}
	b, err := json.MarshalIndent(c.file, "", "\t")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(c.path), 0o755); err != nil {
		return err
	}
	return disk.WriteFile(c.path, append(b, '\n'))
}
