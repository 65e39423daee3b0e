// hold FILE...: holds files open as a virus scanner does, so that nobody can write, rename or remove them, until it is
// ended. It makes FILE.held beside the last one once it holds them all.
#include <stdio.h>
#include <wchar.h>
#include <windows.h>

int wmain(int count, wchar_t **files) {
    wchar_t held[MAX_PATH];
    for (int i = 1; i < count; i++) {
        if (CreateFileW(files[i], GENERIC_READ, FILE_SHARE_READ, 0, OPEN_EXISTING, 0, 0) == INVALID_HANDLE_VALUE) {
            fwprintf(stderr, L"hold: %ls: error %lu\n", files[i], GetLastError());
            return 1;
        }
    }
    swprintf(held, MAX_PATH, L"%ls.held", files[count - 1]);
    CloseHandle(CreateFileW(held, GENERIC_WRITE, 0, 0, CREATE_ALWAYS, 0, 0));
    Sleep(INFINITE);
    return 0;
}
