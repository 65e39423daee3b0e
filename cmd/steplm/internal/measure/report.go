package measure

import (
	"context"
	"fmt"
	"path/filepath"

	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/report"
	"steplm/cmd/steplm/internal/view"
)

type ReportCmd struct {
	Dirs    []string `arg:"" name:"dir" help:"Run folders, or folders that runs are in, such as an experiment's."`
	Out     string   `required:"" placeholder:"FOLDER" help:"Where index.html, report.md, results.csv and, of models that were asked, answers.md are written."`
	Against string   `placeholder:"METHOD" help:"Compare with this method of the table, as that names it, or with the only one that has these words in its name. Default: vanilla."`
	Serve   bool     `help:"Show the page on this machine alone, at http://127.0.0.1, and renew it while runs go on."`
	Port    int      `default:"0" range:"0..65535" placeholder:"N" help:"Of --serve. Default: ${default}, any that is free."`
}

// Run writes the report, and shows it until it is interrupted if it is asked to.
func (c *ReportCmd) Run(ctx context.Context) error {
	if c.Port != 0 && !c.Serve {
		return flags.Usagef("--port %d: it is of --serve", c.Port)
	}
	reader := &report.Reader{Dirs: c.Dirs, Live: c.Serve, Against: c.Against}
	if !c.Serve {
		r, err := reader.Read()
		if err != nil {
			return err
		}
		if err := r.Write(c.Out); err != nil {
			return err
		}
		fmt.Printf("the report of %s is in %s\n", view.Plural(int64(r.Count()), "run", "runs"),
			filepath.Join(c.Out, report.PageFile))
		return nil
	}
	l, err := report.Listen(c.Port)
	if err != nil {
		return err
	}
	fmt.Printf(
		"the report is at http://%s and in %s; Ctrl-C ends it\n",
		l.Addr(),
		filepath.Join(c.Out, report.PageFile),
	)
	return (&report.Server{Reader: reader, Folder: c.Out}).Serve(ctx, l)
}
