package serve

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/speak"
	"steplm/cmd/steplm/internal/view"
	"steplm/model/generate"
)

// Cmd answers for a model until it is interrupted.
type Cmd struct {
	speak.Flags `embed:""`
	Host        string `default:"127.0.0.1" placeholder:"NAME" help:"Where to listen. Other machines can reach it only with a key. Default: ${default}, this machine alone."`
	Port        int    `default:"8000" range:"0..65535" placeholder:"N" help:"Where to listen; 0: any that is free. Default: ${default}."`
	APIKeyFile  string `name:"api-key-file" placeholder:"FILE" help:"A file with the key that clients must send. Default: that of the environment's STEPLM_API_KEY; without one none is needed."`
	Name        string `placeholder:"NAME" help:"What the model is called. Default: its folder's name."`
	Template    string `placeholder:"FILE|alpaca" help:"A chat template in Jinja, or alpaca for Alpaca's prompt. Default: the model's own, else Alpaca's prompt."`
	Slots       int    `default:"8" placeholder:"N" range:"1..65536" help:"Texts at once; others wait. Default: ${default}."`
	CacheTokens int    `placeholder:"N" range:"1..1e9" help:"Positions of the cache, which all texts share. Default: a whole context for each slot."`
	Chunk       int    `default:"256" placeholder:"N" range:"1..1e6" help:"Tokens of prompts that a step reads beside the texts that go on. Default: ${default}."`
	Limits      `embed:""`
}

// Run serves.
func (c *Cmd) Run(ctx context.Context) error {
	if err := c.check(); err != nil {
		return flags.UsageError{Err: err}
	}
	key, err := readKey(c.APIKeyFile)
	if err != nil {
		return err
	}
	v, err := c.Find(true)
	if err != nil {
		return err
	}
	manner, err := v.Manner(c.Template)
	if err != nil {
		return err
	}
	l, err := listen(ctx, c.Host, c.Port, key != "") // before the model is read, which may take long
	if err != nil {
		return err
	}
	defer l.Close()
	s, err := v.Open(ctx, generate.Config{Slots: c.Slots, Context: v.Context, Positions: c.CacheTokens, Chunk: c.Chunk},
		speak.Work{Prompts: usual, Added: usual}, false)
	if err != nil {
		return err
	}
	defer s.Close()
	ui := flags.SessionUI(false)
	if !manner.Own && c.Template == "" {
		ui.Warn(fmt.Sprintf("%s has no chat template: Alpaca's prompt is used", v.Dir))
	}
	server := New(s.Gen, Config{Limits: c.Limits, Name: c.name(), Path: c.Model, Voice: s.Voice, Manner: manner,
		Key: key, Made: time.Now()})
	secret := ""
	if key != "" {
		secret = ", for those with the key"
	}
	fmt.Printf("%s is served at http://%s%s: %s of %s at once; Ctrl-C ends it\n", c.name(), l.Addr(), secret,
		view.Plural(int64(s.Gen.Slots), "text", "texts"), view.Plural(int64(s.Gen.Context), "token", "tokens"))
	return server.Serve(ctx, l)
}

// usual is about as many tokens as a server reads and adds, for the tuner: many.
const usual = 1 << 20

// name is what the model is called.
func (c *Cmd) name() string {
	if c.Name != "" {
		return c.Name
	}
	path, err := filepath.Abs(c.Model)
	if err != nil {
		path = c.Model
	}
	return filepath.Base(path)
}
