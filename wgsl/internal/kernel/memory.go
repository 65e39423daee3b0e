package kernel

import "steplm/gpu"

// littleMemory is workgroup memory that every device has and every compiler takes in seconds: as much as 64 lanes of
// attention in bf16 share. DX12's takes minutes over more.
const littleMemory = 2560

// MostMemory is the bytes of workgroup memory that a kernel may have on a device.
func MostMemory(l gpu.Limits) int {
	if l.Shared {
		return l.WorkgroupMemory
	}
	return min(l.WorkgroupMemory, littleMemory)
}
