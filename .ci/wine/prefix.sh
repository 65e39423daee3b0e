# Read by scripts that run steplm.exe under wine: `. .ci/wine/prefix.sh`. They have set WINEPREFIX.

PATH=$PATH:/usr/lib/wine # where Debian keeps wine64
export WINEARCH=win64 WINEDEBUG=-all

# make_prefix makes WINEPREFIX, unless an earlier run did, with the DLL that Go's runtime wants and wine 8 lacks.
make_prefix() { # ROOT-OF-THE-REPOSITORY
    if [ -f "$WINEPREFIX/steplm" ]; then return; fi
    echo "making a prefix for wine, once: $WINEPREFIX" >&2
    rm -rf "$WINEPREFIX"
    mkdir -p "$WINEPREFIX"
    # Neither .NET nor a browser is wanted.
    local log=$WINEPREFIX/wineboot.log
    if ! WINEDLLOVERRIDES='mscoree,mshtml=' xvfb-run -a wine64 wineboot -i </dev/null >"$log" 2>&1; then
        echo "wine could not make its prefix: see $log" >&2
        return 1
    fi
    x86_64-w64-mingw32-gcc -O2 -Wall -shared -o "$WINEPREFIX/drive_c/windows/system32/bcryptprimitives.dll" \
        "$1/.ci/wine/bcryptprimitives.c" -ladvapi32
    touch "$WINEPREFIX/steplm" # the prefix is whole
}

# on_screen runs a command with a screen for wine. Without the server's end wine's desktop would outlive the screen,
# and complain.
on_screen() { xvfb-run -a sh -c '"$@"; code=$?; wineserver64 -k; exit $code' sh "$@"; }
