// A Vulkan loader that makes mistakes on purpose. The tests build it as
// libvulkan.so.1 and put it before the real one, to which it forwards:
//
//	FAULTVK_REAL  path of the real loader
//	FAULTVK       CALL:FROM:RESULT; from its FROM-th use on, CALL returns RESULT
//	FAULTVK_ADAPTER  if set, FAULTVK is of that adapter's device alone, as the real loader counts them from 0
//
//	FAULTVK_HEAP  bytes; vkAllocateMemory fails where more would be allocated at once
//	FAULTVK_COUNT vkAllocateMemory fails beyond so many allocations at once
//
// A program may set FAULTVK while it runs; uses are counted from then on.
// RESULT is a VkResult. Two more, for vkQueueSubmit, are what a driver would not
// admit: "drop" signals completion without doing the work; "hang" never signals,
// and keeps hanging even when FAULTVK goes.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void (*Function)(void);
typedef Function (*Lookup)(void *, const char *);
typedef uintptr_t Word;
typedef int (*Call)(Word, Word, Word, Word, Word, Word);

static char plan[96], fault[64], result[16];
static int from, uses, hangs;
static Lookup instance_lookup, device_lookup;

// The calls that can fail. None has more than six arguments, each a word.
#define CALLS(X) \
	X(vkMapMemory) \
	X(vkCreateBuffer) \
	X(vkCreateShaderModule) \
	X(vkCreateDescriptorPool) \
	X(vkAllocateDescriptorSets) \
	X(vkCreateComputePipelines) \
	X(vkAllocateCommandBuffers) \
	X(vkBeginCommandBuffer) \
	X(vkEndCommandBuffer) \
	X(vkWaitSemaphores) \
	X(vkWaitSemaphoresKHR) \
	X(vkGetSemaphoreCounterValue) \
	X(vkGetSemaphoreCounterValueKHR) \
	X(vkWaitForFences) \
	X(vkGetFenceStatus)

// The adapters, and which of them the last device was made of.
enum { ADAPTERS = 16 };
static Word adapters[ADAPTERS];
static int opened = -1;

// due tells whether this use of a call is to fail.
static int due(const char *call) {
	const char *now = getenv("FAULTVK"), *only = getenv("FAULTVK_ADAPTER");
	if (!now || strlen(now) >= sizeof plan || (only && atoi(only) != opened))
		return 0;
	if (strcmp(now, plan)) {
		strcpy(plan, now);
		uses = 0;
		if (sscanf(plan, "%63[^:]:%d:%15s", fault, &from, result) != 3) {
			fprintf(stderr, "faultvk: FAULTVK=%s is not CALL:FROM:RESULT\n", plan);
			exit(3);
		}
	}
	return !strcmp(call, fault) && ++uses >= from;
}

// The allocations that live, of a device that has little memory or room for few.
typedef struct {
	int type;
	const void *next;
	uint64_t size;
} Allocate;

enum { MOST = 1 << 14, NO_DEVICE_MEMORY = -2, TOO_MANY_OBJECTS = -10 };
static struct {
	Word memory;
	uint64_t size;
} live[MOST];
static uint64_t held, count;

static uint64_t limit(const char *name) {
	const char *text = getenv(name);
	return text ? strtoull(text, 0, 10) : UINT64_MAX;
}

static int allocate(Call real, Word device, Word info, Word allocator, Word memory) {
	uint64_t size = ((Allocate *)info)->size;
	if (held + size > limit("FAULTVK_HEAP"))
		return NO_DEVICE_MEMORY;
	if (count >= limit("FAULTVK_COUNT"))
		return TOO_MANY_OBJECTS;
	int failed = real(device, info, allocator, memory, 0, 0);
	for (int i = 0; !failed && i < MOST; i++)
		if (!live[i].memory) {
			live[i].memory = *(Word *)memory;
			live[i].size = size;
			held += size;
			count++;
			break;
		}
	return failed;
}

static Call real_vkAllocateMemory;
static int hook_vkAllocateMemory(Word device, Word info, Word allocator, Word memory, Word e, Word f) {
	return due("vkAllocateMemory") ? atoi(result) : allocate(real_vkAllocateMemory, device, info, allocator, memory);
}

static Call real_vkFreeMemory;
static int hook_vkFreeMemory(Word device, Word memory, Word allocator, Word d, Word e, Word f) {
	for (int i = 0; memory && i < MOST; i++)
		if (live[i].memory == memory) {
			live[i].memory = 0;
			held -= live[i].size;
			count--;
			break;
		}
	return real_vkFreeMemory(device, memory, allocator, d, e, f);
}

#define HOOK(name) \
	static Call real_##name; \
	static int hook_##name(Word a, Word b, Word c, Word d, Word e, Word f) { \
		return due(#name) ? atoi(result) : real_##name(a, b, c, d, e, f); \
	}
CALLS(HOOK)

static Call real_vkEnumeratePhysicalDevices;
static int hook_vkEnumeratePhysicalDevices(Word instance, Word count, Word list, Word d, Word e, Word f) {
	int code = real_vkEnumeratePhysicalDevices(instance, count, list, d, e, f);
	for (uint32_t i = 0; list && i < *(uint32_t *)count && i < ADAPTERS; i++)
		adapters[i] = ((Word *)list)[i];
	return code;
}

static Call real_vkCreateDevice;
static int hook_vkCreateDevice(Word adapter, Word b, Word c, Word d, Word e, Word f) {
	for (int i = 0; i < ADAPTERS; i++)
		if (adapters[i] == adapter)
			opened = i;
	return due("vkCreateDevice") ? atoi(result) : real_vkCreateDevice(adapter, b, c, d, e, f);
}

// The head of VkSubmitInfo, as far as the counts.
typedef struct {
	int type;
	const void *next;
	uint32_t waits;
	const void *wait, *stages;
	uint32_t commands;
	const void *command;
	uint32_t signals;
	const void *signal;
} Submit;

static Call real_vkQueueSubmit;
static int hook_vkQueueSubmit(Word queue, Word count, Word submits, Word fence, Word e, Word f) {
	if (hangs)
		return 0;
	if (due("vkQueueSubmit")) {
		hangs = !strcmp(result, "hang");
		if (hangs)
			return 0;
		if (strcmp(result, "drop"))
			return atoi(result);
		for (Word i = 0; i < count; i++)
			((Submit *)submits)[i].commands = 0;
	}
	return real_vkQueueSubmit(queue, count, submits, fence, e, f);
}

static Function hook_device_lookup(void *device, const char *name);

static Function hooked(const char *name, Function real) {
#define REPLACE(call) \
	if (real && !strcmp(name, #call)) { \
		real_##call = (Call)real; \
		return (Function)hook_##call; \
	}
	CALLS(REPLACE)
	REPLACE(vkEnumeratePhysicalDevices)
	REPLACE(vkCreateDevice)
	REPLACE(vkAllocateMemory)
	REPLACE(vkFreeMemory)
	REPLACE(vkQueueSubmit)
	if (real && !strcmp(name, "vkGetDeviceProcAddr")) {
		device_lookup = (Lookup)real;
		return (Function)hook_device_lookup;
	}
	return real;
}

static Function hook_device_lookup(void *device, const char *name) { return hooked(name, device_lookup(device, name)); }

Function vkGetInstanceProcAddr(void *instance, const char *name) {
	if (!instance_lookup) {
		const char *path = getenv("FAULTVK_REAL");
		void *real = dlopen(path ? path : "", RTLD_NOW | RTLD_LOCAL);
		instance_lookup = real ? (Lookup)dlsym(real, "vkGetInstanceProcAddr") : 0;
		if (!instance_lookup) {
			fprintf(stderr, "faultvk: no Vulkan loader in FAULTVK_REAL: %s\n", dlerror());
			exit(3);
		}
	}
	return hooked(name, instance_lookup(instance, name));
}
