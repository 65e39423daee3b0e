package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// loaderName is what programs ask the system for.
const loaderName = "libvulkan.so.1"

// dispatchName is what NVIDIA's Vulkan driver needs besides the loader, without saying so: where it is missing, as in
// containers without graphics, the driver's entry point gives nothing, and there is no device.
const dispatchName = "libGLdispatch.so.0"

// libraryFolders are where a library may lie that ldconfig does not tell of.
var libraryFolders = []string{"/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib",
	"/lib/x86_64-linux-gnu", "/lib64"}

// manifestFolders are where a loader looks for drivers by itself, on Linux.
var manifestFolders = []string{"/etc/vulkan/icd.d", "/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d",
	"/usr/local/etc/vulkan/icd.d"}

// strayManifests are patterns of drivers where a loader does not look: containers get NVIDIA's there.
var strayManifests = []string{
	"/usr/local/nvidia/share/vulkan/icd.d/*.json", "/usr/share/nvidia/vulkan/icd.d/*.json",
	"/opt/*/share/vulkan/icd.d/*.json",
}

// driverLibraries are where such drivers' libraries lie.
var driverLibraries = []string{"/usr/local/nvidia/lib64", "/usr/local/nvidia/lib"}

// findVulkan chooses the loader and the driver for every program of the kit, and says which. Elsewhere
// than on Linux the system brings both.
func (k *kit) findVulkan() {
	if runtime.GOOS != "linux" {
		return
	}
	var libraries []string
	switch {
	case k.Loader != "":
		folder := filepath.Dir(k.Loader)
		if filepath.Base(k.Loader) != loaderName { // Programs look for that name.
			folder = k.work
			if err := os.Symlink(k.Loader, filepath.Join(folder, loaderName)); err != nil {
				k.say("vulkan loader: %v", err)
			}
		}
		libraries = append(libraries, folder)
		k.say("vulkan loader: %s, as given", k.Loader)
	case systemLibrary(loaderName) != "":
		k.say("vulkan loader: %s", systemLibrary(loaderName))
	case exists(k.path("lib", loaderName)):
		libraries = append(libraries, k.path("lib"))
		k.say("vulkan loader: the kit's own, for the system has none")
	default:
		k.say("vulkan loader: none found; give one with --loader")
	}
	if systemLibrary(dispatchName) == "" && exists(k.path("lib", "gl", dispatchName)) {
		libraries = append(libraries, k.path("lib", "gl"))
		k.say("%s: the kit's own, for the system has none, and NVIDIA's driver needs it", dispatchName)
	}
	manifests := ""
	switch {
	case k.Driver != "":
		manifests = k.Driver
		k.say("vulkan driver: %s, as given", manifests)
	case os.Getenv("VK_DRIVER_FILES") != "" || os.Getenv("VK_ICD_FILENAMES") != "":
		k.say("vulkan driver: by the environment, %s%s", os.Getenv("VK_DRIVER_FILES"), os.Getenv("VK_ICD_FILENAMES"))
	default:
		found, stray := manifestsIn(manifestFolders), matches(strayManifests)
		// A stray driver counts beside the usual ones: a GPU's, where only software drivers are installed.
		if len(stray) > 0 {
			manifests = strings.Join(append(found, stray...), ":")
		}
		k.say("vulkan drivers: %s", orNone(append(found, stray...)))
	}
	if manifests != "" { // Loaders before 1.3.207 know the second name alone.
		k.env = append(k.env, "VK_DRIVER_FILES="+manifests, "VK_ICD_FILENAMES="+manifests)
	}
	for _, folder := range driverLibraries {
		if exists(folder) {
			libraries = append(libraries, folder)
		}
	}
	if len(libraries) > 0 {
		if before := os.Getenv("LD_LIBRARY_PATH"); before != "" {
			libraries = append(libraries, before)
		}
		k.env = append(k.env, "LD_LIBRARY_PATH="+strings.Join(libraries, ":"))
	}
}

// askLoader starts a program once more with the loader's own words in the log, and gives those that say
// why a driver did not load.
func (k *kit) askLoader(ctx context.Context, c command) (why []string) {
	if runtime.GOOS != "linux" {
		return nil
	}
	c.env = append(c.env, "VK_LOADER_DEBUG=all")
	e, _ := k.start(ctx, c) // Its failure is known; its words are what is asked for.
	for _, line := range strings.Split(e.words, "\n") {
		line = strings.TrimSpace(line)
		if (strings.HasPrefix(line, "ERROR") || strings.Contains(line, "cannot open shared object")) &&
			!slices.Contains(why, line) {
			why = append(why, line)
		}
	}
	return why
}

// systemLibrary is where programs find a library by themselves; "": nowhere.
func systemLibrary(name string) string {
	for _, ldconfig := range []string{"ldconfig", "/usr/sbin/ldconfig", "/sbin/ldconfig"} {
		out, err := exec.Command(ldconfig, "-p").Output()
		if err != nil {
			continue
		}
		for _, line := range strings.Split(string(out), "\n") {
			if entry, path, ok := strings.Cut(strings.TrimSpace(line), " => "); ok &&
				strings.HasPrefix(entry, name+" ") && exists(path) {
				return path
			}
		}
		return ""
	}
	for _, folder := range libraryFolders { // There is no ldconfig, as in small images.
		if path := filepath.Join(folder, name); exists(path) {
			return path
		}
	}
	return ""
}

func manifestsIn(folders []string) (list []string) {
	if home, err := os.UserHomeDir(); err == nil {
		folders = append([]string{filepath.Join(home, ".local/share/vulkan/icd.d")}, folders...)
	}
	for _, folder := range folders {
		list = append(list, matches([]string{filepath.Join(folder, "*.json")})...)
	}
	return list
}

func matches(patterns []string) (list []string) {
	for _, pattern := range patterns {
		found, _ := filepath.Glob(pattern) // A pattern of this file is well-formed.
		list = append(list, found...)
	}
	return list
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none found; give one with --driver"
	}
	return strings.Join(list, ", ")
}
