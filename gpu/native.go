package gpu

/*
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifndef _WIN32
#include <signal.h>
#include <unistd.h>
#endif

// The binding's own callbacks hand C the address of a Go local, which the
// garbage collector may move under it; these write only to C memory.
typedef void* handle;
extern void wgpuDeviceSetUncapturedErrorCallback(handle, void (*)(int, char const*, void*), void*);
extern void wgpuBufferMapAsync(handle, uint32_t, size_t, size_t, void (*)(int, void*), void*);

typedef struct { int set; char text[2048]; } message;

static void on_error(int type, char const* text, void* user) {
	message* m = user;
	if (m->set) return; // the first error is the cause
	strncpy(m->text, text, sizeof m->text - 1);
	m->set = 1;
}
static message* watch_errors(uintptr_t device) {
	message* m = calloc(1, sizeof *m);
	wgpuDeviceSetUncapturedErrorCallback((handle)device, on_error, m);
	return m;
}

static void on_map(int status, void* user) { *(volatile int*)user = status; }
static int* map_begin(uintptr_t buffer, size_t size) {
	int* s = malloc(sizeof *s);
	*s = -1;
	wgpuBufferMapAsync((handle)buffer, 1, 0, size, on_map, s);
	return s;
}
static int map_status(int* s) { return *(volatile int*)s; }

#ifndef _WIN32
static void on_abort(int sig) {
	static const char m[] = "steplm: error: the GPU library gave up (device lost or driver failure; its own words are above). "
		"The last checkpoint is whole: go on with --resume, or choose another --device.\n";
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

// The binding does not export its handles; these read them from its structs,
// Device{ref} and Buffer{deviceRef, ref}, as of v0.17.1.
func deviceHandle(d *wgpu.Device) C.uintptr_t { return *(*C.uintptr_t)(unsafe.Pointer(d)) }
func bufferHandle(b *wgpu.Buffer) C.uintptr_t { return (*[2]C.uintptr_t)(unsafe.Pointer(b))[1] }

var trapOnce sync.Once

// trapAbort turns an abort inside the native library into one line.
func trapAbort() { trapOnce.Do(func() { C.trap_abort() }) }

// errorWatch collects errors that no error scope caught.
type errorWatch struct{ m *C.message }

func watchErrors(d *wgpu.Device) errorWatch { return errorWatch{C.watch_errors(deviceHandle(d))} }

// take returns the first error since the last take.
func (w errorWatch) take() error {
	if w.m.set == 0 {
		return nil
	}
	err := errors.New(C.GoString(&w.m.text[0]))
	w.m.set = 0
	return err
}

// mapRead waits until the first size bytes of a MapRead buffer are mapped.
// Poll(true) would give up after five seconds and call it success.
func mapRead(d *wgpu.Device, b *wgpu.Buffer, size int, limit time.Duration) error {
	status := C.map_begin(bufferHandle(b), C.size_t(size))
	start := time.Now()
	for pause := time.Duration(0); C.map_status(status) == -1; {
		d.Poll(false, nil)
		if C.map_status(status) != -1 {
			break
		}
		if time.Since(start) > limit {
			// The callback may still fire: its word stays allocated.
			return fmt.Errorf("the GPU did not finish within %s: it hangs or was lost", limit.Round(time.Second))
		}
		if pause < time.Millisecond {
			pause += 20 * time.Microsecond
		}
		time.Sleep(pause)
	}
	s := C.map_status(status)
	C.free(unsafe.Pointer(status))
	if s != 0 {
		return fmt.Errorf("the GPU refused to map a buffer for reading (status %d): the device was probably lost", int(s))
	}
	return nil
}
