package mtbench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/view"
	"steplm/internal/disk"
	"steplm/stage/judge"
	mt "steplm/stage/mtbench"
)

// JudgeCmd has answers judged.
type JudgeCmd struct {
	Questions  string        `required:"" placeholder:"FILE" help:"FastChat's question.jsonl."`
	Answers    []string      `required:"" placeholder:"FILE" help:"Files of answers, one a model, or folders of them. A model is called as its file is."`
	Judgments  string        `required:"" placeholder:"FILE" help:"Where judgments are written: model_judgment/JUDGE_single.jsonl, or _pair.jsonl. Those that are there are not asked for again."`
	JudgeModel string        `default:"gpt-4" placeholder:"NAME" help:"The model that judges. Default: ${default}."`
	BaseURL    string        `name:"base-url" default:"${judge_url}" placeholder:"URL" help:"Where it is asked: the base URL of any interface that is like OpenAI's, such as that of steplm serve. Default: ${default}."`
	KeyEnv     string        `default:"OPENAI_API_KEY" placeholder:"NAME" help:"The environment's variable with the key; where it is not set, none is sent. Default: ${default}."`
	Mode       string        `default:"single" enum:"single,pairwise-all,pairwise-baseline" placeholder:"NAME" help:"single: rate each answer; pairwise-all: compare every two models; pairwise-baseline: compare each model with that of --baseline. Compared answers are judged in both orders. Default: ${default}."`
	Baseline   string        `placeholder:"NAME" help:"The model that the others are compared with, by its file's name."`
	Prompts    string        `placeholder:"FILE" help:"FastChat's judge_prompts.jsonl. Default: the file of this name beside the questions, or in the folder above."`
	References string        `placeholder:"FILE" help:"Reference answers to the questions of math, reasoning and coding. Default: reference_answer/JUDGE.jsonl beside the questions, or else the only file there."`
	Limit      int           `placeholder:"N" range:"0..1e9" help:"Only the first N questions. Default: all."`
	MaxTokens  int           `default:"2048" placeholder:"N" range:"1..1e9" help:"Tokens of a judgment, at most. Default: ${default}."`
	Parallel   int           `default:"4" placeholder:"N" range:"1..1024" help:"Requests at once. Default: ${default}."`
	PerMinute  int           `placeholder:"N" range:"0..1e6" help:"Requests in a minute, at most. Default: as many as the judge takes."`
	Tries      int           `default:"8" placeholder:"N" range:"1..1000" help:"How often a question is asked until there is a reply; before each next time the wait is twice as long, up to a minute, or what the judge asks for. Default: ${default}."`
	Timeout    time.Duration `default:"5m" placeholder:"TIME" help:"How long a reply may take. Default: ${default}."`
	PromptCost float64       `placeholder:"PRICE" range:"0..1e9" help:"What a million tokens of prompts cost, for the estimate. Default: not known."`
	ReplyCost  float64       `placeholder:"PRICE" range:"0..1e9" help:"What a million tokens of replies cost, for the estimate. Default: not known."`
	DryRun     bool          `help:"Check the files and say what is to be asked and about what it costs, and ask nothing."`
}

// Run asks for what is missing.
func (c *JudgeCmd) Run(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	contest, err := c.contest()
	if err != nil {
		return err
	}
	matches, err := contest.Matches()
	if err != nil {
		return err
	}
	if c.DryRun {
		file, err := mt.ReadJudgmentsSoFar(c.Judgments)
		if err != nil {
			return err
		}
		work, err := mt.NewWork(c.JudgeModel, matches, file)
		if err == nil {
			c.estimate(os.Stdout, work, len(contest.Answers))
		}
		return err
	}
	log, err := openLog(c.Judgments)
	if err != nil {
		return err
	}
	defer log.Close()
	file, err := mt.ReadJudgmentsSoFar(c.Judgments)
	if err != nil {
		return err
	}
	work, err := mt.NewWork(c.JudgeModel, matches, file)
	if err != nil {
		return err
	}
	c.estimate(os.Stderr, work, len(contest.Answers))
	if client.Exposed() {
		warn("the key goes to %s without encryption: use https, unless nobody else is on that network", c.BaseURL)
	}
	return c.ask(ctx, client, work, log)
}

// client is the judge. The key is of the environment alone.
func (c *JudgeCmd) client() (*judge.Client, error) {
	client, err := judge.New(judge.Config{BaseURL: c.BaseURL, Key: strings.TrimSpace(os.Getenv(c.KeyEnv)),
		Model: c.JudgeModel, MaxTokens: c.MaxTokens, PerMinute: c.PerMinute, Tries: c.Tries, Timeout: c.Timeout,
		Backoff: time.Second})
	if err != nil {
		err = flags.UsageError{Err: err}
	}
	return client, err
}

// contest reads everything that is judged, and by what.
func (c *JudgeCmd) contest() (mt.Contest, error) {
	out := mt.Contest{Mode: mt.Mode(c.Mode), Baseline: c.Baseline}
	if (out.Mode == mt.Baseline) != (c.Baseline != "") {
		return out, flags.Usagef("--baseline and --mode %s belong together: give both or neither", mt.Baseline)
	}
	var err error
	if out.Questions, err = questions(c.Questions, c.Limit); err != nil {
		return out, err
	}
	files, err := answerFiles(c.Answers)
	if err != nil {
		return out, err
	}
	for _, path := range files {
		a, err := mt.ReadAnswers(path)
		if err != nil {
			return out, err
		}
		if a.Half {
			warn("the last line of %s is half-written and does not count", path)
		}
		if len(a.Repeated) > 0 {
			warn("%s answers questions several times (%s): the last lines count", path, mt.Numbers(a.Repeated))
		}
		out.Answers = append(out.Answers, a)
	}
	prompts, err := c.promptsFile()
	if err != nil {
		return out, err
	}
	if out.Prompts, err = mt.ReadPrompts(prompts); err != nil {
		return out, err
	}
	if slices.ContainsFunc(out.Questions, mt.Question.NeedsReference) {
		path, err := c.referencesFile()
		if err != nil {
			return out, err
		}
		if out.References, err = mt.ReadAnswers(path); err != nil {
			return out, err
		}
	}
	return out, nil
}

// answerFiles are files of answers: those named, and those in folders named.
func answerFiles(named []string) (list []string, err error) {
	for _, path := range named {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			list = append(list, path)
			continue
		}
		within, err := mt.AnswerFiles(path)
		if err != nil {
			return nil, err
		}
		if len(within) == 0 {
			return nil, fmt.Errorf("%s has no answers: files that end in .jsonl", path)
		}
		list = append(list, within...)
	}
	slices.SortFunc(list, func(a, b string) int { return strings.Compare(filepath.Base(a), filepath.Base(b)) })
	return list, nil
}

// promptsFile is the file of judge prompts, as FastChat's folders have it.
func (c *JudgeCmd) promptsFile() (string, error) {
	const name = "judge_prompts.jsonl"
	if c.Prompts != "" {
		return c.Prompts, nil
	}
	beside := filepath.Dir(c.Questions)
	for _, dir := range []string{beside, filepath.Join(beside, "..")} {
		if path := filepath.Join(dir, name); exists(path) {
			return path, nil
		}
	}
	return "", flags.Usagef("%s is neither beside %s nor in the folder above: give --prompts", name, c.Questions)
}

// referencesFile is the file of reference answers. FastChat has one for each judge.
func (c *JudgeCmd) referencesFile() (string, error) {
	if c.References != "" {
		return c.References, nil
	}
	dir := filepath.Join(filepath.Dir(c.Questions), "reference_answer")
	own := filepath.Join(dir, c.JudgeModel+".jsonl")
	if exists(own) {
		return own, nil
	}
	list, err := mt.AnswerFiles(dir)
	if err != nil {
		return "", err
	}
	if len(list) != 1 {
		return "", flags.Usagef("%s is not there, and %s has %d others: give --references", own, dir, len(list))
	}
	warn("there are no reference answers by %s: those of %s are taken", c.JudgeModel, list[0])
	return list[0], nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !disk.Missing(err)
}

// bytesPerToken is about how long tokens of judge prompts are: 3.3 bytes in GPT-2's vocabulary, 3.7 in GPT-NeoX's.
const bytesPerToken = 3.5

// estimate says what is to be asked, and about what that costs.
func (c *JudgeCmd) estimate(w io.Writer, work *mt.Work, models int) {
	all, left := work.Matches()
	requests, bytes := work.Requests()
	prompt, reply := int64(float64(bytes)/bytesPerToken), int64(requests)*int64(c.MaxTokens)
	text := fmt.Sprintf("%s of %s by %s at %s, %d of them to be asked for: %s with about %s tokens of prompts (%g "+
		"bytes each), and at most %s of replies", view.Plural(int64(all), "judgment", "judgments"),
		view.Plural(int64(models), "model", "models"), c.JudgeModel, c.BaseURL, left,
		view.Plural(int64(requests), "request", "requests"), view.Count(prompt), bytesPerToken, view.Count(reply))
	if c.PromptCost > 0 || c.ReplyCost > 0 {
		text += fmt.Sprintf("; that costs about %.2f and at most %.2f more", c.cost(prompt, 0), c.cost(0, reply))
	}
	view.Print(w, text+"\n")
}

// cost is what tokens cost.
func (c *JudgeCmd) cost(prompt, reply int64) float64 {
	return (float64(prompt)*c.PromptCost + float64(reply)*c.ReplyCost) / 1e6
}

// ask asks for what is missing, and tells how that goes.
func (c *JudgeCmd) ask(ctx context.Context, client *judge.Client, work *mt.Work, log *mt.Log) error {
	all, left := work.Matches()
	p := view.NewProgress(os.Stderr, "judge", int64(all), "judgments")
	defer p.Done()
	var mu sync.Mutex
	var prompt, reply int64
	failed := 0
	say := func(note string) {
		items := []view.Item{view.Same("%s tokens", view.Count(prompt+reply))}
		if failed > 0 {
			items = append(items, view.Same("%d failed", failed))
		}
		if note != "" {
			items = append(items, view.Same("%s", note))
		}
		p.Say(items...)
	}
	client.Waiting = func(wait time.Duration, why error) {
		mu.Lock()
		defer mu.Unlock()
		note := fmt.Sprintf("waiting %s", wait.Round(time.Second/10))
		var e *judge.Error
		if errors.As(why, &e) && e.Status != 0 {
			note += fmt.Sprintf(" after HTTP %d", e.Status)
		}
		say(note)
	}
	p.Set(int64(all - left))
	interrupted := context.AfterFunc(ctx, func() {
		view.Print(os.Stderr, "steplm: waiting for the replies that were asked for; Ctrl-C again ends at once\n")
	})
	defer interrupted()
	err := work.Run(ctx, log, mt.Asker{Parallel: c.Parallel, Now: now, Over: judge.Over,
		Ask: func(ctx context.Context, system, user string) (string, error) {
			r, err := client.Ask(ctx, system, user)
			mu.Lock()
			defer mu.Unlock()
			prompt, reply = prompt+int64(r.PromptTokens), reply+int64(r.ReplyTokens)
			return r.Text, err
		},
		Done: func(done, without int) {
			mu.Lock()
			defer mu.Unlock()
			failed = without
			say("")
			p.Set(int64(all - left + done))
		}})
	p.Done()
	return c.tell(err, all, prompt, reply)
}

// tell says what was had, and what it took.
func (c *JudgeCmd) tell(err error, all int, prompt, reply int64) error {
	took := ""
	if prompt+reply > 0 {
		took = fmt.Sprintf(": %s tokens of prompts and %s of replies", view.Count(prompt), view.Count(reply))
		if c.PromptCost > 0 || c.ReplyCost > 0 {
			took += fmt.Sprintf(", which cost %.2f", c.cost(prompt, reply))
		}
	}
	if unjudged := (*mt.Unjudged)(nil); errors.As(err, &unjudged) {
		if took != "" {
			view.Print(os.Stderr, "asked"+took+"\n")
		}
		if errors.Is(err, context.Canceled) {
			return context.Canceled
		}
		return fmt.Errorf("%w; the same command asks for them again, and for no other", err)
	}
	if err != nil {
		return err
	}
	file, err := mt.ReadJudgments(c.Judgments)
	if err != nil {
		return err
	}
	none := 0
	for _, j := range file.List {
		if len(j.Models) == 1 && !j.Score.Valid() || slices.Contains(j.Winners, mt.NoGame) {
			none++
		}
	}
	fmt.Printf("%s are in %s%s\n", view.Plural(int64(all), "judgment", "judgments"), c.Judgments, took)
	if none > 0 {
		fmt.Printf("%d of the file name no rating or no winner, and are left out of scores\n", none)
	}
	return nil
}
