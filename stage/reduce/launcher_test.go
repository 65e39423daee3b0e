package reduce

import (
	"strings"
	"testing"
)

// Launchers are known by what they put into the environment; what only is within an allocation is no process of one.
func TestLaunchers(t *testing.T) {
	for _, c := range []struct {
		what, env string
		want      Launched
		ok        bool
	}{
		{"nothing", "PATH=/bin", Launched{}, false},
		{"Open MPI", "OMPI_COMM_WORLD_RANK=3 OMPI_COMM_WORLD_SIZE=4 PMIX_RANK=3",
			Launched{"OMPI_COMM_WORLD_RANK", 3, 4, openMPI}, true},
		{"Open MPI within Slurm", "OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2 SLURM_PROCID=0 SLURM_STEP_NUM_TASKS=2",
			Launched{"OMPI_COMM_WORLD_RANK", 1, 2, openMPI}, true},
		{"Hydra", "PMI_RANK=0 PMI_SIZE=2 MPI_LOCALRANKID=0", Launched{"PMI_RANK", 0, 2, mpich}, true},
		{"Hydra by a port", "PMI_ID=1 PMI_PORT=host:40000", Launched{"PMI_ID", 1, 0, mpich}, true},
		{"srun --mpi=pmix", "PMIX_RANK=2 SLURM_PROCID=2 SLURM_STEP_NUM_TASKS=3", Launched{"PMIX_RANK", 2, 3, ""}, true},
		{"srun without a plugin", "SLURM_PROCID=1 SLURM_STEP_NUM_TASKS=2 SLURM_NTASKS=2",
			Launched{"SLURM_PROCID", 1, 2, ""}, true},
		{"a script of sbatch", "SLURM_PROCID=0 SLURM_NTASKS=8 SLURM_JOB_ID=7 SLURM_LOCALID=0", Launched{}, false},
		{"a shell of salloc", "SLURM_JOB_ID=7 SLURM_NTASKS=8", Launched{}, false},
		{"a shell that srun runs", "SLURM_PROCID=0 SLURM_STEP_NUM_TASKS=1 PMIX_RANK=0", Launched{}, false},
		{"no number", "PMI_RANK=x", Launched{}, false},
	} {
		got, ok := findLauncher(func(name string) string {
			for _, v := range strings.Fields(c.env) {
				if value, found := strings.CutPrefix(v, name+"="); found {
					return value
				}
			}
			return ""
		})
		if ok != c.ok || got != c.want {
			t.Errorf("%s: %+v %v, want %+v %v", c.what, got, ok, c.want, c.ok)
		}
	}
	if err := (Launched{By: "PMI_RANK", Size: 4}).matches(1, "Open MPI"); err == nil ||
		!strings.Contains(err.Error(), "4 processes were started") {
		t.Errorf("a library that knows of one of four: %v", err)
	}
}
