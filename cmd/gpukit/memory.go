package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// deviceMemory is the bytes of the first GPU's memory that its driver says are used, and all of it;
// ok is false where no driver says so: NVIDIA's does by nvidia-smi, AMD's on Linux by files.
func deviceMemory(ctx context.Context) (used, total float64, ok bool) {
	if smi := nvidiaSMI(); smi != "" {
		out, err := exec.CommandContext(ctx, smi, "--query-gpu=memory.used,memory.total",
			"--format=csv,noheader,nounits").Output()
		first, _, _ := strings.Cut(string(out), "\n")
		a, b, both := strings.Cut(first, ",")
		if err == nil && both {
			used, err1 := strconv.ParseFloat(strings.TrimSpace(a), 64)
			total, err2 := strconv.ParseFloat(strings.TrimSpace(b), 64)
			return used * (1 << 20), total * (1 << 20), err1 == nil && err2 == nil
		}
	}
	list, _ := filepath.Glob("/sys/class/drm/card*/device/mem_info_vram_used")
	for _, path := range list {
		a, err1 := readNumber(path)
		b, err2 := readNumber(strings.TrimSuffix(path, "used") + "total")
		if err1 == nil && err2 == nil {
			return a, b, true
		}
	}
	return 0, 0, false
}

// nvidiaSMI is NVIDIA's tool; "": it is not here.
func nvidiaSMI() string {
	for _, name := range []string{"nvidia-smi", "/usr/bin/nvidia-smi", "/usr/local/nvidia/bin/nvidia-smi"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

func readNumber(path string) (float64, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(strings.TrimSpace(string(b)), 64)
}

// watchMemory notes the most memory that the driver says is used beyond what is used now, until the
// returned function is called, which returns it; 0 where no driver says so.
func watchMemory(ctx context.Context) (most func() float64) {
	before, _, ok := deviceMemory(ctx)
	if !ok {
		return func() float64 { return 0 }
	}
	done, peak := make(chan struct{}), before
	var wait sync.WaitGroup
	wait.Go(func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-ctx.Done():
				return
			case <-tick.C:
				if now, _, ok := deviceMemory(ctx); ok {
					peak = max(peak, now)
				}
			}
		}
	})
	return func() float64 {
		close(done)
		wait.Wait()
		return peak - before
	}
}
