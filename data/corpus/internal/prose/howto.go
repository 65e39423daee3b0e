package prose

import "strings"

type craft struct {
	name, need string
	steps      []string
	warning    string
}

var crafts = []craft{
	{"build a birdhouse", "six thin boards, a saw, a hammer and twenty nails", []string{"cut the boards to the right length", "drill a round hole into the front board", "nail the sides to the floor", "fix the front and the back", "put on the roof so that the rain runs off", "hang the house on a tree, as high as two people"}, "The hole must not be larger than three centimetres, because otherwise a cat can reach in"},
	{"plant a row of beans", "a spade, a string, some sticks and a handful of beans", []string{"dig the soil until it is loose", "take out the stones and the weeds", "stretch the string from one end to the other", "press the beans into the earth, two fingers deep", "put a stick beside each of them", "water the row every evening"}, "Do not plant them before the middle of May, because frost kills them"},
	{"light a stove", "dry wood, some paper and a match", []string{"empty the ash", "open the small door at the bottom, so that air can come in", "lay the paper on the grate", "put thin sticks on the paper and one log on top", "light the paper from below", "close the upper door when the wood burns"}, "Never close the pipe while there is still a glow, because the smoke would come into the room"},
	{"bind a small book", "twelve sheets of paper, a needle, strong thread and a piece of leather", []string{"fold each sheet in the middle", "lay three sheets into each other", "make five holes along the fold", "sew the sheets together from the middle to the ends", "glue the back and press it under a stone", "cover everything with the leather"}, "Wait a whole night until the glue is dry, or the pages will come loose"},
	{"wash a woollen coat", "a tub, cool water and mild soap", []string{"shake the dust out of the coat", "fill the tub with cool water", "stir in the soap until there is foam", "press the coat gently and do not rub it", "rinse it three times", "lay it flat on a cloth to dry"}, "Hot water makes wool shrink, and nothing can make it large again"},
	{"make a candle", "clean wax, a thick cotton thread and a tin mould", []string{"melt the wax in a pot that stands in hot water", "tie the thread to a small stick", "let it hang down in the middle of the mould", "pour in the wax slowly", "wait until it is quite cold", "pull the candle out and cut the thread"}, "Wax must never boil over the open fire, because it burns like oil"},
	{"repair a fence", "two new posts, five boards, a hammer and nails", []string{"pull out the broken posts", "dig the holes deeper than before", "burn the ends of the new posts black, so that they do not rot", "set them upright and press the earth down", "nail the boards on from bottom to top", "paint the wood on a dry day"}, "A post that stands less than half a metre deep falls in the first storm"},
	{"keep hens", "a dry shed, a fenced yard, straw and grain", []string{"cover the floor with straw", "put up a bar on which they can sleep", "build three nests in a quiet corner", "give them grain in the morning and green leaves at noon", "change the water every day", "shut the door at sunset"}, "If the door stays open, the fox comes in the night"},
	{"draw a map of a village", "a large sheet of paper, a pencil, a ruler and a compass", []string{"walk once around the whole village", "count your steps from corner to corner", "choose how many steps one centimetre shall mean", "draw the roads first", "add the river, the bridge and the houses", "mark the north with an arrow"}, "Use the same scale everywhere, because otherwise the map lies"},
	{"sharpen a knife", "a flat stone and a little water", []string{"wet the stone", "lay the blade on it at a low angle", "push it forward as if to cut a thin slice off the stone", "do the same ten times on each side", "wipe the blade with a cloth", "test it on a sheet of paper"}, "Always cut away from your hand, and never leave a sharp knife in the sink"},
	{"weave a basket", "thirty willow rods and a bucket of water", []string{"lay the rods in water for a day, so that they bend", "cross eight strong rods for the bottom", "weave a thin rod over and under them", "bend the eight rods upwards", "go on weaving until the wall is high enough", "fold in the ends and add a handle"}, "Dry rods break, so keep them wet until the end"},
	{"store apples for the winter", "boxes, dry straw and a cool cellar", []string{"pick the apples on a dry day", "throw out those with spots", "lay them side by side, so that they do not touch", "put straw between the layers", "keep the cellar dark and cool", "look through the boxes every week"}, "One bad apple spoils all the others"},
}

func howTo(w *writer) (key, text string) {
	c := pick(w.r, crafts)
	two := sample(w.r, people, 2)
	w.cast("A", two[0])
	w.cast("B", two[1])
	w.season(pick(w.r, seasons))
	w.set("craft", c.name, "need", c.need, "warning", c.warning, "lower", strings.ToLower(c.warning[:1])+c.warning[1:])
	w.count("n", len(c.steps))
	open := w.say(
		"[How do you {craft}?|{B} wanted to {craft} and asked {A} for help.|In {season} {A} shows the children of {A.town} how to {craft}.|It is not hard to {craft}, if you know how.]",
		"[You need {need}.|What you need is this: {need}.|Get {need}.]",
		"[The work has {n} steps.|There are {n} steps.|]")
	order := []string{"First", "Second", "Third", "Fourth", "Fifth", "Sixth"}
	if w.r.chance(50) {
		order = []string{"First", "Then", "Next", "After that", "Now", "At last"}
	}
	var steps []string
	for i, step := range c.steps {
		steps = append(steps, order[i]+", "+step+".")
	}
	warn := w.say(
		"[Mind one thing. {warning}.|\"Remember,\" said {A}, \"{lower}.\"|{A} knows from experience: {lower}.]",
		"[{B} did everything in the right order, and it went well.|{B} forgot one step and had to begin again.|In the end {B} was tired but proud.|\"[It looks easy when you do it|I never thought that it was so simple],\" said {B}.|Whoever takes time for the first step saves time at the last one.]")
	return "howto " + c.name + " " + two[0].name + " " + two[1].name, paragraphs(title(w, "How to "+c.name), open, w.say(steps...), warn)
}
