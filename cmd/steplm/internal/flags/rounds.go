package flags

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"steplm/cmd/steplm/internal/view"
	"steplm/stage/reduce"
	"steplm/stage/rounds"
	"steplm/stage/session"
)

// RoundsFlags say with which other machines rounds are made.
type RoundsFlags struct {
	Host      string         `placeholder:"NAME" help:"Let other machines with the same key join this run's rounds, under this name. The key, of 32 characters or more, is in the environment's STEPLM_KEY or in --key-file."`
	Join      string         `placeholder:"NAME" help:"Join the rounds of the run with this name in the local network: it says how to train, and --data, --tokenizer and --out say where things are here."`
	At        string         `placeholder:"ADDRESS" help:"With --join: host and port of the run's first machine, where mDNS does not find it."`
	RejoinFor *time.Duration `placeholder:"TIME" help:"With --join: how long to try to come back where the connection breaks, or the first machine stops, such as 30s or 2h; 0: not at all. Default: 10m."`
	Listen    string         `placeholder:"ADDRESS" help:"With --host: where to listen. Default: :7417, on all interfaces."`
	KeyFile   string         `placeholder:"PATH" help:"File with the key, which nobody else may read."`
	Quorum    *float64       `placeholder:"SHARE" range:"0<..1" help:"With --host: share of the machines that must have done a round's steps before it ends for all; 1 waits for every one. Default: 0.5."`
}

// What --listen and --quorum are where they are not given.
const (
	defaultListen = ":7417"
	defaultQuorum = 0.5
)

// findFor is how long a run is looked for that has not begun.
const findFor = time.Minute

// told hears what a coordinator tells.
func told(format string, args ...any) {
	view.Print(os.Stderr, fmt.Sprintf("steplm: rounds: "+format+"\n", args...))
}

// HostRun opens a session's run to others, if --host asks for it; close then tells them why it ends, and whether it may
// go on later.
func (f RoundsFlags) HostRun(s *session.Session) (close func(why string, back bool), err error) {
	if f.Host == "" {
		return func(string, bool) {}, nil
	}
	key, err := rounds.ReadKey(f.KeyFile)
	if err != nil {
		return nil, err
	}
	run := rounds.Run{Name: f.Host, Quorum: defaultQuorum, Log: told}
	if f.Quorum != nil {
		run.Quorum = *f.Quorum
	}
	c, err := s.Host(cmp.Or(f.Listen, defaultListen), key, run)
	if err != nil {
		return nil, err
	}
	told("%q listens at %s; join it with --join %s and the same key", f.Host, c.Addr(), f.Host)
	return c.Close, nil
}

// Dial joins the run that --join names.
func (f RoundsFlags) Dial(ctx context.Context) (*rounds.Worker, error) {
	key, err := rounds.ReadKey(f.KeyFile)
	if err != nil {
		return nil, err
	}
	at := rounds.At(f.At)
	if f.At == "" {
		at = func(ctx context.Context) (string, error) {
			addr, err := rounds.Find(ctx, f.Join, findFor)
			if err != nil {
				err = fmt.Errorf("%w (--at)", err)
			}
			return addr, err
		}
	}
	w, err := rounds.Dial(ctx, at, key, f.Join, reduce.Hostname())
	var refused *net.OpError // nobody listens there yet
	for begun := time.Now(); errors.As(err, &refused) && refused.Op == "dial" && time.Since(begun) < findFor; {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Second):
		}
		w, err = rounds.Dial(ctx, at, key, f.Join, reduce.Hostname())
	}
	if err == nil {
		w.Log = told
		if f.RejoinFor != nil {
			w.RejoinFor(*f.RejoinFor)
		}
		told("joined %q at %s as worker %d; it begins with the next round", f.Join, w.Addr(), w.Welcome.Process)
	}
	return w, err
}

// CheckRounds refuses flags that say nothing together, and asks for the key. every is the steps of a round, 0 where a
// file or a folder may say it.
func (f RoundsFlags) CheckRounds(resume, config string, every int) error {
	switch {
	case f.Host != "" && f.Join != "":
		return Usagef("--host and --join: a process is the first of a run, or joins one; leave one out")
	case f.Host != "" && every == 0 && resume == "" && config == "":
		return Usagef("--host: a run that others join has rounds: say of how many steps with --outer-every, " +
			"50 for example")
	case f.Join != "" && (resume != "" || config != ""):
		return Usagef("--join with --resume or --config: the run that is joined says how to train and where it is; " +
			"leave them out, and give a new --out")
	case f.RejoinFor != nil && *f.RejoinFor < 0:
		return Usagef("--rejoin-for %s: it must be 0 (a broken connection is the end) or more", *f.RejoinFor)
	case f.RejoinFor != nil && f.Join == "":
		return Usagef("--rejoin-for is of a process that joins a run: add --join")
	case (f.Listen != "" || f.Quorum != nil) && f.Host == "":
		return Usagef("--listen and --quorum are of a run that others join: add --host")
	case f.At != "" && f.Join == "":
		return Usagef("--at says where a run is that --join names: add --join")
	case f.KeyFile != "" && f.Host == "" && f.Join == "":
		return Usagef("--key-file is of --host or --join: add one of them")
	case f.Host == "" && f.Join == "":
		return nil
	}
	for _, x := range []struct{ flag, at string }{{"--at", f.At}, {"--listen", f.Listen}} {
		if _, port, err := net.SplitHostPort(x.at); x.at != "" && (err != nil || port == "") {
			return Usagef("%s %s: it is a host and a port, such as %s%s", x.flag, x.at, x.at, defaultListen)
		}
	}
	for _, name := range []string{f.Host, f.Join} {
		if err := rounds.ValidName(name); name != "" && err != nil {
			return UsageError{err}
		}
	}
	_, err := rounds.ReadKey(f.KeyFile)
	if errors.Is(err, rounds.ErrNoKey) {
		return Usagef("%v (--key-file)", err)
	}
	return err
}
