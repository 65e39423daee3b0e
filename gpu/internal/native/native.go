// Package native is what the wgpu binding lacks or does in a way that Go does not allow: waiting for a buffer to be
// mapped, errors as they come, one dispatch in one call of C, and an end in one line where the library aborts.
package native

/*
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifndef _WIN32
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>
#endif

// What was freed goes back to the system, where the C library has a way to say so.
#ifdef __GLIBC__
#include <malloc.h>
static void give_back(void) { malloc_trim(0); }
#else
static void give_back(void) {}
#endif

// The binding's own callbacks hand C the address of a Go local, which the
// garbage collector may move under it; these write only to C memory.
typedef void* handle;
extern void wgpuDeviceSetUncapturedErrorCallback(handle, void (*)(int, char const*, void*), void*);
extern void wgpuBufferMapAsync(handle, uint32_t, size_t, size_t, void (*)(int, void*), void*);

extern void wgpuComputePassEncoderSetPipeline(handle, handle);
extern void wgpuComputePassEncoderSetBindGroup(handle, uint32_t, handle, size_t, uint32_t const*);
extern void wgpuComputePassEncoderDispatchWorkgroups(handle, uint32_t, uint32_t, uint32_t);

// One dispatch in one call from Go; pipeline is 0 where it is the one that is set.
static void dispatch(uintptr_t pass, uintptr_t pipeline, uintptr_t group, uint32_t offset,
	uint32_t x, uint32_t y, uint32_t z) {
	if (pipeline) wgpuComputePassEncoderSetPipeline((handle)pass, (handle)pipeline);
	wgpuComputePassEncoderSetBindGroup((handle)pass, 0, (handle)group, 1, &offset);
	wgpuComputePassEncoderDispatchWorkgroups((handle)pass, x, y, z);
}

// What the callbacks of one device say. It lives as long as they may come.
typedef struct {
	volatile int map;   // status of the last map request, -1: none yet
	volatile int error; // text holds an error
	char text[2048];
} watch;

static void on_error(int type, char const* text, void* user) {
	watch* w = user;
	if (w->error) return; // the first error is the cause
	strncpy(w->text, text ? text : "unknown error", sizeof w->text - 1);
	w->error = 1;
}
static watch* watch_device(uintptr_t device) {
	watch* w = calloc(1, sizeof *w);
	if (w) wgpuDeviceSetUncapturedErrorCallback((handle)device, on_error, w);
	return w;
}

static void on_map(int status, void* user) { ((watch*)user)->map = status; }
static void map_begin(watch* w, uintptr_t buffer, size_t size) {
	w->map = -1;
	wgpuBufferMapAsync((handle)buffer, 1, 0, size, on_map, w);
}
static int map_status(watch* w) { return w->map; }
static int has_error(watch* w) { return w->error; }
static void clear_error(watch* w) { w->error = 0; }

// How many bytes of addresses the process may have; 0: any number.
#ifndef _WIN32
static uint64_t address_limit(void) {
	struct rlimit r;
	if (getrlimit(RLIMIT_AS, &r) || r.rlim_cur == RLIM_INFINITY) return 0;
	return r.rlim_cur;
}
#else
static uint64_t address_limit(void) { return 0; }
#endif

// Below this Go's runtime ends with a dump, some of it before any Go code: seen up to
// 1.6 GB of addresses, which Go and its threads reserve and do not use.
#ifdef __linux__
#define LEAST_ADDRESSES (2048ull << 20)
__attribute__((constructor)) static void refuse_small(void) {
	uint64_t n = address_limit();
	if (n == 0 || n >= LEAST_ADDRESSES) return;
	dprintf(2, "steplm: error: this process may have %llu MiB of addresses (ulimit -v), and needs at least %llu MiB, "
		"with a GPU's driver more: raise that limit\n", (unsigned long long)(n >> 20), LEAST_ADDRESSES >> 20);
	_exit(1);
}
#endif

#ifndef _WIN32
static void on_abort(int sig) {
	static const char m[] = "steplm: error: the GPU library gave up (device lost or driver failure; "
		"its own words are above). "
		"The last checkpoint is whole: resume the run, or choose another device.\n";
	if (write(2, m, sizeof m - 1)) {}
	_exit(1);
}
static void trap_abort(void) {
	struct sigaction a;
	memset(&a, 0, sizeof a);
	a.sa_handler = on_abort;
	a.sa_flags = SA_ONSTACK;
	sigaction(SIGABRT, &a, 0);
}
#else
// Rust ends a Windows process by fast-fail, which no handler sees; it prints its
// own message first, and Go prints nothing.
static void trap_abort(void) {}
#endif
*/
import "C"

import (
	"errors"
	"fmt"
	"sync"
	"time"
	"unsafe"

	"github.com/rajveermalviya/go-webgpu/wgpu"
)

// The binding does not export its handles; these read them from its structs, as of
// v0.17.1: Device, ComputePipeline and BindGroup are {ref}, Buffer and
// ComputePassEncoder {deviceRef, ref}.
func deviceHandle(d *wgpu.Device) C.uintptr_t { return *(*C.uintptr_t)(unsafe.Pointer(d)) }
func bufferHandle(b *wgpu.Buffer) C.uintptr_t { return (*[2]C.uintptr_t)(unsafe.Pointer(b))[1] }

// Dispatch records one dispatch: the pipeline, unless nil, and the group at offset,
// in one call of C instead of the binding's three.
func Dispatch(pass *wgpu.ComputePassEncoder, p *wgpu.ComputePipeline, g *wgpu.BindGroup, offset int, n [3]int) {
	var pipeline C.uintptr_t
	if p != nil {
		pipeline = *(*C.uintptr_t)(unsafe.Pointer(p))
	}
	C.dispatch((*[2]C.uintptr_t)(unsafe.Pointer(pass))[1], pipeline, *(*C.uintptr_t)(unsafe.Pointer(g)),
		C.uint32_t(offset), C.uint32_t(n[0]), C.uint32_t(n[1]), C.uint32_t(n[2]))
}

// AddressLimit is how many bytes of addresses the process may have; 0: any number.
func AddressLimit() int64 { return int64(C.address_limit()) }

// GiveBack returns freed memory of the native library to the system.
func GiveBack() { C.give_back() }

var trapOnce sync.Once

// TrapAbort turns an abort inside the native library into one line.
func TrapAbort() { trapOnce.Do(func() { C.trap_abort() }) }

// Watch is what a device's callbacks have said: the status of a map request,
// and the first error that no error scope caught.
type Watch struct{ c *C.watch }

// WatchDevice begins to listen to a device.
func WatchDevice(d *wgpu.Device) Watch { return Watch{C.watch_device(deviceHandle(d))} }

// Free gives the memory back; no callback may come any more.
func (w Watch) Free() { C.free(unsafe.Pointer(w.c)) }

// Take returns the first error since the last Take.
func (w Watch) Take() error {
	if C.has_error(w.c) == 0 {
		return nil
	}
	err := errors.New(C.GoString(&w.c.text[0]))
	C.clear_error(w.c)
	return err
}

// MapRead waits until the first size bytes of a MapRead buffer are mapped.
// Poll(true) would give up after five seconds and call it success. After an
// error the request may still be pending: the device must not be used again.
func (w Watch) MapRead(d *wgpu.Device, b *wgpu.Buffer, size int, limit time.Duration) error {
	C.map_begin(w.c, bufferHandle(b), C.size_t(size))
	start := time.Now()
	for pause := time.Duration(0); C.map_status(w.c) == -1; {
		d.Poll(false, nil)
		if C.map_status(w.c) != -1 {
			break
		}
		if time.Since(start) > limit {
			return fmt.Errorf("the GPU did not finish within %s: it hangs or was lost", limit.Round(time.Second))
		}
		if pause < time.Millisecond {
			pause += 20 * time.Microsecond
		}
		time.Sleep(pause)
	}
	if s := C.map_status(w.c); s != 0 {
		return fmt.Errorf("the GPU refused to map a buffer for reading (status %d): the device was probably lost",
			int(s))
	}
	return nil
}
