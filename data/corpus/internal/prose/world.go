package prose

import (
	"fmt"
	"strings"
)

// The world has facts that hold in every document: who lives where and does
// what, what a town makes, what an animal eats. A model can learn them from
// one document and use them in another.

type town struct {
	name, river, land, product, landmark string
	founded                              int
}

var towns = []town{
	{"Alderwick", "Senn", "in a green valley", "wool", "a stone bridge with five arches", 1412},
	{"Brackley", "Torrin", "on a wide plain", "wheat", "a tall windmill", 1530},
	{"Colham", "Senn", "at the foot of a hill", "apples", "an old orchard wall", 1468},
	{"Dunmere", "Marl", "at the edge of a lake", "fish", "a white lighthouse", 1605},
	{"Eastholt", "Torrin", "in a deep forest", "timber", "a great oak", 1377},
	{"Fernby", "Lisk", "in a narrow valley", "honey", "a chapel with a blue door", 1590},
	{"Garrowdale", "Lisk", "in the high mountains", "slate", "a clock tower", 1655},
	{"Hartwell", "Senn", "on a sunny slope", "grapes", "a round well in the square", 1344},
	{"Ilverton", "Marl", "on the coast", "salt", "a long wooden pier", 1503},
	{"Kestrel Bay", "Marl", "on the coast", "boats", "a harbour wall of grey stone", 1621},
	{"Larkfield", "Torrin", "on a wide plain", "barley", "a red barn", 1560},
	{"Mossgate", "Lisk", "in a deep forest", "mushrooms", "a gate of mossy stone", 1438},
	{"Netherby", "Oder Brook", "at the edge of a marsh", "reeds", "a bridge on tall posts", 1489},
	{"Orrin", "Torrin", "at the meeting of two roads", "leather", "a market hall", 1402},
	{"Pellworth", "Oder Brook", "on a gentle hill", "cheese", "a dairy with a green roof", 1577},
	{"Quillan", "Senn", "in a quiet valley", "paper", "a mill with two wheels", 1611},
	{"Rookstead", "Oder Brook", "on a windy hill", "bricks", "a square tower full of birds", 1455},
	{"Silverton", "Lisk", "in the high mountains", "silver", "a mine with three tunnels", 1639},
	{"Thornbury", "Oder Brook", "on a gentle hill", "roses", "a garden behind the school", 1523},
	{"Wexcombe", "Marl", "at the edge of a lake", "glass", "a hall with coloured windows", 1598},
}

type job struct {
	name, at, place, tool, makes, does string
}

var jobs = []job{
	{"baker", "at", "the bakery", "an oven", "bread", "bakes bread before the sun rises"},
	{"carpenter", "in", "the workshop", "a saw", "tables", "cuts and joins wood"},
	{"teacher", "at", "the school", "a blackboard", "school books", "teaches the children to read and count"},
	{"farmer", "on", "the farm", "a plough", "grain", "ploughs the fields in spring"},
	{"fisher", "at", "the harbour", "a net", "fresh fish", "sets out with the boats at dawn"},
	{"doctor", "at", "the clinic", "a thermometer", "medicine", "helps people who are ill"},
	{"potter", "at", "the pottery", "a wheel", "bowls", "shapes wet clay into bowls"},
	{"gardener", "in", "the garden", "a spade", "vegetables", "plants seeds and pulls up weeds"},
	{"blacksmith", "at", "the forge", "a hammer", "horseshoes", "heats iron until it glows"},
	{"weaver", "in", "the weaving room", "a loom", "cloth", "weaves thread into cloth"},
	{"librarian", "in", "the library", "a catalogue", "old books", "keeps the books in order"},
	{"miller", "at", "the mill", "a millstone", "flour", "grinds grain into flour"},
	{"shepherd", "on", "the pasture", "a crook", "wool", "leads the sheep to fresh grass"},
	{"beekeeper", "in", "the meadow", "a smoker", "honey", "looks after twelve hives"},
	{"tailor", "in", "the shop by the square", "a needle", "coats", "sews coats and mends sleeves"},
	{"clockmaker", "in", "the clock shop", "a small screwdriver", "clocks", "repairs springs and wheels"},
	{"nurse", "at", "the clinic", "a clean bandage", "bandages", "cares for the sick at night"},
	{"builder", "at", "the building site", "a trowel", "strong walls", "lays bricks in straight rows"},
	{"postman", "at", "the post office", "a leather bag", "letters", "carries letters from door to door"},
	{"cheesemaker", "at", "the dairy", "a copper pot", "cheese", "turns milk into cheese"},
}

type person struct {
	name, he, him, his string
	job                job
	town               town
	pet, hobby, food   string
}

// people are made from lists whose lengths share no factor with the steps, so
// that the facts spread evenly; who is what is fixed.
var people = func() []person {
	women := []string{"Marta", "Anna", "Ellen", "Ruth", "Clara", "Nora", "Ida", "Vera", "Hanna", "Olive", "Greta", "Lucy", "Rosa", "Edith", "Mabel", "Alma", "Tessa", "June", "Flora", "Sara", "Bertha", "Agnes"}
	men := []string{"Peter", "Jonas", "Henry", "Oscar", "Felix", "Martin", "Simon", "Arthur", "Walter", "Emil", "Victor", "Hugo", "Leo", "Frank", "David", "Robert", "Adam", "George", "Paul", "Thomas", "Edgar", "Conrad"}
	pets := []string{"a grey cat", "a brown dog", "a white goat", "a black hen", "a small pony", "a tame crow", "a white rabbit"}
	hobbies := []string{"playing the flute", "painting", "climbing", "reading old maps", "singing", "swimming", "playing chess", "watching the stars", "collecting stones", "carving wood", "dancing"}
	foods := []string{"pea soup", "apple cake", "fresh bread with butter", "baked fish", "plum jam", "mushroom stew", "cheese pie", "roast potatoes", "honey biscuits"}
	var out []person
	for i := range women {
		for k, name := range []string{women[i], men[i]} {
			n := 2*i + k
			p := person{name: name, he: "she", him: "her", his: "her",
				job: jobs[(n*7+3)%len(jobs)], town: towns[(n*9+n/20)%len(towns)],
				pet: pets[(n*3)%len(pets)], hobby: hobbies[(n*4)%len(hobbies)], food: foods[(n*5)%len(foods)]}
			if k == 1 {
				p.he, p.him, p.his = "he", "him", "his"
			}
			out = append(out, p)
		}
	}
	return out
}()

// cast binds a person's facts to {x}, {x.he}, {x.job} and so on.
func (w *writer) cast(x string, p person) {
	w.set(x, p.name, x+".he", p.he, x+".him", p.him, x+".his", p.his,
		x+".job", p.job.name, x+".place", p.job.place, x+".at", p.job.at+" "+p.job.place, x+".tool", p.job.tool, x+".makes", p.job.makes, x+".does", p.job.does,
		x+".town", p.town.name, x+".pet", p.pet, x+".own", p.his+strings.TrimPrefix(p.pet, "a"), x+".hobby", p.hobby, x+".food", p.food)
	w.visit(x+".t", p.town)
}

// visit binds a town's facts to {x}, {x.river} and so on.
func (w *writer) visit(x string, t town) {
	w.set(x, t.name, x+".river", t.river, x+".land", t.land, x+".product", t.product,
		x+".landmark", t.landmark, x+".the", "the"+strings.TrimPrefix(strings.TrimPrefix(t.landmark, "an"), "a"), x+".founded", fmt.Sprint(t.founded))
}

type season struct {
	name, weather, ground, weatherNow, treesNow, work string
	months                                            []string
}

var seasons = []season{
	{"spring", "The air was mild and smelled of rain", "the first flowers came up through the grass", "The air is mild and smells of rain", "The trees put out small green leaves", "sow the seeds and mend the fences", []string{"March", "April", "May"}},
	{"summer", "The sun was high and the days were long", "the grass was dry and warm", "The sun is high and the days are long", "The trees give a deep shade", "cut the hay and pick the berries", []string{"June", "July", "August"}},
	{"autumn", "A cool wind blew from the west", "wet leaves covered the paths", "A cool wind blows from the west", "The trees turn red and yellow", "bring in the harvest and store the apples", []string{"September", "October", "November"}},
	{"winter", "It was cold and the nights were long", "snow lay on the fields", "It is cold and the nights are long", "The trees stand bare", "feed the animals and keep the fires going", []string{"December", "January", "February"}},
}

func (w *writer) season(s season) {
	w.set("season", s.name, "weather", s.weather, "ground", s.ground, "weatherNow", s.weatherNow, "treesNow", s.treesNow, "work", s.work, "month", pick(w.r, s.months))
}

type animal struct {
	name, class, home, food, young, move, trait, why string
	legs                                             int
}

var animals = []animal{
	{"fox", "mammal", "in a den under the ground", "mice, birds and berries", "a cub", "runs and jumps", "a thick red tail", "the tail keeps its nose warm while it sleeps", 4},
	{"hedgehog", "mammal", "in a nest of leaves", "beetles, worms and snails", "a hoglet", "walks slowly on short legs", "a coat of sharp spines", "it can roll up into a ball when an enemy comes near", 4},
	{"otter", "mammal", "in a hole in the river bank", "fish and crabs", "a pup", "swims and dives", "thick fur that keeps out the water", "it stays warm even in a cold river", 4},
	{"bat", "mammal", "in caves and old roofs", "moths and other insects", "a pup", "flies at night", "very large ears", "it hears the echo of its own calls and finds its way in the dark", 2},
	{"badger", "mammal", "in a set of tunnels in the woods", "worms, roots and fruit", "a cub", "digs with strong claws", "a black and white face", "other animals see the stripes and keep away", 4},
	{"squirrel", "mammal", "in a round nest in a tree", "nuts, seeds and buds", "a kit", "climbs and leaps", "a long bushy tail", "the tail helps it to keep its balance", 4},
	{"hare", "mammal", "in a shallow hollow in a field", "grass and bark", "a leveret", "runs very fast", "very long ears", "it hears an enemy from far away", 4},
	{"mole", "mammal", "in tunnels under the meadow", "worms and grubs", "a pup", "digs through the soil", "broad front feet", "it pushes the earth aside as if with two spades", 4},
	{"wolf", "mammal", "in forests and mountains", "deer and other large animals", "a pup", "runs for hours without rest", "a loud howl", "the pack can find each other over a long distance", 4},
	{"bear", "mammal", "in a cave in the forest", "berries, roots and fish", "a cub", "walks, climbs and swims", "a thick layer of fat before winter", "it can sleep for months without eating", 4},
	{"owl", "bird", "in a hollow tree", "mice and small birds", "an owlet", "flies without a sound", "soft feathers and large eyes", "it can hunt at night and is not heard", 2},
	{"swallow", "bird", "in a nest of mud under a roof", "flies caught in the air", "a nestling", "flies fast and turns sharply", "long narrow wings", "it can travel to warm countries before winter", 2},
	{"duck", "bird", "on ponds and slow rivers", "water plants, seeds and snails", "a duckling", "swims, walks and flies", "webbed feet", "each foot pushes the water like a paddle", 2},
	{"heron", "bird", "at the edge of rivers and lakes", "fish and frogs", "a chick", "walks slowly through the water", "a long sharp bill", "it can catch a fish with one quick strike", 2},
	{"woodpecker", "bird", "in a hole in a tree trunk", "insects under the bark", "a chick", "climbs up tree trunks", "a strong pointed bill", "it can open the wood and reach the insects inside", 2},
	{"robin", "bird", "in hedges and gardens", "worms, insects and berries", "a nestling", "hops and flies", "a red breast", "the colour warns other robins to stay away", 2},
	{"crow", "bird", "in tall trees near fields", "almost anything it can find", "a chick", "flies and walks", "a clever mind", "it can use a stick to pull food out of a hole", 2},
	{"frog", "amphibian", "in ponds and wet meadows", "flies, worms and slugs", "a tadpole", "jumps and swims", "smooth wet skin", "it can breathe through its skin under water", 4},
	{"toad", "amphibian", "in damp places under stones", "slugs, ants and beetles", "a tadpole", "walks and makes short hops", "rough dry skin", "it loses less water and can live far from the pond", 4},
	{"newt", "amphibian", "in ponds in spring and woods in autumn", "small water animals", "a larva", "swims with its tail", "a flat tail", "the tail pushes it through the water", 4},
	{"lizard", "reptile", "on dry walls and sunny stones", "insects and spiders", "a hatchling", "runs quickly over stones", "a tail that can break off", "the enemy is left with the tail and the lizard gets away", 4},
	{"tortoise", "reptile", "in dry fields in warm countries", "leaves and grass", "a hatchling", "walks very slowly", "a hard shell", "it can pull in its head and legs when it is in danger", 4},
	{"snake", "reptile", "under heaps of leaves and stones", "mice, frogs and eggs", "a hatchling", "glides over the ground", "a jaw that opens very wide", "it can swallow food that is larger than its head", 0},
	{"salmon", "fish", "first in rivers and later in the sea", "insects and small fish", "a fry", "swims against the stream", "a strong tail", "it can leap over small waterfalls", 0},
	{"trout", "fish", "in cold clear streams", "flies and small fish", "a fry", "swims and hides under stones", "a spotted back", "the spots make it hard to see from above", 0},
	{"eel", "fish", "in muddy rivers and in the far sea", "worms, snails and small fish", "an elver", "swims like a ribbon", "a long slippery body", "it can slide through narrow gaps", 0},
	{"honeybee", "insect", "in a hive", "nectar and pollen", "a grub", "flies from flower to flower", "a body covered with fine hair", "the pollen sticks to the hair and is carried to the next flower", 6},
	{"ant", "insect", "in a nest in the soil", "seeds, insects and sweet juice", "a grub", "walks in long lines", "great strength for its size", "it can carry things much heavier than itself", 6},
	{"butterfly", "insect", "in meadows and gardens", "nectar", "a caterpillar", "flies on four bright wings", "a long curled tongue", "it can drink from the bottom of deep flowers", 6},
	{"beetle", "insect", "in wood, soil and plants", "leaves, wood or other insects", "a grub", "crawls and sometimes flies", "hard front wings", "the soft back wings are safe under them", 6},
	{"spider", "arachnid", "in a web between two branches", "flies and moths", "a spiderling", "climbs along fine threads", "silk that is thin and strong", "the insects stick to the web and cannot get away", 8},
	{"snail", "mollusc", "in shady gardens and walls", "soft leaves", "a small snail with a soft shell", "slides on one broad foot", "a shell on its back", "it can hide inside when the sun is hot", 0},
}

// classes say what an animal's class tells about it.
var classes = map[string]string{
	"mammal":    "[Mammals have warm blood and feed their young with milk.|Like all mammals it has warm blood, and the mother feeds her young with milk.]",
	"bird":      "[Birds have feathers and lay eggs.|Like all birds it has feathers and lays eggs with hard shells.]",
	"amphibian": "[Amphibians live in water when they are young and mostly on land when they are grown.|Like all amphibians it begins its life in the water.]",
	"reptile":   "[Reptiles have dry scales and cold blood, so they like to lie in the sun.|Like all reptiles it has scales and needs the sun to get warm.]",
	"fish":      "[Fish breathe with gills and cannot live long out of the water.|Like all fish it breathes with gills.]",
	"insect":    "[Insects have six legs and a body in three parts.|Like all insects it has six legs.]",
	"arachnid":  "[Arachnids have eight legs and no wings.|It is not an insect, because it has eight legs and not six.]",
	"mollusc":   "[Molluscs have soft bodies, and many of them carry a shell.|Like many molluscs it has a soft body and a shell.]",
}
