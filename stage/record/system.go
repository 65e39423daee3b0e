package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
)

// SystemsFile says what a run ran on.
const SystemsFile = "systems.json"

// System is what a process of a run ran on.
type System struct {
	Device  string `json:"device"`    // by its full name
	Own     int64  `json:"own_bytes"` // that the device keeps for itself, whatever runs on it
	Program string `json:"program"`   // its version: of the module, or the revision
	Go      string `json:"go"`
	Target  string `json:"target"` // operating system and processor, such as linux/amd64
}

// ThisSystem is what this process runs on, with a device that keeps so many bytes for itself.
func ThisSystem(device string, own int64) System {
	return System{Device: device, Own: own, Program: program(), Go: runtime.Version(),
		Target: runtime.GOOS + "/" + runtime.GOARCH}
}

// program is the version of the program, as the go command notes it.
func program() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	text := info.Main.Version
	if revision := settings["vcs.revision"]; revision != "" {
		text += fmt.Sprintf(" (revision %.12s)", revision)
	}
	return text
}

// RunsOn keeps what a process runs on, unless the one before ran on the same.
func (f *Folder) RunsOn(s System) error {
	list, err := Systems(f.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if n := len(list); err != nil || n > 0 && list[n-1] == s {
		return err
	}
	return writeFile(filepath.Join(f.Dir, SystemsFile), append(list, s))
}

// Systems are what a run's processes ran on, in order, equal neighbours once; fs.ErrNotExist of a run of a version that
// did not keep it.
func Systems(dir string) (list []System, err error) {
	path := filepath.Join(dir, SystemsFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("%s cannot be understood (remove it: a run needs it not): %w", path, err)
	}
	return list, nil
}
