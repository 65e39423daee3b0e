# The commands of this repository. Where `just` is not installed, `./justw` gets it and runs it.
# Arguments after a recipe's name go to the program it runs: `just plan --model 60m --stages 2`.

set positional-arguments

# The WebGPU library is linked through cgo; a machine's own setting must not switch that off.
export CGO_ENABLED := "1"

# `test` names lavapipe's adapter, so that it computes the same beside a GPU; macOS and Windows have none.
lavapipe := if os() == "linux" { "llvmpipe" } else { "" }

swiftshader := "/usr/lib/chromium/vk_swiftshader_icd.json"

# Packages that a third driver is shown; CI takes those of a few tests.
shown := "./gpu/... ./wgsl/... ./stage ./stage/trainer ./stage/stories"

# Tests are linked without what only debuggers read, which takes almost half as long.
link := "-ldflags=-w"

# Packages that are tested at once: one more than there are cores, since some wait for processes and clocks.
packages := "-p $((" + num_cpus() + " + 1))"

staticcheck := "honnef.co/go/tools/cmd/staticcheck@v0.8.2"

# list the recipes
[private]
default:
    @'{{ just_executable() }}' --justfile '{{ justfile() }}' --list --unsorted

# train a tiny model by STEP on the embedded corpus and tell what happened
[no-exit-message]
demo *args: build
    bin/steplm demo "$@"

# the demo in a minute or so, in a temporary folder
[no-exit-message]
smoke *args: build
    dir=$(mktemp -d) && bin/steplm demo --steps 48 --dir "$dir" "$@" && rm -r "$dir"

# run every test, on the host device and on lavapipe, which must be there; data/datatest says where other programs' data are
test *args: (setup "lavapipe")
    LP_NUM_THREADS="${LP_NUM_THREADS-0}" STEPLM_GPU=require STEPLM_DEVICE="${STEPLM_DEVICE-{{ lavapipe }}}" \
        go test -timeout 30m {{ packages }} {{ link }} "$@" ./...

# run every test that needs no device, in under three minutes; on Linux drivers are hidden, so that none is used
test-host *args: setup
    STEPLM_GPU= VK_DRIVER_FILES=/nowhere VK_ICD_FILENAMES=/nowhere go test {{ link }} "$@" ./...

# run the tests that use a device, on the GPU (or on the adapter that STEPLM_DEVICE names)
test-gpu *args: setup
    STEPLM_GPU=require go test -timeout 30m -count=1 "$@" ./gpu/... ./wgsl/... ./model/...

# run the tests of the device, of kernels and of training on a third Vulkan driver, Chromium's SwiftShader (Debian)
test-swiftshader *args: (setup "swiftshader")
    STEPLM_GPU=require STEPLM_DEVICE=swiftshader VK_DRIVER_FILES={{ swiftshader }} VK_ICD_FILENAMES={{ swiftshader }} \
        go test -timeout 30m -count=1 {{ link }} "$@" {{ shown }}

# run the tests of reports in headless Chromium (Debian's), which must be there; `test` skips them where it is not
test-browser *args: (setup "chromium")
    STEPLM_BROWSER=require go test -count=1 -run Browser ./cmd/steplm/internal/report "$@"

# run the tests of several processes with Open MPI (Debian), or with what STEPLM_MPIRUN lists; `test` skips them without
test-mpi *args: (setup "mpi")
    STEPLM_MPIRUN="${STEPLM_MPIRUN-require}" go test -count=1 -run 'Process|Launcher|MPI' ./stage/... \
        ./cmd/steplm/internal/processes "$@"

# run the tests of several machines, which are made out of this one (Debian, root): mpirun over ssh, Slurm, mDNS; it installs sshd and Slurm
test-lab *args: (setup "lavapipe" "mpi" "lab")
    STEPLM_LAB=require STEPLM_MPIRUN="${STEPLM_MPIRUN-require}" go test -count=1 {{ link }} \
        -run 'Machine|Slurm|Laptop' ./cmd/steplm/internal/processes "$@"

# rewrite the golden files of every package that has some; review the result as a diff
golden: (setup "lavapipe")
    go test $(grep -rl --include='*_test.go' 'flag.Bool("update"' . | xargs -n 1 dirname | sort -u) -update

# measure the device: products, attention, training steps, STEP against vanilla; docs/benchmarks.md
[no-exit-message]
bench *args: build
    bin/steplm bench all "$@"

# make bin/gpu-kit, a folder that measures a GPU on a machine that has nothing
[no-exit-message]
gpu-kit: (setup "lavapipe")
    .ci/gpu-kit

# make the GPU kit and run it here: tests, rates, steps, PyTorch beside them; cmd/gpukit/kit/README.md
[no-exit-message]
bench-gpu *args: gpu-kit
    bin/gpu-kit/run.sh "$@"

# Go's own benchmarks, of kernels, the device and the data path
bench-go *args: setup
    go test -run '^$' -bench . "$@" ./wgsl/... ./gpu/... ./data/... ./model/...

# trace a few steps of a tiny model, in a temporary folder, and print the time by kernel
[no-exit-message]
trace *args: build
    #!/bin/sh
    set -eu
    dir=$(mktemp -d)
    trap 'rm -r "$dir"' EXIT
    bin/steplm demo --steps 4 --dir "$dir" > "$dir/demo.txt"
    bin/steplm pretrain --model tiny --data "$dir/demo-data/train*" --tokenizer "$dir/demo-data/tokenizer.json" --out "$dir/run" \
        --steps 10 --seq-len 128 --save-every 0 --eval-tokens 0 --trace trace.json "$@"

# run a set of small trainings with the program of a revision and with this one, and compare them bit for bit
[no-exit-message]
same-bits revision: (setup "lavapipe")
    go run ./.ci/same-bits "{{ revision }}"

# compute what every stage of a run needs, in bytes by class; no device is needed
[no-exit-message]
plan *args: build
    bin/steplm plan "$@"

# check the style with gofmt, vet, staticcheck and by columns and sentences, and compile every shader through the binding
lint: (setup "lavapipe")
    @unformatted=$(gofmt -l .); if [ -n "$unformatted" ]; then echo "not as gofmt writes them:" $unformatted >&2; exit 1; fi
    go vet ./... ./.ci/same-bits
    go run {{ staticcheck }} ./... ./.ci/same-bits
    go test -count=1 -run Style ./cmd/steplm
    STEPLM_GPU=require go test -count=1 -run 'Shaders|Expanded' ./wgsl/...

# check that packages import only what the architecture allows
arch: setup
    go test -count=1 -run Architecture ./cmd/steplm

# build bin/steplm
build: setup
    go build -trimpath -buildvcs=false -o bin/ ./cmd/steplm

# build bin/steplm.exe for Windows, on any system, by MinGW-w64's gcc
build-windows: (setup "mingw")
    GOOS=windows GOARCH=amd64 CC=x86_64-w64-mingw32-gcc go build -trimpath -buildvcs=false -o bin/ ./cmd/steplm

# run the Windows program under wine on lavapipe, and compare its runs with those of this system's program
[no-exit-message]
test-windows: (setup "lavapipe" "mingw" "wine") build-windows build
    .ci/wine/test

# compile every kernel of DX12 by Microsoft's own compiler, under wine, or those of `--named TEXT`; 0.8 GB in bin/dx12
[no-exit-message]
check-dx12 *args: (setup "lavapipe" "mingw" "wine" "npm") build-windows
    .ci/dx12/check "$@"

# install what is missing: C compiler, Vulkan loader and driver (`lavapipe`: Mesa's software driver too)
[no-exit-message]
setup *args:
    @sh .ci/setup "$@"
