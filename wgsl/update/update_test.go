package update

import (
	"testing"

	"steplm/wgsl/wgsltest"
)

func TestStorageBuffersAndBindings(t *testing.T) { wgsltest.Declared(t, Kernels()) }

func TestNoWordOfMetal(t *testing.T) { wgsltest.NoWordOfMetal(t, Kernels()) }

func TestShaders(t *testing.T) { wgsltest.Shaders(t, Kernels()) }
