package mtbench

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// ErrorReply stands in FastChat's files where the judge gave no reply.
const ErrorReply = "$ERROR$"

// Score is a rating as a decimal number, written as Python writes it: 7, 6.5, 8.0; or NoScore.
type Score string

// NoScore is what a reply without a rating gets. Means leave it out.
const NoScore Score = "-1"

// Value is the number.
func (s Score) Value() float64 {
	x, err := strconv.ParseFloat(string(s), 64)
	if err != nil {
		return math.NaN()
	}
	return x
}

// Valid reports whether it is a rating.
func (s Score) Valid() bool { return s.Value() != -1 }

// MarshalJSON writes the number as it is.
func (s Score) MarshalJSON() ([]byte, error) { return []byte(s), nil }

// UnmarshalJSON takes any number.
func (s *Score) UnmarshalJSON(text []byte) error {
	var n json.Number
	if err := json.Unmarshal(text, &n); err != nil || len(text) == 0 || text[0] == '"' || n == "" {
		return fmt.Errorf("the score %s is no number", text)
	}
	*s = Score(n)
	return nil
}

// The places where a rating is looked for, one after the other. As in Python a digit is any of Unicode's.
var ratings = []*regexp.Regexp{
	regexp.MustCompile(`\[\[(\p{Nd}+)(\.?)(\p{Nd}*)\]\]`), regexp.MustCompile(`\[(\p{Nd}+)(\.?)(\p{Nd}*)\]`),
}

// Rate is the rating in a judge's reply: the first in double brackets, or else in single ones. Any number is one, also
// beyond the scale of 1 to 10.
func Rate(reply string) Score {
	for _, r := range ratings {
		m := r.FindStringSubmatch(reply)
		if m == nil {
			continue
		}
		whole := strings.TrimLeft(digits(m[1]), "0")
		if whole == "" {
			whole = "0"
		}
		x, err := strconv.ParseFloat(whole+"."+digits(m[3]), 64)
		switch {
		case err != nil: // It is beyond all floats, and no mean could have it.
			return NoScore
		case m[2] == "":
			return Score(whole)
		}
		return Score(pythonFloat(x))
	}
	return NoScore
}

// digits are a number's, in ASCII. Unicode has those of a script one after another, from 0 on.
func digits(s string) string {
	return strings.Map(func(r rune) rune {
		for _, x := range unicode.Nd.R16 {
			if r >= rune(x.Lo) && r <= rune(x.Hi) {
				return '0' + (r-rune(x.Lo))%10
			}
		}
		for _, x := range unicode.Nd.R32 {
			if r >= rune(x.Lo) && r <= rune(x.Hi) {
				return '0' + (r-rune(x.Lo))%10
			}
		}
		return r
	}, s)
}

// The outcomes of a game of two answers, as files have them.
const (
	First  = "model_1"
	Second = "model_2"
	Tie    = "tie"
	NoGame = "error" // the reply names no winner
)

// Winner is the outcome that a judge's reply names. swapped says that the second model's answer was shown as A.
func Winner(reply string, swapped bool) string {
	first, second := First, Second
	if swapped {
		first, second = second, first
	}
	switch {
	case strings.Contains(reply, "[[A]]"):
		return first
	case strings.Contains(reply, "[[B]]"):
		return second
	case strings.Contains(reply, "[[C]]"):
		return Tie
	}
	return NoGame
}
