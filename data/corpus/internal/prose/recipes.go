package prose

import "fmt"

type ingredient struct {
	amount     int // for one person, in units
	unit, name string
}

type dish struct {
	name        string
	ingredients []ingredient
	steps       []string
	minutes     int
	tip         string
}

var dishes = []dish{
	{"pea soup", []ingredient{{60, "grams of", "dried peas"}, {1, "", "carrot"}, {250, "millilitres of", "water"}, {20, "grams of", "butter"}}, []string{
		"Soak the peas in cold water over night.", "Cut the carrots into small pieces.", "Melt the butter in a large pot and fry the carrots until they are soft.", "Add the peas and the fresh water.", "Let everything boil gently and stir from time to time.", "Add salt at the end, because salt keeps the peas hard."}, 60, "The soup is even better on the second day."},
	{"apple cake", []ingredient{{1, "", "apple"}, {60, "grams of", "flour"}, {30, "grams of", "sugar"}, {30, "grams of", "butter"}, {1, "", "egg"}}, []string{
		"Peel the apples and cut them into thin slices.", "Stir the butter with the sugar until it is white.", "Add the eggs one after the other.", "Mix in the flour, but do not stir too long.", "Put the dough into a flat tin and lay the apples on top.", "Bake the cake until it is golden brown."}, 45, "Let it cool before you cut it, or it will break."},
	{"bread", []ingredient{{150, "grams of", "flour"}, {90, "millilitres of", "warm water"}, {3, "grams of", "salt"}, {5, "grams of", "yeast"}}, []string{
		"Mix the yeast with a little of the warm water.", "Put the flour and the salt into a bowl.", "Add the yeast and the rest of the water.", "Work the dough with both hands until it is smooth.", "Cover it with a cloth and let it rise in a warm place for one hour.", "Shape a round loaf and bake it in a hot oven."}, 40, "The bread is ready when it sounds hollow."},
	{"pancakes", []ingredient{{50, "grams of", "flour"}, {100, "millilitres of", "milk"}, {1, "", "egg"}, {10, "grams of", "butter"}}, []string{
		"Beat the eggs in a bowl.", "Pour in the milk slowly.", "Stir in the flour until there are no lumps.", "Let the batter rest for a quarter of an hour.", "Melt some butter in a pan.", "Fry each pancake on both sides until it is brown."}, 30, "The first pancake is often a failure, and the cook may eat it."},
	{"mushroom stew", []ingredient{{120, "grams of", "mushrooms"}, {1, "", "onion"}, {2, "", "potatoes"}, {40, "millilitres of", "cream"}}, []string{
		"Clean the mushrooms with a brush and cut them in half.", "Chop the onions very fine.", "Peel the potatoes and boil them in salt water.", "Fry the onions first and then the mushrooms.", "Add the cream and let the sauce become thick.", "Serve it with the hot potatoes."}, 35, "Use only mushrooms that you know well."},
	{"plum jam", []ingredient{{200, "grams of", "plums"}, {100, "grams of", "sugar"}, {1, "", "clove"}}, []string{
		"Wash the plums and take out the stones.", "Cut the fruit into quarters.", "Mix it with the sugar and leave it for two hours.", "Boil it slowly and stir all the time, so that it does not burn.", "Put a drop on a cold plate: if it stays firm, the jam is ready.", "Fill it into clean jars and close them at once."}, 50, "In a dark cellar the jam keeps for a year."},
	{"baked fish", []ingredient{{1, "", "fish"}, {1, "", "lemon"}, {15, "grams of", "butter"}, {2, "", "potatoes"}}, []string{
		"Wash the fish and dry it with a cloth.", "Rub it with salt on both sides.", "Put slices of lemon inside.", "Cut the potatoes into slices and lay them in a flat dish.", "Lay the fish on top and spread the butter over it.", "Bake everything in a hot oven."}, 40, "The fish is done when it comes off the bones easily."},
	{"cheese pie", []ingredient{{70, "grams of", "flour"}, {35, "grams of", "butter"}, {60, "grams of", "cheese"}, {1, "", "egg"}}, []string{
		"Rub the butter into the flour with your fingers.", "Add a spoon of cold water and make a firm dough.", "Roll out the dough and lay it in a round tin.", "Grate the cheese and mix it with the eggs.", "Spread the mixture on the dough.", "Bake the pie until the top is brown."}, 40, "It tastes good hot or cold."},
	{"honey biscuits", []ingredient{{60, "grams of", "flour"}, {25, "grams of", "honey"}, {20, "grams of", "butter"}, {10, "grams of", "chopped nuts"}}, []string{
		"Warm the honey with the butter until both are liquid.", "Let the mixture cool a little.", "Stir in the flour and the nuts.", "Leave the dough in a cold place for one hour.", "Roll it out and cut out small stars.", "Bake the biscuits on the upper shelf."}, 12, "They become hard at first and soft again after a week."},
	{"roast potatoes", []ingredient{{4, "", "potatoes"}, {15, "millilitres of", "oil"}, {1, "", "sprig of rosemary"}}, []string{
		"Peel the potatoes and cut them in half.", "Boil them for ten minutes and pour off the water.", "Shake the pot well, so that the edges become rough.", "Heat the oil in a tin in the oven.", "Turn the potatoes in the hot oil and add the rosemary.", "Roast them and turn them once."}, 45, "Rough edges become crisp, and that is the whole secret."},
	{"vegetable stew", []ingredient{{1, "", "carrot"}, {1, "", "onion"}, {2, "", "potatoes"}, {50, "grams of", "beans"}, {200, "millilitres of", "water"}}, []string{
		"Wash and peel the vegetables.", "Cut everything into pieces of the same size.", "Fry the onions in a little oil.", "Add the carrots and the potatoes and pour in the water.", "Put in the beans when the potatoes are half done.", "Let it stand for a moment before you serve it."}, 40, "Pieces of the same size are done at the same time."},
}

func recipe(w *writer) (key, text string) {
	d, p := pick(w.r, dishes), pick(w.r, people)
	n := w.r.between(2, 8)
	w.cast("A", p)
	w.visit("T", p.town)
	guests := pick(w.r, people)
	for guests.name == p.name {
		guests = pick(w.r, people)
	}
	w.cast("B", guests)
	s := pick(w.r, seasons)
	w.season(s)
	w.count("n", n, "m", d.minutes)
	w.set("dish", d.name, "tip", d.tip)
	var need []string
	for _, i := range d.ingredients {
		need = append(need, quantity(i, n))
	}
	open := w.say(
		"[{A} often cooks {dish} in {season}.|{A}, the {A.job} of {A.town}, is known for {A.his} {dish}.|When {B} came to {A.town} in {month}, {A} made {dish}.|\"How do you make {dish}?\" {B} asked {A} one day in {month}.]",
		"[This is how it is done.|Here is how {A.he} makes it.|The recipe is old and simple.]")
	things := w.say(fmt.Sprintf("[For {n} people you need|You need for {n} people|If {n} people want to eat, take] %s.", list(need)),
		fmt.Sprintf("[|For one person alone, %s would be enough.]", quantity(d.ingredients[0], 1)))
	words := []string{"First, ", "Then, ", "", "After that, ", "Next, ", "At the end, "}
	var steps []string
	for i, step := range d.steps {
		word := words[min(i, len(words)-1)]
		if word != "" && w.r.chance(60) {
			first := step[:1]
			step = word + string(first[0]+'a'-'A') + step[1:]
		}
		steps = append(steps, step)
	}
	close := w.say("[It takes about {m} minutes on the fire or in the oven.|After {m} minutes it is ready.|All in all it needs {m} minutes of heat.]", "{tip}",
		"[|{B} ate two plates and asked for more.|\"[Very good|Excellent],\" said {B}, \"[but next time I would take less salt|and now I can make it myself].\"|{^A.his} own favourite food, by the way, is {A.food}.]")
	return fmt.Sprint("recipe ", d.name, " ", p.name, " ", n, " ", s.name), paragraphs(title(w, capital(d.name)), open, things, w.say(steps...), close)
}

// quantity is an ingredient for n people; what is counted is in words.
func quantity(i ingredient, n int) string {
	total := i.amount * n
	if i.unit != "" {
		return fmt.Sprintf("%d %s %s", total, i.unit, i.name)
	}
	name := i.name
	if total == 1 {
		if name == "potatoes" {
			name = "potato"
		}
		return "one " + name
	}
	switch name {
	case "potatoes", "fish":
	case "sprig of rosemary":
		name = "sprigs of rosemary"
	default:
		name += "s"
	}
	return number(total) + " " + name
}
