package prose

import (
	"fmt"
	"strings"
)

// guide describes a town and some who live there.
func guide(w *writer) (key, text string) {
	t := pick(w.r, towns)
	w.visit("T", t)
	s := pick(w.r, seasons)
	w.season(s)
	var here []person
	for _, p := range people {
		if p.town.name == t.name {
			here = append(here, p)
		}
	}
	visitor := pick(w.r, people)
	for visitor.town.name == t.name {
		visitor = pick(w.r, people)
	}
	w.cast("V", visitor)
	since := w.r.between(1, 4) * 100
	w.set("year", fmt.Sprint(t.founded+since), "since", fmt.Sprint(since))
	first := w.say(
		"[{T} is a small town {T.land}.|The town of {T} lies {T.land}.|If you travel along the {T.river}, you come to {T}.]",
		"[It stands on the river {T.river}.|The river {T.river} runs through it.|Its river is the {T.river}.]",
		"[It was founded in the year {T.founded}.|The oldest houses were built in {T.founded}.]",
		"[In {year} it was {since} years old.|{since} years later, in {year}, there was a great feast.|]")
	second := w.say(
		"[The town is known for its {T.product}.|Everybody knows the {T.product} of {T}.|{T} lives from {T.product}.]",
		"[Carts carry the {T.product} to the other towns.|On market day you can buy {T.product} in the square.|In a good year the town has enough {T.product} for all the towns around.]",
		"[The first thing a stranger sees is {T.landmark}.|In the middle there is {T.landmark}.|Children like to meet at a special place, {T.landmark}.]")
	var folk []string
	for _, p := range some(w.r, here, min(3, len(here))) {
		w.cast("P", p)
		folk = append(folk, w.say("[{P} is the {P.job} here and {P.does}.|{P} {P.does}, for {P.he} is the {P.job} of the town.|{^P.at} you may meet {P}, the {P.job}.]",
			"[{^P.he} likes {P.hobby} and has {P.pet}.|{^P.he} has {P.pet}.|In the evening {P.he} likes {P.hobby}.|{^P.his} favourite food is {P.food}.]"))
	}
	last := w.say(
		"[In {season} it is best to come early.|{^season} is a good time for a visit.|Many people come in {month}.]",
		"{weather}, and {ground}, when {V} from {V.town} [came for the first time|spent three days here|wrote a letter home].",
		"[\"At home we have {V.t.product}, and here you have {T.product},\" {V.he} said. \"Let us trade.\"|\"I came for the {T.product},\" {V.he} said, \"and I shall come back for the people.\"|\"In {V.town} we are proud of our {V.t.product},\" {V.he} said, \"but I shall take some {T.product} home with me.\"]")
	return "guide " + t.name + " " + s.name + " " + visitor.name, paragraphs(title(w, t.name), first, second, strings.Join(folk, " "), last)
}

var directions = []string{"north", "east", "south", "west"}

// journey goes through towns and adds up the way.
func journey(w *writer) (key, text string) {
	p := pick(w.r, people)
	w.cast("A", p)
	s := pick(w.r, seasons)
	w.season(s)
	stops := []town{p.town}
	for _, t := range sample(w.r, towns, 5) {
		if t.name != p.town.name && len(stops) < 4 {
			stops = append(stops, t)
		}
	}
	w.visit("Z", stops[3])
	w.set("goods", pick(w.r, []string{"a letter", "a heavy parcel", "a basket of eggs", "a clock", "a young dog", "three books", "a bag of seeds", "a new saw"}))
	parts := []string{w.say(
		"[In {month}|One day in {month}|On the first of {month}] {A}, the {A.job} of {A.town}, had to take {goods} to {Z}.",
		"{weather}, and {ground}.",
		"[{^A.he} packed some bread and a warm coat and left at six o'clock.|{^A.he} left {A.own} with a neighbour and set out at sunrise.|It was a long way, and {A.he} went on foot.]")}
	meetings := sample(w.r, []string{
		"An old man asked where {A.he} was going. \"To {Z},\" said {A}. \"Then you are on the right road,\" said the old man.",
		"{^A.he} slept in a barn and heard the rain on the roof.",
		"At the inn they served {A.food}, and {A.he} was happy, because that is {A.his} favourite food.",
		"{^A.he} lost the way once, but the sun showed {A.him} where the west was.",
		"A farmer let {A.him} ride on a cart for the last part of the way.",
		"Two children ran beside {A.him} and asked a hundred questions.",
		"There {A.he} rested under a tree and thought of {A.hobby}.",
	}, 3)
	total, sums := 0, []string{}
	for i := 1; i < len(stops); i++ {
		km := w.r.between(4, 19)
		total += km
		sums = append(sums, fmt.Sprint(km))
		w.visit("F", stops[i-1])
		w.visit("T", stops[i])
		w.set("dir", pick(w.r, directions), "nth", []string{"first", "second", "third"}[i-1])
		w.count("km", km, "total", total)
		parts = append(parts, w.say(
			"[On the {nth} day {A.he} walked {km} kilometres to the {dir}, from {F} to {T}.|From {F} the road goes to the {dir}, and after {km} kilometres it reaches {T}.|The way from {F} to {T} is {km} kilometres long and leads to the {dir}.]",
			"[{T} lies {T.land}.|There {A.he} saw {T.landmark}.|{^A.he} crossed the river {T.river}.|The people there sell {T.product}.]",
			meetings[i-1]))
	}
	w.set("sum", strings.Join(sums, " plus "), "all", fmt.Sprint(total))
	parts = append(parts, w.say(
		"[How far was it altogether?|In {Z} {A} added up the way.|At the end {A} counted the kilometres.]",
		"{sum} is {all}, so it was {all} kilometres.",
		"[{^A.he} gave {goods} to the right person and got a bowl of soup.|Everybody was glad that {A.he} had come.|\"You must be tired,\" they said, and {A.he} was.]",
		"[Then {A.he} had to go the same way back, and so the whole journey was twice as long.|On the way home everything looked different, because {A.he} saw it from the other side.|{^A.he} stayed for two nights and then went home.]"))
	return "journey " + p.name + " " + stops[1].name + " " + stops[2].name + " " + stops[3].name + " " + s.name, paragraphs(parts...)
}

// year follows one person's work through the seasons.
func year(w *writer) (key, text string) {
	p := pick(w.r, people)
	w.cast("A", p)
	start := w.r.below(4)
	friend := pick(w.r, people)
	for friend.name == p.name {
		friend = pick(w.r, people)
	}
	w.cast("B", friend)
	parts := []string{title(w, "A year in "+p.town.name), w.say("{A} is the {A.job} of {A.town} and {A.does}. [A year has twelve months and four seasons, and each of them brings something else.|The work changes with the seasons.|This is how the year goes by.]")}
	key = "year " + p.name + " " + friend.name
	evenings := sample(w.r, []string{
		"{A} sells {A.makes} in the market.", "There is much to do {A.at}.", "{B} comes from {B.town} and brings {B.t.product}.",
		"On Sundays {A.he} has time for {A.hobby}.", "{A} takes {A.tool} and begins early.", "In the evening there is {A.food}.",
		"{^A.own} sleeps in the warmest corner of the house.", "Sometimes {A} walks to {A.t.the} and looks around.",
	}, 4)
	for i := range 4 {
		s := seasons[(start+i)%4]
		w.season(s)
		w.set("m1", s.months[0], "m2", s.months[1], "m3", s.months[2])
		opening := "[In {season} we have the months of {m1}, {m2} and {m3}.|{^season} begins in {m1} and ends with {m3}.|Then comes {season}, with {m1}, {m2} and {m3}.]"
		if i == 0 {
			opening = "[We begin with {season}: {m1}, {m2} and {m3}.|{^season} begins in {m1} and ends with {m3}.]"
		}
		parts = append(parts, w.say(
			opening,
			"[{treesNow}.|{weatherNow}.|{weatherNow}. {treesNow}.]",
			"[It is the time to {work}.|Everybody has to {work}.|The people of {A.town} {work}.]",
			evenings[i]))
		key += fmt.Sprint(" ", s.name, w.vars["month"])
	}
	parts = append(parts, w.say("[And then it begins again.|So the year is a circle, and nobody knows where it starts.|When the year is over, {A} is one year older and knows a little more.]"))
	return key, paragraphs(parts...)
}
