package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// listed is a device as `steplm devices --json` has it.
type listed struct {
	Index          *int    `json:"index"`
	Name           string  `json:"name"`
	Driver         string  `json:"driver"`
	Backend        string  `json:"backend"`
	Kind           string  `json:"kind"`
	Binding        int64   `json:"max_binding_bytes"`
	Buffer         int64   `json:"max_buffer_bytes"`
	Groups         int     `json:"max_workgroups"`
	Invocations    int     `json:"max_invocations"`
	Workgroup      int     `json:"max_workgroup_memory_bytes"`
	StorageBuffers int     `json:"max_storage_buffers"`
	Submission     float64 `json:"submission_operations"`
	OK             bool    `json:"ok"`
	Note           string  `json:"note"`
}

// selfTest lists the devices, tests each, and keeps what the chosen one is.
func selfTest(ctx context.Context, k *kit, r *result) error {
	r.set("system", runtime.GOOS+"/"+runtime.GOARCH+osRelease())
	r.set("cpus", float64(runtime.NumCPU()))
	var found struct {
		Devices []listed `json:"devices"`
	}
	list := command{args: []string{filepath.Join(k.work, program("steplm")), "devices", "--json"}}
	if _, err := k.startJSON(ctx, list, &found); err != nil {
		k.noDevice = true
		for _, why := range k.askLoader(ctx, list) {
			r.fail("Vulkan loader: %s", why)
		}
		return fmt.Errorf("steplm does not start here or finds no device: %w", err)
	}
	var names []string
	for _, d := range found.Devices {
		verdict := "passed"
		if !d.OK {
			verdict = "FAILED"
		}
		names = append(names, fmt.Sprintf("%s (%s, %s): %s %s", d.Name, d.Backend, d.Kind, verdict, d.Note))
	}
	r.set("devices", names)
	d, err := k.choose(found.Devices)
	if err != nil {
		return err
	}
	k.summary.Device, k.summary.Driver, k.summary.kind = d.Name, d.Backend+" "+d.Driver, d.Kind
	k.say("device: %s (%s, %s), driver %s", d.Name, d.Backend, d.Kind, orUnknown(d.Driver))
	k.say("limits: %d bytes a binding, %d a buffer, %d workgroups, %d invocations, %d bytes of workgroup memory, "+
		"%d storage buffers",
		d.Binding, d.Buffer, d.Groups, d.Invocations, d.Workgroup, d.StorageBuffers)
	for _, limit := range []struct {
		name  string
		value float64
	}{
		{"max_binding_bytes", float64(d.Binding)}, {"max_buffer_bytes", float64(d.Buffer)},
		{"max_workgroups", float64(d.Groups)},
		{"max_invocations", float64(d.Invocations)}, {"max_workgroup_memory_bytes", float64(d.Workgroup)},
		{"max_storage_buffers", float64(d.StorageBuffers)}, {"submission_operations", d.Submission},
	} {
		r.set(limit.name, limit.value)
	}
	if used, total, ok := deviceMemory(ctx); ok {
		r.set("device_memory_bytes", total)
		r.set("device_memory_used_before_bytes", used)
	}
	if !d.OK {
		r.fail("self-test of %s: %s", d.Name, d.Note)
	}
	return nil
}

// choose is the device that --device names, as steplm would take it: without it the first that passes its self-test, or
// where none does the first. Tests would take the first of all, so that every stage names the one that was chosen.
func (k *kit) choose(list []listed) (listed, error) {
	if k.Device == "" {
		for _, passes := range []bool{true, false} {
			for _, d := range list {
				if d.Index != nil && (d.OK || !passes) {
					k.Device = strconv.Itoa(*d.Index)
					return d, nil
				}
			}
		}
		return listed{}, errors.New("no device is listed but plain Go")
	}
	for i, d := range list {
		index, err := strconv.Atoi(k.Device)
		switch {
		case err == nil && d.Index != nil && *d.Index == index,
			err != nil && (strings.EqualFold(k.Device, d.Backend) ||
				strings.Contains(strings.ToLower(d.Name), strings.ToLower(k.Device))):
			return list[i], nil
		}
	}
	return listed{}, fmt.Errorf("there is no device %q among those listed", k.Device)
}

// osRelease is the distribution, on Linux.
func osRelease() string {
	b, _ := os.ReadFile("/etc/os-release")
	for _, line := range strings.Split(string(b), "\n") {
		if name, ok := strings.CutPrefix(line, "PRETTY_NAME="); ok {
			return ", " + strings.Trim(name, `"`)
		}
	}
	return ""
}
