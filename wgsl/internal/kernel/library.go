package kernel

import (
	"embed"
	"fmt"
	"slices"
	"strings"
	"text/template"

	"steplm/gpu"
)

// Library is the kernels of one package, whose texts lie in its files.
type Library struct {
	files embed.FS
	all   []*gpu.Kernel
}

// NewLibrary is a library of a package's files, NAME.wgsl and NAME.wgsl.tmpl.
func NewLibrary(files embed.FS) *Library { return &Library{files: files} }

// Kernels lists every kernel that was declared so far.
func (l *Library) Kernels() []*gpu.Kernel { return slices.Clone(l.all) }

// Declare declares the kernel of file name.wgsl; workgroup must equal the
// literal in the file.
func (l *Library) Declare(name string, workgroup [3]int, access []gpu.Access, host func(gpu.Args)) *gpu.Kernel {
	return l.Add(&gpu.Kernel{Name: name, Source: l.Text(name), Workgroup: workgroup, Access: access, Host: host})
}

// Text is file name.wgsl.
func (l *Library) Text(name string) string { return l.read(name + ".wgsl") }

// TemplateText is file name.wgsl.tmpl.
func (l *Library) TemplateText(name string) string { return l.read(name + ".wgsl.tmpl") }

func (l *Library) read(file string) string {
	text, err := l.files.ReadFile(file)
	if err != nil {
		panic(fmt.Sprintf("kernel file %s: %v", file, err)) // a mistake in the package of the kernels
	}
	return string(text)
}

// Parse is the template of file name.wgsl.tmpl, which may call functions.
func (l *Library) Parse(name string, functions template.FuncMap) *template.Template {
	return template.Must(template.New(name).Funcs(functions).Parse(l.TemplateText(name)))
}

// Fill is a template with what it asks for.
func Fill(t *template.Template, data any) string {
	var text strings.Builder
	if err := t.Execute(&text, data); err != nil {
		panic(fmt.Sprintf("kernel %s: %v", t.Name(), err)) // a mistake in the package of the kernels
	}
	return text.String()
}

// Add adds a kernel to the library.
func (l *Library) Add(k *gpu.Kernel) *gpu.Kernel {
	l.all = append(l.all, k)
	return k
}

// UpTo lists 0 to n-1, for templates to range over.
func UpTo(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}
