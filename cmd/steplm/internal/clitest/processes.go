package clitest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// Launchers are the programs that start processes which MPI connects: what STEPLM_MPIRUN lists, or the mpirun that is
// there. Where there is none the test is skipped, or with STEPLM_MPIRUN=require it fails.
func Launchers(t *testing.T) []string {
	t.Helper()
	set := os.Getenv("STEPLM_MPIRUN")
	if set != "" && set != "require" {
		return filepath.SplitList(set)
	}
	path, err := exec.LookPath("mpirun")
	if err == nil {
		return []string{path}
	}
	if set == "require" {
		t.Fatal("STEPLM_MPIRUN=require, and there is no mpirun: `just setup mpi` installs it")
	}
	t.Skip("there is no mpirun: `just setup mpi` installs it")
	return nil
}

// CallOfSeveral is a call of the command in so many processes, which has yet to run.
func CallOfSeveral(ctx context.Context, launcher string, n int, args ...string) *exec.Cmd {
	return CallOfParts(ctx, launcher, append([]string{"-n", strconv.Itoa(n), os.Args[0]}, args...)...)
}

// CallOfParts is a call of a launcher with words of its own. What a launcher would refuse on a small machine, or to
// root in a container, it is told to allow.
func CallOfParts(ctx context.Context, launcher string, words ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, launcher, words...)
	c.Env = append(os.Environ(), AsCommand+"=1", "OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
		"OMPI_MCA_rmaps_base_oversubscribe=1", "PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe")
	return c
}
