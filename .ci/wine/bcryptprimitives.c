// bcryptprimitives.dll for wine 8, which has none: Go's runtime asks it for random bytes.
// Windows brings its own, so this one is only for checks.
#include <windows.h>

// RtlGenRandom, by the name that advapi32 exports it under.
BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG size);

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE buffer, SIZE_T size) {
    const SIZE_T most = 1 << 20; // of one request: its size is a 32-bit number
    for (SIZE_T at = 0; at < size; at += most) {
        SIZE_T left = size - at;
        if (!SystemFunction036(buffer + at, (ULONG)(left < most ? left : most))) {
            return FALSE;
        }
    }
    return TRUE;
}
