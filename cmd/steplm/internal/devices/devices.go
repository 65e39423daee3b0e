// Package devices has the commands about what there is to compute on: which devices there are and whether they work,
// their tuning, and whether their compilers take every kernel. Other rooms tune a device by its TuneFlags.
package devices

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/view"
	"steplm/gpu"
	"steplm/gpu/selftest"
)

type devicesCmd struct {
	JSON bool `help:"Print JSON."`
}

// device is one line of the list.
type device struct {
	Index          *int   `json:"index,omitempty"` // none: the host
	Name           string `json:"name"`
	Driver         string `json:"driver,omitempty"`
	Backend        string `json:"backend"`
	Kind           string `json:"kind"`
	Binding        int64  `json:"max_binding_bytes"`
	Buffer         int64  `json:"max_buffer_bytes"`
	Groups         int    `json:"max_workgroups"`
	Invocations    int    `json:"max_invocations"`
	Workgroup      int    `json:"max_workgroup_memory_bytes"`
	StorageBuffers int    `json:"max_storage_buffers"`
	// Submission is the operations handed over at once, as long as the device's speed was not measured.
	Submission float64 `json:"submission_operations"`
	OK         bool    `json:"ok"` // the self-test's verdict
	Note       string  `json:"note,omitempty"`
}

func (c *devicesCmd) Run(ctx context.Context) error {
	adapters := gpu.Enumerate()
	var list []device
	for _, a := range adapters {
		if err := ctx.Err(); err != nil {
			return err
		}
		d := describe(a.Limits)
		d.Index, d.Name, d.Driver, d.Backend, d.Kind = &a.Index, a.Name, a.Driver, a.Backend, a.Kind
		d.told(flags.SelfTest(a, len(adapters) > 1))
		list = append(list, d)
	}
	host := gpu.NewHost()
	d := describe(host.Limits())
	d.Name, d.Backend, d.Kind = host.Name(), "host", "cpu"
	d.told(selftest.SelfTest(host))
	list = append(list, d)
	if err := c.print(list); err != nil {
		return err
	}
	if len(adapters) == 0 {
		return gpu.NoAdapter()
	}
	return nil
}

// told keeps what a self-test gave.
func (d *device) told(note string, err error) {
	if d.OK, d.Note = err == nil, note; err != nil {
		d.Note = err.Error()
	}
}

func describe(l gpu.Limits) device {
	return device{Binding: l.Binding, Buffer: l.Buffer, Groups: l.Groups, Invocations: l.Invocations,
		Workgroup: l.WorkgroupMemory, StorageBuffers: l.StorageBuffers, Submission: l.Budget}
}

func (c *devicesCmd) print(list []device) error {
	if c.JSON {
		return view.JSON(map[string]any{"devices": list})
	}
	rows := [][]string{{"--device", "name", "backend", "kind", "self-test", "binding", "buffer", "workgroups",
		"invocations", "storage buffers"}}
	var notes []string // which are too long for a column
	for _, d := range list {
		choice, result := "host", "passed"
		if d.Index != nil {
			choice = strconv.Itoa(*d.Index)
		}
		if !d.OK {
			result = "FAILED"
		}
		if d.Note != "" {
			notes = append(notes, choice+": "+d.Note)
		}
		row := []string{choice, d.Name, d.Backend, d.Kind, result}
		if d.Index != nil { // the host has no limits worth reading
			row = append(row, gpu.Bytes(d.Binding), gpu.Bytes(d.Buffer), strconv.Itoa(d.Groups),
				strconv.Itoa(d.Invocations), strconv.Itoa(d.StorageBuffers))
		}
		rows = append(rows, row)
	}
	view.Table(os.Stdout, 5, rows)
	if len(notes) > 0 {
		fmt.Printf("\n%s\n", strings.Join(notes, "\n"))
	}
	return nil
}
