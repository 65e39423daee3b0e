package prose

import (
	"fmt"
	"strings"
)

// fact is one question of a lesson with its answer.
type fact struct{ ask, answer string }

// question draws a question about the world, with a true answer.
func question(w *writer) fact {
	switch w.r.below(10) {
	case 0:
		t := pick(w.r, topics)
		return fact{t.question, t.answer}
	case 1:
		a := pick(w.r, animals)
		return fact{"How many legs does a " + a.name + " have?", "A " + a.name + " has " + legWords[a.legs] + " legs."}
	case 2:
		a := pick(w.r, animals)
		return fact{"What does a " + a.name + " eat?", "It eats " + a.food + "."}
	case 3:
		a := pick(w.r, animals)
		return fact{"To which class does the " + a.name + " belong?", "The " + a.name + " is a " + a.class + "."}
	case 4:
		t := pick(w.r, towns)
		return fact{"What is " + t.name + " known for?", t.name + " is known for its " + t.product + "."}
	case 5:
		t := pick(w.r, towns)
		return fact{"On which river does " + t.name + " lie?", t.name + " lies on the " + t.river + "."}
	case 6:
		s := pick(w.r, seasons)
		m := w.r.below(3)
		return fact{"Which season has the month of " + s.months[m] + "?", s.months[m] + " belongs to " + s.name + "."}
	case 7:
		a, b := w.r.between(2, 12), w.r.between(2, 12)
		return fact{fmt.Sprintf("What is %s times %s?", number(a), number(b)), fmt.Sprintf("%s times %s is %s.", capital(number(a)), number(b), number(a*b))}
	case 8:
		a, b := w.r.between(10, 60), w.r.between(2, 39)
		return fact{fmt.Sprintf("What is %d plus %d?", a, b), fmt.Sprintf("%d plus %d is %d.", a, b, a+b)}
	}
	days := []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}
	d := w.r.below(7)
	if w.r.chance(50) {
		return fact{"Which day comes after " + days[d] + "?", "After " + days[d] + " comes " + days[(d+1)%7] + "."}
	}
	return fact{"Which day comes before " + days[d] + "?", "Before " + days[d] + " comes " + days[(d+6)%7] + "."}
}

// questions draws n different ones.
func questions(w *writer, n int) []fact {
	var out []fact
	asked := map[string]bool{}
	for len(out) < n {
		f := question(w)
		if !asked[f.ask] {
			asked[f.ask] = true
			out = append(out, f)
		}
	}
	return out
}

// lesson is a dialogue of questions and answers.
func lesson(w *writer) (key, text string) {
	two := sample(w.r, people, 2)
	w.cast("A", two[0])
	w.cast("B", two[1])
	s := pick(w.r, seasons)
	w.season(s)
	parts := []string{w.say(
		"[One morning in {month}|On a {season} evening|One afternoon in {month}] {A} and {B} [were sitting in the school of {A.town}|sat at a table {A.at}|walked along the {A.t.river}].",
		"[{B} wanted to know whether {A} had learned anything.|{B} had a book full of questions.|\"Ask me something,\" said {A}.]")}
	key = "lesson " + two[0].name + " " + two[1].name + " " + s.name
	for i, f := range questions(w, w.r.between(5, 8)) {
		w.set("ask", f.ask, "answer", f.answer, "answered", strings.TrimSuffix(f.answer, "."))
		first := "[\"{ask}\" asked {B}.|{B} asked: \"{ask}\"|\"And now tell me this,\" said {B}. \"{ask}\"|\"Next question,\" said {B}. \"{ask}\"]"
		if i == 0 {
			first = "\"{ask}\" [asked {B}|was the first question]."
		}
		parts = append(parts, w.say(first, "[\"{answer}\"|\"{answered},\" said {A} at once.|{A} thought for a moment. \"{answer}\"|\"That is easy,\" said {A}. \"{answer}\"]", "[\"Right.\"|\"Very good.\"|\"Yes.\"||]"))
		key += " " + f.ask
	}
	parts = append(parts, w.say("[\"Now I have no more questions,\" said {B}.|\"You know everything,\" said {B}. \"No,\" said {A}, \"but I know where to look.\"|Then they closed the book and went home.|\"Tomorrow we go on,\" said {B}.]"))
	return key, paragraphs(parts...)
}

// quiz is the same in the form of a printed sheet.
func quiz(w *writer) (key, text string) {
	var lines []string
	key = "quiz"
	for i, f := range questions(w, w.r.between(7, 11)) {
		lines = append(lines, articles(fmt.Sprintf("Question %d: %s\nAnswer: %s", i+1, f.ask, f.answer)))
		key += " " + f.ask
	}
	return key, paragraphs(append([]string{title(w, "Questions and answers")}, lines...)...)
}

// letter is from one person to another.
func letter(w *writer) (key, text string) {
	two := sample(w.r, people, 2)
	a, b := two[0], two[1]
	w.cast("A", a)
	w.cast("B", b)
	s := pick(w.r, seasons)
	w.season(s)
	w.count("day", w.r.between(1, 28), "n", w.r.between(2, 9), "week", w.r.between(2, 6))
	w.animal("x", pick(w.r, animals))
	third := pick(w.r, people)
	for third.name == a.name || third.name == b.name {
		third = pick(w.r, people)
	}
	w.cast("C", third)
	head := w.say("{A.town}, {#day} {month}")
	hello := w.say("Dear {B},")
	first := w.say(
		"[thank you for your letter, which came on Monday.|I have not written for {week} weeks, and I am sorry.|how are you, and how is everybody in {B.town}?|today I have time at last to write to you.]",
		"[Here it is {season}.|It is {season} here in {A.town}.] {weatherNow}.",
		"[We all {work}.|You can imagine that we have to {work}.]")
	second := w.say(
		"[There is much to do {A.at}.|As you know, I am the {A.job} here.|My work goes well.]",
		"[Last week I sold {n} times as much as in the week before.|Yesterday I worked until ten o'clock at night.|People come from {C.town} to see my {A.makes}.]",
		"[Do you remember {C}, the {C.job} from {C.town}? {^C.he} came to see me and brought {C.t.product}.|{C} from {C.town} sends you {C.his} best wishes.|{C} has taught me a lot about {C.hobby}.]")
	fourth := w.say(
		"[On Sunday I saw a {x} near the {A.t.river}. It has {x.legs} legs and {x.trait}, and it eats {x.food}.|Just imagine, there is a {x} behind the house. I have read that it lives {x.home}.|The children have found a young {x}; it is called {x.young}, as you surely know.]",
		"[I still have {A.pet}.|There is {A.pet} next to me while I write.|In the evenings I spend my time with {A.hobby}.]")
	fifth := w.say(
		"[Will you visit me in {month}?|When will you come to {A.town}?|I hope that you can come soon.]",
		"[I would cook {B.food} for you, because I know that you like it.|There is always a bed for you, and {B.food}.|Please bring some {B.t.product} from {B.town}, for there is nothing like it here.]")
	return "letter " + a.name + " " + b.name + " " + third.name + " " + s.name, paragraphs(head, hello, capital(first), second, fourth, fifth, w.say("[Yours|Best wishes|With love|Your old friend],"), a.name)
}
