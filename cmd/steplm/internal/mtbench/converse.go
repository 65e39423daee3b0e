package mtbench

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"math/big"
	"slices"
	"strings"
	"unicode"

	"steplm/cmd/steplm/internal/speak"
	"steplm/data/chat"
	"steplm/model/generate"
	mt "steplm/stage/mtbench"
)

// ownTemplate names the model's chat template.
const ownTemplate = "own"

// templates are FastChat's.
var templates = map[string]chat.Format{"fastchat-alpaca": chat.FastChatAlpaca, "fastchat-vicuna": chat.FastChatVicuna}

func templateNames() []string {
	return append(slices.Sorted(maps.Keys(templates)), "alpaca", ownTemplate)
}

// converse answers a question's turns, one after the other.
func (a *answerer) converse(ctx context.Context, q mt.Question) (turns []string, err error) {
	var messages []chat.Message
	for i, text := range q.Turns {
		messages = append(messages, chat.Message{Role: chat.User, Content: text})
		answer, err := a.turn(ctx, q, i, messages)
		if err != nil {
			return nil, err
		}
		turns = append(turns, answer)
		messages = append(messages, chat.Message{Role: chat.Assistant, Content: answer})
	}
	return turns, nil
}

// turn answers one.
func (a *answerer) turn(ctx context.Context, q mt.Question, i int, messages []chat.Message) (string, error) {
	ids, err := a.voice.Conversation(a.manner.Format, messages)
	if err != nil {
		return "", err
	}
	r := generate.Request{Prompt: ids, MaxTokens: a.setup.MaxTokens, Sample: sampling(q, i, a.setup),
		Ends: slices.Concat(a.voice.Ends, a.manner.Ends)}
	text := a.voice.Text(ids, a.manner.Stop)
	var said strings.Builder
	var wrong error
	added := 0
	r.Heard = func(t generate.Token) bool {
		added++
		if slices.Contains(r.Ends, t.ID) {
			return false
		}
		piece, stop, err := text.Add(t.ID)
		said.WriteString(piece)
		wrong = errors.Join(wrong, err)
		return stop || err != nil
	}
	jobs, err := a.engine.Submit(ctx, r)
	if long := (*generate.TooLong)(nil); errors.As(err, &long) {
		a.count(q, 0, true, false)
		return mt.FailedAnswer, nil
	}
	if err != nil {
		return "", err
	}
	<-jobs[0].Done()
	finish, err := jobs[0].Result()
	if err = errors.Join(err, wrong); err != nil {
		return "", err
	}
	rest, err := text.Rest()
	if err != nil {
		return "", err
	}
	said.WriteString(rest)
	a.count(q, added, false, finish == generate.Length && added < r.MaxTokens)
	return cleaned(said.String(), a.special), nil
}

// count takes in that a turn is answered.
func (a *answerer) count(q mt.Question, tokens int, failed, full bool) {
	t := a.tally
	t.mu.Lock()
	defer t.mu.Unlock()
	t.turns++
	t.tokens += tokens
	note := func(list *[]int, yes bool) {
		if yes && !slices.Contains(*list, q.ID) {
			*list = append(*list, q.ID)
			slices.Sort(*list)
		}
	}
	note(&t.failed, failed)
	note(&t.full, full)
	a.answered(t.turns)
}

// cleaned is an answer without the texts of special tokens and without the blanks around it, as FastChat writes it.
func cleaned(answer string, special []string) string {
	for _, name := range special {
		answer = strings.ReplaceAll(answer, name, "")
	}
	return strings.TrimFunc(answer, func(r rune) bool { return unicode.IsSpace(r) || r >= 0x1C && r <= 0x1F })
}

// specialTexts are those of the special tokens that transformers knows of most models: those that begin and end a text,
// and those for the unknown and for padding.
func specialTexts(v speak.Voice) (list []string) {
	add := func(name string) {
		if name != "" && !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	if id, ok := v.Tok.BeginOfText(); ok {
		add(v.Tok.Token(id))
	}
	for _, id := range v.Ends {
		if int(id) < v.Tok.VocabSize() {
			add(v.Tok.Token(id))
		}
	}
	for _, name := range []string{"<unk>", "<pad>", "[UNK]", "[PAD]"} {
		if ids, err := v.Tok.Encode(name); err == nil && len(ids) == 1 && v.Tok.Token(ids[0]) == name {
			add(name)
		}
	}
	return list
}

// answerID is a name of an answer, as shortuuid has it: a random UUID in 22 characters of 57.
func answerID() string {
	const letters = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	n, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 128)) // It never fails.
	id := make([]byte, 22)
	base, digit := big.NewInt(int64(len(letters))), new(big.Int)
	for i := range id {
		n.DivMod(n, base, digit)
		id[len(id)-1-i] = letters[digit.Int64()]
	}
	return string(id)
}
