package mtbench

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"steplm/data/datatest"
)

// golden is a file that FastChat wrote.
func golden(t *testing.T, name string) string { return datatest.Path(t, "golden_mtbench/"+name) }

func must[T any](x T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
}

// contest is the one that FastChat's files are of.
func contest(t *testing.T, mode Mode) Contest {
	t.Helper()
	c := Contest{Mode: mode, Questions: must(ReadQuestions(golden(t, "mt_bench/question.jsonl")))(t),
		Prompts:    must(ReadPrompts(datatest.Path(t, "mtbench/judge_prompts.jsonl")))(t),
		References: must(ReadAnswers(datatest.Path(t, "mtbench/mt_bench/reference_answer/gpt-4.jsonl")))(t)}
	for _, model := range []string{"alpaca-stories260K", "vicuna-stories260K"} {
		c.Answers = append(c.Answers, must(ReadAnswers(golden(t, "mt_bench/model_answer/"+model+".jsonl")))(t))
	}
	return c
}

// lines are a file's.
func lines(t *testing.T, path string) []string {
	t.Helper()
	text := must(os.ReadFile(path))(t)
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// FastChat's lines of judgments, single and pairwise, come out as it wrote them where the judge says what it said.
func TestJudgmentsAreFastChats(t *testing.T) {
	for mode, name := range map[Mode]string{Single: "gpt-4_single.jsonl", Pairs: "gpt-4_pair.jsonl"} {
		path := golden(t, "mt_bench/model_judgment/"+name)
		file := must(ReadJudgments(path))(t)
		matches := must(contest(t, mode).Matches())(t)
		if len(matches) != len(file.List) {
			t.Fatalf("%s: %d matches, want %d", mode, len(matches), len(file.List))
		}
		for i, want := range lines(t, path) {
			m, j := matches[i], file.List[i]
			if !slices.Equal(m.Asks, j.Asks) || m.key("gpt-4") != j.key() {
				t.Errorf("%s, match %d: %+v, want %+v", mode, i, m, j)
			}
			if got := must(pythonJSON(m.judged("gpt-4", j.Replies, j.Time)))(t); string(got) != want {
				t.Errorf("%s, line %d:\n%s\nwant\n%s", mode, i+1, got, want)
			}
			if got := must(pythonJSON(j))(t); string(got) != want {
				t.Errorf("%s, line %d read and written:\n%s\nwant\n%s", mode, i+1, got, want)
			}
		}
	}
}

// A whole run by several goroutines leaves FastChat's file, but for the times.
func TestRunLeavesFastChatsFile(t *testing.T) {
	for mode, name := range map[Mode]string{Single: "gpt-4_single.jsonl", Pairs: "gpt-4_pair.jsonl"} {
		want := golden(t, "mt_bench/model_judgment/"+name)
		said := map[string]string{}
		for _, j := range must(ReadJudgments(want))(t).List {
			for i, ask := range j.Asks {
				said[ask] = j.Replies[i]
			}
		}
		path := filepath.Join(t.TempDir(), name)
		w := must(NewWork("gpt-4", must(contest(t, mode).Matches())(t), Judgments{}))(t)
		log := must(OpenLog(path))(t)
		err := w.Run(t.Context(), log, Asker{Parallel: 5, Now: func() Seconds { return 0.5 }, Done: func(int, int) {},
			Over: func(error) bool { return false },
			Ask:  func(_ context.Context, _, user string) (string, error) { return said[user], nil }})
		if err != nil {
			t.Fatal(err)
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
		got := lines(t, path)
		for i, line := range lines(t, want) {
			line = line[:strings.LastIndex(line, `"tstamp"`)] + `"tstamp": 0.5}`
			if got[i] != line {
				t.Errorf("%s, line %d:\n%s\nwant\n%s", name, i+1, got[i], line)
			}
		}
	}
}

// Every rating case, also those by which FastChat crashes: a number that is no Python literal is a decimal one.
func TestRatings(t *testing.T) {
	var cases []struct {
		Judgment string
		Score    json.RawMessage
	}
	if err := json.Unmarshal(must(os.ReadFile(golden(t, "ratings.json")))(t), &cases); err != nil {
		t.Fatal(err)
	}
	crashes := map[string]Score{"[[07]]": "7", "[[٧]]": "7"}
	for _, c := range cases {
		want := Score(c.Score)
		if other, crashed := crashes[c.Judgment]; crashed {
			if !strings.Contains(string(c.Score), "SyntaxError") {
				t.Errorf("%q is %s to FastChat", c.Judgment, c.Score)
			}
			want = other
		}
		if got := Rate(c.Judgment); got != want {
			t.Errorf("%q: %s, want %s", c.Judgment, got, want)
		}
	}
	if len(cases) != 30 {
		t.Errorf("%d cases", len(cases))
	}
	// Nonsense that no mean could have is no rating.
	for _, end := range []string{"", ".5"} {
		if got := Rate("[[" + strings.Repeat("9", 400) + end + "]]"); got != NoScore {
			t.Errorf("400 digits are %s", got)
		}
	}
}

// What show_result printed of FastChat's judgments.
func TestTablesAreFastChats(t *testing.T) {
	var single, pair bytes.Buffer
	f := must(ReadJudgments(golden(t, "mt_bench/model_judgment/gpt-4_single.jsonl")))(t)
	s := must(NewScores(f, contest(t, Single).Questions))(t)
	s.Write(&single, "data/mt_bench/model_judgment/gpt-4_single.jsonl")
	f = must(ReadJudgments(golden(t, "mt_bench/model_judgment/gpt-4_pair.jsonl")))(t)
	must(NewPairScores(f, ""))(t).Write(&pair, "data/mt_bench/model_judgment/gpt-4_pair.jsonl", Pairs)
	for name, got := range map[string]string{"show_result.txt": single.String(),
		"show_result_pair.txt": pair.String()} {
		if want := string(must(os.ReadFile(golden(t, name)))(t)); got != want {
			t.Errorf("%s:\n%q\nwant\n%q", name, got, want)
		}
	}
	// 4 + 3 and 4 + 5 valid rows: the mean of the turns' means would have the other winner.
	if s.Models[0].Model != "alpaca-stories260K" || s.Models[0].First.N != 4 || s.Models[0].Second.N != 3 ||
		s.Models[0].Failed != 5 || s.Models[1].Failed != 3 {
		t.Errorf("%+v", s.Models)
	}
	n := 0
	for _, c := range s.Models[0].Categories {
		n += c.Average.N
	}
	if len(s.Models[0].Categories) != 6 || n != 7 {
		t.Errorf("categories: %+v", s.Models[0].Categories)
	}
}

// FastChat's temperatures.
func TestTemperatures(t *testing.T) {
	var prompts []struct {
		Category    string
		Temperature float64
	}
	if err := json.Unmarshal(must(os.ReadFile(golden(t, "prompts.json")))(t), &prompts); err != nil {
		t.Fatal(err)
	}
	for _, p := range prompts {
		if got := (Question{Category: p.Category}).Temperature(); got != p.Temperature {
			t.Errorf("%s: %g, want %g", p.Category, got, p.Temperature)
		}
	}
	for category, want := range map[string]float64{"roleplay": 0.7, "humanities": 0.1, "other": 0.7} {
		if got := (Question{Category: category}).Temperature(); got != want {
			t.Errorf("%s: %g, want %g", category, got, want)
		}
	}
	all := must(ReadQuestions(datatest.Path(t, "mtbench/mt_bench/question.jsonl")))(t)
	if len(all) != 80 || len(Categories(all)) != 8 || all[0].ID != 81 || all[79].ID != 160 {
		t.Errorf("%d questions of %v", len(all), Categories(all))
	}
}

// untied has lines that follow each other and end in one number in the order of their letters: among equals numpy's
// order depends on the processor.
func untied(text string) string {
	last := func(line string) string { return line[strings.LastIndex(line, " ")+1:] }
	list := strings.Split(text, "\n")
	for i := 0; i < len(list); {
		n := 1
		for i+n < len(list) && last(list[i]) != "" && last(list[i+n]) == last(list[i]) {
			n++
		}
		slices.Sort(list[i : i+n])
		i += n
	}
	return strings.Join(list, "\n")
}

// Tables of random judgments are those that FastChat's show_result prints, see testdata/show_result.py.
func TestTablesOfRandomJudgments(t *testing.T) {
	var cases []struct {
		Mode Mode
		Rows []Judgment
		Text string
	}
	if err := json.Unmarshal(must(os.ReadFile("testdata/show_result.json"))(t), &cases); err != nil {
		t.Fatal(err)
	}
	for i, c := range cases {
		var out bytes.Buffer
		f := Judgments{List: c.Rows}
		switch c.Mode {
		case Single:
			must(NewScores(f, nil))(t).Write(&out, "FILE")
		case Pairs:
			must(NewPairScores(f, ""))(t).Write(&out, "FILE", c.Mode)
		default:
			must(NewPairScores(f, "m0"))(t).Write(&out, "FILE", c.Mode)
		}
		if untied(out.String()) != untied(c.Text) {
			t.Errorf("case %d:\n%s\nwant\n%s", i, &out, c.Text)
		}
	}
	if len(cases) < 24 {
		t.Errorf("%d cases", len(cases))
	}
}
