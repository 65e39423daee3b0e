package prose

import "fmt"

var legWords = map[int]string{0: "no", 2: "two", 4: "four", 6: "six", 8: "eight"}

func (w *writer) animal(x string, a animal) {
	plural := a.class + "s"
	if a.class == "fish" {
		plural = a.class
	}
	w.set(x, a.name, x+".class", a.class, x+".classes", plural, x+".home", a.home, x+".food", a.food, x+".young", a.young,
		x+".move", a.move, x+".trait", a.trait, x+".why", a.why, x+".legs", legWords[a.legs], x+".about", w.say(classes[a.class]))
}

// profile describes one animal, and somebody who meets it.
func profile(w *writer) (key, text string) {
	a, p, s := pick(w.r, animals), pick(w.r, people), pick(w.r, seasons)
	w.cast("A", p)
	w.season(s)
	w.animal("x", a)
	first := w.say(
		"[The {x} is a {x.class}.|The {x} belongs to the {x.classes}.]",
		"{x.about}",
		"[It has {x.legs} legs and {x.trait}.|You can tell it by {x.trait}, and it has {x.legs} legs.|It has {x.trait} and {x.legs} legs.]")
	second := w.say(
		"[The {x} lives {x.home}.|It makes its home {x.home}.|You can find it {x.home}.]",
		"[It eats {x.food}.|It feeds on {x.food}.|Its food is {x.food}.]",
		"[It {x.move}.|To get from place to place it {x.move}.]",
		"[A young {x} is called {x.young}.|Its young one is called {x.young}.]")
	third := w.say(
		"[Why does the {x} have {x.trait}?|What is the use of {x.trait}?|The {x} needs {x.trait}.]",
		"[The reason is that {x.why}.|It is useful because {x.why}.|Because of this, {x.why}.]")
	fourth := w.say(
		"[One {season} morning|One evening in {month}|On a day in {month}] {A} [saw|met|noticed] a {x} [near {A.town}|behind {A.place} in {A.town}|by the river {A.t.river}].",
		"{weather}, and {ground}.",
		"[{^A.he} stood still and counted to a hundred.|{^A.he} did not move and hardly breathed.|{^A.he} sat down on a stone and waited.]",
		"[The {x} looked round and went on with its work.|After a while the {x} was gone.|The {x} did not seem to be afraid.]",
		"\"[A {x} has {x.legs} legs and {x.trait}|It eats {x.food}|A young one is called {x.young}],\" [{A} told the children later|{A} wrote that night|said {A} at supper].")
	return "profile " + a.name + " " + p.name + " " + s.name, paragraphs(title(w, "The "+a.name), first, second, third, fourth)
}

// compare sets two animals side by side.
func compare(w *writer) (key, text string) {
	two := sample(w.r, animals, 2)
	a, b := two[0], two[1]
	w.animal("x", a)
	w.animal("y", b)
	open := w.say("[What is the difference between a {x} and a {y}?|A {x} and a {y} are easy to tell apart.|Let us compare the {x} and the {y}.]")
	class := "[The {x} is a {x.class}, but the {y} is a {y.class}.|The {x} belongs to the {x.classes} and the {y} to the {y.classes}.] {x.about} {y.about}"
	if a.class == b.class {
		class = "Both are {x.classes}. {x.about} [In this they are alike.|So they have much in common.]"
	}
	legs := "The {x} has {x.legs} legs, while the {y} has {y.legs}."
	switch {
	case a.legs == b.legs && a.legs > 0:
		legs = fmt.Sprintf("Both have {x.legs} legs, so together they have %s.", number(a.legs+b.legs))
	case a.legs == b.legs:
		legs = "Neither of them has any legs."
	case w.r.chance(60):
		legs += fmt.Sprintf(" Together they have %s legs.", number(a.legs+b.legs))
	}
	first := w.say(class, legs)
	second := w.say(
		"The {x} lives {x.home}; the {y} lives {y.home}.",
		"[The {x} eats {x.food}, and the {y} eats {y.food}.|While the {x} feeds on {x.food}, the {y} feeds on {y.food}.]",
		"[The {x} {x.move}, but the {y} {y.move}.|The {y} {y.move}, but the {x} {x.move}.]")
	third := w.say(
		"The {x} has {x.trait}: {x.why}.",
		"The {y} has {y.trait}: {y.why}.",
		"[A young {x} is called {x.young}, and a young {y} is called {y.young}.|The young of the {x} is {x.young}; the young of the {y} is {y.young}.]",
		"[So each of them is made for the life it leads.|Each is good at something that the other cannot do.|Neither is better than the other; they only live in different ways.]")
	return "compare " + a.name + " " + b.name, paragraphs(title(w, "The "+a.name+" and the "+b.name), open+" "+first, second, third)
}

// riddle lets somebody guess three animals from their facts.
func riddle(w *writer) (key, text string) {
	two := sample(w.r, people, 2)
	w.cast("A", two[0])
	w.cast("B", two[1])
	three := sample(w.r, animals, 3)
	parts := []string{w.say(
		"{A} and {B} [were waiting for the rain to stop|sat by the fire in {A.town}|were walking home from {A.place}].",
		"\"[Let us play a game|I know a game],\" said {A}. \"I think of an animal, and you [guess|must guess] what it is.\"",
		"\"[Good|All right|With pleasure],\" said {B}.")}
	key = "riddle " + two[0].name + " " + two[1].name
	for _, a := range three {
		w.animal("x", a)
		wrong := pick(w.r, animals)
		for wrong.class == a.class {
			wrong = pick(w.r, animals)
		}
		w.animal("y", wrong)
		p := "\"[It has {x.legs} legs and {x.trait}|It {x.move} and has {x.legs} legs|It is a {x.class} with {x.trait}],\" said {A}. \"[It eats {x.food}|It lives {x.home}]. [What is it|What am I thinking of|Which animal is it]?\" "
		if w.r.chance(45) {
			p += "\"Is it a {y}?\" asked {B}. \"No,\" said {A}, \"a {y} is a {y.class}, and my animal is a {x.class}.\" \"Then it is a {x},\" said {B}. \"Yes, [that is right|now you have it]!\""
		} else {
			p += "{B} [thought for a moment|laughed|did not need long]. \"[It is a {x}|That must be a {x}], because [a {x} eats {x.food}|only a {x} has {x.trait}|a {x} {x.move}].\" \"[Right|Quite right|That is right]!\" said {A}."
		}
		parts = append(parts, w.say(p))
		key += " " + a.name
	}
	parts = append(parts, w.say("[\"Now it is my turn,\" said {B}.|\"You know too much about animals,\" said {A}, and they both laughed.|Then the rain stopped, and they went on their way.]"))
	return key, paragraphs(parts...)
}
