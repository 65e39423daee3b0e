package reduce

import (
	"fmt"
	"os"
	"strconv"
)

// Launched is what started this process as one of several: mpirun, srun or the like, known by what it puts into the
// environment.
type Launched struct {
	By     string // the variable that says so
	Rank   int    // as the launcher counts
	Size   int    // 0: it does not say
	family string // of the MPI whose launcher it is; "": any
}

// String names the process before MPI has begun.
func (l Launched) String() string { return called(l.Rank, Hostname()) }

// called names a process.
func called(rank int, host string) string { return fmt.Sprintf("rank %d on %s", rank, host) }

// Hostname is this machine's name, as others are told it.
func Hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "a machine without a name"
	}
	return name
}

// launchers are variables of a rank, the surest first: an mpirun may itself run under srun. Within a Slurm allocation a
// process that srun did not start has SLURM_PROCID too, but no step with several tasks.
var launchers = []struct {
	rank   string
	sizes  []string
	family string
	step   bool // it counts only where the size is there and above 1
}{
	{"OMPI_COMM_WORLD_RANK", []string{"OMPI_COMM_WORLD_SIZE"}, openMPI, false},
	{"PMI_RANK", []string{"PMI_SIZE"}, mpich, false},
	{"PMI_ID", nil, mpich, false}, // by a port: Hydra's -pmi-port
	{"PMIX_RANK", []string{"SLURM_STEP_NUM_TASKS", "FLUX_JOB_SIZE"}, "", false},
	{"MV2_COMM_WORLD_RANK", []string{"MV2_COMM_WORLD_SIZE"}, mpich, false},
	{"MPI_LOCALRANKID", []string{"MPI_LOCALNRANKS"}, mpich, true},
	{"FLUX_TASK_RANK", []string{"FLUX_JOB_SIZE"}, "", true},
	{"PALS_RANKID", []string{"PALS_SIZE"}, mpich, true},
	{"SLURM_PROCID", []string{"SLURM_STEP_NUM_TASKS"}, "", true},
}

// Families of MPI libraries, as the launchers that start their processes go.
const (
	openMPI = "Open MPI"
	mpich   = "MPICH"
)

// FindLauncher says what started this process as one of several; ok is false where nothing did.
func FindLauncher() (l Launched, ok bool) { return findLauncher(os.Getenv) }

func findLauncher(env func(string) string) (l Launched, ok bool) {
	for _, x := range launchers {
		rank, err := strconv.Atoi(env(x.rank))
		if err != nil || rank < 0 {
			continue
		}
		l = Launched{By: x.rank, Rank: rank, family: x.family}
		for _, name := range x.sizes {
			if n, err := strconv.Atoi(env(name)); err == nil && l.Size == 0 {
				l.Size = n
			}
		}
		if x.step && l.Size <= 1 {
			continue
		}
		if x.rank == "PMIX_RANK" && l.Size == 1 { // a shell that srun started by itself
			continue
		}
		return l, true
	}
	return Launched{}, false
}

// matches refuses a library that knows of another number of processes than were started: each would train alone.
func (l Launched) matches(size int, library string) error {
	if l.Size == 0 || l.Size == size {
		return nil
	}
	return fmt.Errorf("%d processes were started (%s), but the MPI library, %s, knows of %d: start them by this "+
		"library's own mpirun, or by srun with its plugin for it, or name another library in %s", l.Size,
		l.By, library, size, LibraryVariable)
}
