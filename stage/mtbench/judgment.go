package mtbench

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"steplm/internal/disk"
)

// Judgment is a line of a file of judgments: of one answer, which has a score, or of two, which are games.
type Judgment struct {
	Question int
	Turn     int
	Judge    [2]string // the judge's model, and the name of the prompt
	Models   []string  // one, or two
	Asks     []string  // what the judge was asked, once or twice
	Replies  []string  // ErrorReply: there is none
	Score    Score     // of one answer
	Winners  []string  // of two games, see Winner
	Time     Seconds
}

// singleLine and pairLine are FastChat's lines, with their fields in its order.
type singleLine struct {
	Question *int      `json:"question_id"`
	Model    string    `json:"model"`
	Judge    [2]string `json:"judge"`
	Ask      string    `json:"user_prompt"`
	Reply    string    `json:"judgment"`
	Score    *Score    `json:"score"`
	Turn     int       `json:"turn"`
	Time     Seconds   `json:"tstamp"`
}

type pairLine struct {
	Question    *int      `json:"question_id"`
	FirstModel  string    `json:"model_1"`
	SecondModel string    `json:"model_2"`
	FirstWin    string    `json:"g1_winner"`
	SecondWin   string    `json:"g2_winner"`
	Judge       [2]string `json:"judge"`
	FirstAsk    string    `json:"g1_user_prompt"`
	FirstReply  string    `json:"g1_judgment"`
	SecondAsk   string    `json:"g2_user_prompt"`
	SecondReply string    `json:"g2_judgment"`
	Turn        int       `json:"turn"`
	Time        Seconds   `json:"tstamp"`
}

// MarshalJSON writes FastChat's line.
func (j Judgment) MarshalJSON() ([]byte, error) {
	if len(j.Models) == 1 {
		return pythonJSON(singleLine{&j.Question, j.Models[0], j.Judge, j.Asks[0], j.Replies[0], &j.Score, j.Turn,
			j.Time})
	}
	return pythonJSON(pairLine{&j.Question, j.Models[0], j.Models[1], j.Winners[0], j.Winners[1], j.Judge, j.Asks[0],
		j.Replies[0], j.Asks[1], j.Replies[1], j.Turn, j.Time})
}

// UnmarshalJSON reads FastChat's line.
func (j *Judgment) UnmarshalJSON(text []byte) error {
	var of struct {
		Question *int    `json:"question_id"`
		Model    *string `json:"model"`
		First    *string `json:"model_1"`
	}
	if err := json.Unmarshal(text, &of); err != nil {
		return err
	}
	switch {
	case of.Question == nil:
		return errors.New("a judgment without question_id")
	case (of.Model == nil) == (of.First == nil):
		return errors.New("a judgment has either a model or a model_1 and a model_2")
	case of.Model != nil:
		var l singleLine
		if err := json.Unmarshal(text, &l); err != nil {
			return err
		}
		if l.Score == nil {
			return errors.New("a judgment without score")
		}
		*j = Judgment{Question: *l.Question, Turn: l.Turn, Judge: l.Judge, Models: []string{l.Model},
			Asks: []string{l.Ask}, Replies: []string{l.Reply}, Score: *l.Score, Time: l.Time}
	default:
		var l pairLine
		if err := json.Unmarshal(text, &l); err != nil {
			return err
		}
		*j = Judgment{Question: *l.Question, Turn: l.Turn, Judge: l.Judge,
			Models: []string{l.FirstModel, l.SecondModel},
			Asks:   []string{l.FirstAsk, l.SecondAsk}, Replies: []string{l.FirstReply, l.SecondReply},
			Winners: []string{l.FirstWin, l.SecondWin}, Time: l.Time}
		for _, w := range j.Winners {
			if !slices.Contains([]string{First, Second, Tie, NoGame}, w) {
				return fmt.Errorf("the winner %q is none of %s, %s, %s and %s", w, First, Second, Tie, NoGame)
			}
		}
	}
	if j.Turn != 1 && j.Turn != 2 {
		return fmt.Errorf("turn %d: there are 1 and 2", j.Turn)
	}
	return nil
}

// Judgments is a file of judgments.
type Judgments struct {
	Path string
	List []Judgment
	Half bool // the last line was not written to its end; it is not in List
	// raw are the lines of List as they are.
	raw [][]byte
}

// ReadJudgments reads a file of judgments, of one mode. An error names the line.
func ReadJudgments(path string) (Judgments, error) {
	f := Judgments{Path: path}
	err := eachLine(path, func(_ int, text []byte) error {
		var j Judgment
		if err := json.Unmarshal(text, &j); err != nil {
			return err
		}
		if len(f.List) > 0 && len(f.List[0].Models) != len(j.Models) {
			return errors.New("the lines before it are of another mode: single and pairwise judgments have files of " +
				"their own")
		}
		f.List, f.raw = append(f.List, j), append(f.raw, text)
		return nil
	})
	if f.Half = errors.Is(err, errHalf); f.Half {
		err = nil
	}
	return f, err
}

// ReadJudgmentsSoFar reads a file of judgments that may not be there yet.
func ReadJudgmentsSoFar(path string) (Judgments, error) {
	f, err := ReadJudgments(path)
	if disk.Missing(err) {
		return Judgments{Path: path}, nil
	}
	return f, err
}

// key tells judgments apart by what they are of.
type key struct {
	question, turn int
	judge          [2]string
	models         [2]string
}

func (j Judgment) key() key {
	k := key{question: j.Question, turn: j.Turn, judge: j.Judge}
	copy(k.models[:], j.Models)
	return k
}

func (m Match) key(judge string) key {
	k := key{question: m.Question.ID, turn: m.Turn, judge: [2]string{judge, m.Prompt.Name}}
	copy(k.models[:], m.Models)
	return k
}

// judged is the line of a match after a judge's replies.
func (m Match) judged(judge string, replies []string, now Seconds) Judgment {
	j := Judgment{Question: m.Question.ID, Turn: m.Turn, Judge: [2]string{judge, m.Prompt.Name}, Models: m.Models,
		Asks: m.Asks, Replies: replies, Time: now}
	if len(m.Models) == 1 {
		j.Score = Rate(replies[0])
		return j
	}
	for i, reply := range replies {
		j.Winners = append(j.Winners, Winner(reply, i == 1))
	}
	return j
}
