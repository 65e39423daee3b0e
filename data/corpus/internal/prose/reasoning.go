package prose

import (
	"fmt"
	"strings"
)

// order puts people in a row by one quality and asks about it.
func order(w *writer) (key, text string) {
	type quality struct{ more, most, least, less string }
	q := pick(w.r, []quality{
		{"taller", "tallest", "smallest", "smaller"}, {"older", "oldest", "youngest", "younger"},
		{"faster", "fastest", "slowest", "slower"}, {"stronger", "strongest", "weakest", "weaker"},
		{"richer", "richest", "poorest", "poorer"},
	})
	four := sample(w.r, people, 4)
	key = "order " + q.more
	for i, x := range []string{"A", "B", "C", "D"} {
		w.cast(x, four[i])
		key += " " + four[i].name
	}
	w.set("more", q.more, "most", q.most, "least", q.least, "less", q.less)
	n := w.r.between(3, 4)
	first := "{A} is {more} than {B}. {B} is {more} than {C}."
	last := "{C}"
	if n == 4 {
		first += " {C} is {more} than {D}."
		last = "{D}"
	}
	second := "[Who is the {most}?|Which of them is the {most}?] {A} is {more} than {B}, and {B} is {more} than {C}, so {A} is also {more} than {C}."
	if n == 4 {
		second += " And because {C} is {more} than {D}, {A} is {more} than all the others."
	}
	third := "So {A} is the {most}, and " + last + " is the {least}. [The other way round, {C} is {less} than {B}, and {B} is {less} than {A}.|Read backwards, it says that {B} is {less} than {A}.]"
	rule := w.say("[This is how we reason: what is true of the first and the second, and of the second and the third, is true of the first and the third.|We do not have to measure all of them; it is enough to compare neighbours.|But from this we do not know how much {more} {A} is, only that it is so.]")

	// The same with towns and distances, where the numbers decide.
	towns := sample(w.r, towns, 3)
	w.visit("T", towns[0])
	w.visit("U", towns[1])
	w.visit("V", towns[2])
	a, b := w.r.between(5, 40), w.r.between(5, 40)
	if a == b {
		b++
	}
	near, far := towns[1], towns[2]
	if b < a {
		near, far = far, near
	}
	w.set("near", near.name, "far", far.name)
	w.count("a", a, "b", b, "low", min(a, b), "high", max(a, b), "d", max(a, b)-min(a, b))
	fourth := w.say("From {T} to {U} it is {#a} kilometres, and from {T} to {V} it is {#b} kilometres. Which town is nearer to {T}? [{#low} is less than {#high}, so {near} is nearer.|{^near} is nearer, because {#low} is less than {#high}.] The way to {far} is {#d} kilometres longer, because {#high} minus {#low} is {#d}.")
	return key, paragraphs(title(w, "Who is the "+q.most+"?"), w.say(first), w.say(second), w.say(third), rule, fourth)
}

// syllogism applies what holds of a class to one of its members.
func syllogism(w *writer) (key, text string) {
	rules := map[string]string{
		"mammal": "feed their young with milk", "bird": "have feathers", "amphibian": "begin their lives in the water", "reptile": "have scales",
		"fish": "breathe with gills", "insect": "have six legs", "arachnid": "have eight legs", "mollusc": "have soft bodies",
	}
	one := map[string]string{
		"mammal": "feeds its young with milk", "bird": "has feathers", "amphibian": "begins its life in the water", "reptile": "has scales",
		"fish": "breathes with gills", "insect": "has six legs", "arachnid": "has eight legs", "mollusc": "has a soft body",
	}
	two := sample(w.r, people, 2)
	w.cast("A", two[0])
	w.cast("B", two[1])
	key = "syllogism " + two[0].name + " " + two[1].name
	parts := []string{w.say("{A} and {B} [talked about reasons|wanted to find out what follows from what|had an argument about animals]. \"[If two things are true, a third one may follow|From two sentences one can make a third],\" said {A}.")}
	for i, a := range sample(w.r, animals, 3) {
		w.set("x", a.name, "class", a.class, "all", rules[a.class], "one", one[a.class])
		if a.class == "fish" {
			w.set("classes", "fish")
		} else {
			w.set("classes", a.class+"s")
		}
		switch i {
		case 0, 1:
			parts = append(parts, w.say("[All {classes} {all}. The {x} is a {class}. Therefore the {x} {one}.|\"All {classes} {all},\" said {A}. \"The {x} is a {class}. What follows?\" \"That the {x} {one},\" said {B}.|Does the {x} belong to those that {all}? All {classes} {all}, and the {x} is a {class}. So the answer is yes: the {x} {one}.]"))
		case 2:
			other := pick(w.r, animals)
			for other.class == a.class {
				other = pick(w.r, animals)
			}
			w.set("y", other.name, "other", other.class)
			parts = append(parts, w.say("[\"Is the {y} a {class}?\" asked {B}. \"No,\" said {A}. \"The {y} is a {other}, and no {other} is a {class}.\"|The {y} is not a {class}, because it is a {other}. What we know of all {classes} tells us nothing about it.]"))
		}
		key += " " + a.name
	}
	s := pick(w.r, seasons)
	w.season(s)
	parts = append(parts, w.say(
		"[Not everything that sounds right is right.|One must be careful, though.|\"Now comes a trap,\" said {A}.]",
		"[When it rains, the street is wet. The street is wet. Does it follow that it has rained? No, because somebody may have spilled a bucket of water.|All apples are fruit. This is a fruit. Does it follow that it is an apple? No, because it may be a pear or a plum.|In winter the trees are bare. This tree is bare. Does it follow that it is winter? No, because the tree may be dead.|When the lamp is on, the window is bright. The window is bright. Does it follow that the lamp is on? No, because the sun may be shining.]",
		"[{B} understood it at last.|\"So a rule may be read in one direction only,\" said {B}.|That day {B} learned to ask: is it the only reason?]"))
	return key, paragraphs(parts...)
}

// chain tells what came of one small cause, forwards and then backwards.
func chain(w *writer) (key, text string) {
	links := [][]string{
		{"it did not rain for six weeks", "the grass became dry", "the cows gave little milk", "there was little cheese", "the price of cheese rose", "people bought more bread", "the baker had to get up at three o'clock"},
		{"the wind broke a branch", "the branch fell on the roof", "a tile slid down", "the rain came in", "the flour got wet", "there was no bread on Monday", "the children had porridge for breakfast"},
		{"somebody left a gate open", "the goats walked into the garden", "they ate the young cabbage", "the gardener had nothing to sell", "he had time to repair the fence", "he found an old coin in the ground", "the school could buy new books"},
		{"a bird dropped a seed on the wall", "a small tree grew out of the stones", "its roots opened a crack", "water ran into the crack", "the water froze in winter", "the stones were pushed apart", "the wall fell down in spring"},
		{"the first snow came early", "the road over the hill was closed", "the cart with the salt did not arrive", "the meat could not be salted", "it had to be eaten at once", "there was a great feast", "the whole town was happy for three days"},
		{"the bees flew out late that year", "the apple flowers were hardly visited", "few apples grew", "nobody had to pick apples in autumn", "there was time to mend the roads", "the carts came through the mud more easily", "the market was full in spite of everything"},
		{"a child asked why the sky is blue", "the teacher did not know it", "she went to the library", "the librarian ordered a book", "the book came with the post", "the postman read it on the way", "now he explains the sky to everybody"},
		{"a wheel of the mill broke", "the miller could not grind", "the farmers had to wait", "they sat together and talked", "they found that all of them needed a new road", "they built it in one summer", "now the mill is reached in half the time"},
	}
	l := pick(w.r, links)
	n := w.r.between(5, len(l))
	l = l[:n]
	p, s := pick(w.r, people), pick(w.r, seasons)
	w.cast("A", p)
	w.season(s)
	w.set("start", l[0], "end", l[n-1])
	var forward []string
	for i := 1; i < n; i++ {
		w.set("cause", l[i-1], "effect", l[i])
		forward = append(forward, w.expand("[Because {cause}, {effect}.|{^cause}, and so {effect}.|Since {cause}, {effect}.|{^cause}. Therefore {effect}.]"))
	}
	var back []string
	for i := n - 1; i > 0; i-- {
		back = append(back, fmt.Sprintf("Why? Because %s.", l[i-1]))
	}
	open := w.say("[One {season} in {A.town} {start}.|It was {season} in {A.town}, and {start}.|In {month} {start}, and nobody in {A.town} thought much about it.]", "[Small causes may have great effects.|Let us see what came of it.|One thing led to another.]")
	mid := w.say(forward...)
	question := w.say("[\"How did it come about?\" a traveller asked.|{A}, the {A.job}, tells it backwards.|We can also ask in the other direction.]", "In the end {end}.", strings.Join(back, " "))
	last := w.say("[Each effect was the cause of the next one.|If the first thing had not happened, the last would not have happened either.|\"If you want to change the end,\" {A} says, \"look for the beginning.\"]")
	return fmt.Sprint("cause ", l[0], " ", n, " ", p.name, " ", s.name), paragraphs(title(w, "Cause and effect"), open, mid, question, last)
}

// history is the past of a town in years that can be added and subtracted.
func history(w *writer) (key, text string) {
	t, p := pick(w.r, towns), pick(w.r, people)
	w.visit("T", t)
	w.cast("A", p)
	events := []string{"a fire destroyed half of the houses", "the first school was opened", "the {T.river} flooded the square", "the market got its own law", "a new bridge was built over the {T.river}", "the old wall was pulled down", "the {T.product} of {T} won a prize", "the road to {U} was finished", "a hard winter killed the fruit trees", "the library was given its first hundred books", "the town counted two thousand people for the first time", "a doctor came to live there"}
	other := pick(w.r, towns)
	for other.name == t.name {
		other = pick(w.r, towns)
	}
	w.visit("U", other)
	y := t.founded
	key = fmt.Sprint("history ", t.name, " ", p.name, " ", other.name)
	parts := []string{title(w, "The history of "+t.name), w.say("[{T} was founded in {T.founded}. It lies {T.land}.|In the year {T.founded} some families settled {T.land} and founded {T}.]", "[People came because of the {T.product}.|People chose the place because of the river {T.river}.|From the beginning its people lived from {T.product}.]")}
	var said []string
	for _, e := range sample(w.r, events, w.r.between(4, 6)) {
		d := w.r.between(8, 60)
		w.set("event", w.expand(e), "then", fmt.Sprint(y), "year", fmt.Sprint(y+d), "d", fmt.Sprint(d))
		y += d
		said = append(said, w.say("[{d} years later, in {year}, {event}.|In {year} {event}; that was {d} years after {then}.|{year} was the year in which {event}. {then} plus {d} is {year}.|Then, in {year}, {event}.]"))
		key += fmt.Sprint(" ", y)
	}
	half := len(said) / 2
	w.set("span", fmt.Sprint(y-t.founded), "y", fmt.Sprint(y))
	parts = append(parts, strings.Join(said[:half], " "), strings.Join(said[half:], " "), w.say(
		"[How old was {T} then? {y} minus {T.founded} is {span}, so it was {span} years old.|From {T.founded} to {y} it is {span} years.]",
		"[Today the visitor still finds {T.landmark}.|Of the oldest times only one thing is left: {T.landmark}.]",
		"[{A}, the {A.job} of {A.town}, has written all this down.|I have it from {A}, who found it in an old book.|\"{T} is older than {U} or younger,\" says {A}, \"that does not matter; what matters is that people stayed.\"]"))
	return key, paragraphs(parts...)
}
