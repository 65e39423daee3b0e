package prose

import "fmt"

// The world has facts that hold in every document: who lives where and does
// what, what a town makes, what an animal eats. A model can learn them from
// one document and use them in another.

type town struct {
	name, river, land, product, landmark string
	founded                              int
}

var towns = []town{
	{"Alderwick", "Senn", "a green valley", "wool", "a stone bridge with five arches", 1412},
	{"Brackley", "Torrin", "a wide plain", "wheat", "a tall windmill", 1530},
	{"Colham", "Senn", "the foot of a hill", "apples", "an old orchard wall", 1468},
	{"Dunmere", "Marl", "the edge of a lake", "fish", "a white lighthouse", 1605},
	{"Eastholt", "Torrin", "a deep forest", "timber", "a great oak", 1377},
	{"Fernby", "Lisk", "a narrow valley", "honey", "a chapel with a blue door", 1590},
	{"Garrowdale", "Lisk", "the high mountains", "slate", "a clock tower", 1655},
	{"Hartwell", "Senn", "a sunny slope", "grapes", "a round well in the square", 1344},
	{"Ilverton", "Marl", "the coast", "salt", "a long wooden pier", 1503},
	{"Kestrel Bay", "Marl", "the coast", "boats", "a harbour wall of grey stone", 1621},
	{"Larkfield", "Torrin", "a wide plain", "barley", "a red barn", 1560},
	{"Mossgate", "Lisk", "a deep forest", "mushrooms", "a gate of mossy stone", 1438},
	{"Netherby", "Oder Brook", "a marsh", "reeds", "a bridge on tall posts", 1489},
	{"Orrin", "Torrin", "the meeting of two roads", "leather", "a market hall", 1402},
	{"Pellworth", "Oder Brook", "a gentle hill", "cheese", "a dairy with a green roof", 1577},
	{"Quillan", "Senn", "a quiet valley", "paper", "a mill with two wheels", 1611},
	{"Rookstead", "Oder Brook", "a windy hill", "bricks", "a square tower full of birds", 1455},
	{"Silverton", "Lisk", "the high mountains", "silver", "a mine with three tunnels", 1639},
	{"Thornbury", "Oder Brook", "a gentle hill", "roses", "a garden behind the school", 1523},
	{"Wexcombe", "Marl", "the edge of a lake", "glass", "a hall with coloured windows", 1598},
}

type job struct {
	name, place, tool, makes, does string
}

var jobs = []job{
	{"baker", "the bakery", "an oven", "bread", "bakes bread before the sun rises"},
	{"carpenter", "the workshop", "a saw", "tables", "cuts and joins wood"},
	{"teacher", "the school", "a blackboard", "lessons", "teaches the children to read and count"},
	{"farmer", "the farm", "a plough", "grain", "ploughs the fields in spring"},
	{"fisher", "the harbour", "a net", "fresh fish", "sets out with the boats at dawn"},
	{"doctor", "the clinic", "a thermometer", "medicine", "helps people who are ill"},
	{"potter", "the pottery", "a wheel", "bowls", "shapes wet clay into bowls"},
	{"gardener", "the garden", "a spade", "vegetables", "plants seeds and pulls up weeds"},
	{"blacksmith", "the forge", "a hammer", "horseshoes", "heats iron until it glows"},
	{"weaver", "the weaving room", "a loom", "cloth", "weaves thread into cloth"},
	{"librarian", "the library", "a catalogue", "lists of books", "keeps the books in order"},
	{"miller", "the mill", "a millstone", "flour", "grinds grain into flour"},
	{"shepherd", "the pasture", "a crook", "wool", "leads the sheep to fresh grass"},
	{"beekeeper", "the meadow", "a smoker", "honey", "looks after twelve hives"},
	{"tailor", "the shop by the square", "a needle", "coats", "sews coats and mends sleeves"},
	{"clockmaker", "the clock shop", "a small screwdriver", "clocks", "repairs springs and wheels"},
	{"nurse", "the clinic", "a clean bandage", "comfort", "cares for the sick at night"},
	{"builder", "the building site", "a trowel", "walls", "lays bricks in straight rows"},
	{"postman", "the post office", "a leather bag", "a daily round", "carries letters from door to door"},
	{"cheesemaker", "the dairy", "a copper pot", "cheese", "turns milk into cheese"},
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
	pets := []string{"a grey cat", "a brown dog", "a white goat", "a black hen", "a small pony", "a tame crow", "two rabbits"}
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
		x+".job", p.job.name, x+".place", p.job.place, x+".tool", p.job.tool, x+".makes", p.job.makes, x+".does", p.job.does,
		x+".town", p.town.name, x+".pet", p.pet, x+".hobby", p.hobby, x+".food", p.food)
	w.visit(x+".t", p.town)
}

// visit binds a town's facts to {x}, {x.river} and so on.
func (w *writer) visit(x string, t town) {
	w.set(x, t.name, x+".river", t.river, x+".land", t.land, x+".product", t.product,
		x+".landmark", t.landmark, x+".founded", fmt.Sprint(t.founded))
}

type season struct {
	name, weather, ground, trees, work string
	months                             []string
}

var seasons = []season{
	{"spring", "The air was mild and smelled of rain", "the first flowers came up through the grass", "The trees put out small green leaves", "sow the seeds and mend the fences", []string{"March", "April", "May"}},
	{"summer", "The sun was high and the days were long", "the grass was dry and warm", "The trees gave a deep shade", "cut the hay and pick the berries", []string{"June", "July", "August"}},
	{"autumn", "A cool wind blew from the west", "wet leaves covered the paths", "The trees turned red and yellow", "bring in the harvest and store the apples", []string{"September", "October", "November"}},
	{"winter", "It was cold and the nights were long", "snow lay on the fields", "The trees stood bare", "feed the animals and keep the fires going", []string{"December", "January", "February"}},
}

func (w *writer) season(s season) {
	w.set("season", s.name, "weather", s.weather, "ground", s.ground, "trees", s.trees, "work", s.work, "month", pick(w.r, s.months))
}

type animal struct {
	name, plural, class, home, food, young, move, trait, why string
	legs                                                     int
}

var animals = []animal{
	{"fox", "foxes", "mammal", "a den under the ground", "mice, birds and berries", "a cub", "runs and jumps", "a thick red tail", "the tail keeps its nose warm while it sleeps", 4},
	{"hedgehog", "hedgehogs", "mammal", "a nest of leaves", "beetles, worms and snails", "a hoglet", "walks slowly on short legs", "a coat of sharp spines", "it can roll up into a ball when an enemy comes near", 4},
	{"otter", "otters", "mammal", "a hole in the river bank", "fish and crabs", "a pup", "swims and dives", "thick fur that keeps out the water", "it stays warm even in a cold river", 4},
	{"bat", "bats", "mammal", "caves and old roofs", "moths and other insects", "a pup", "flies at night", "very large ears", "it hears the echo of its own calls and finds its way in the dark", 2},
	{"badger", "badgers", "mammal", "a set of tunnels in the woods", "worms, roots and fruit", "a cub", "digs with strong claws", "a black and white face", "other animals see the stripes and keep away", 4},
	{"squirrel", "squirrels", "mammal", "a round nest in a tree", "nuts, seeds and buds", "a kit", "climbs and leaps", "a long bushy tail", "the tail helps it to keep its balance", 4},
	{"hare", "hares", "mammal", "a shallow hollow in a field", "grass and bark", "a leveret", "runs very fast", "long back legs", "it can leap away before an enemy is close", 4},
	{"mole", "moles", "mammal", "tunnels under the meadow", "worms and grubs", "a pup", "digs through the soil", "broad front feet", "it pushes the earth aside as if with two spades", 4},
	{"wolf", "wolves", "mammal", "forests and mountains", "deer and other large animals", "a pup", "runs for hours without rest", "a loud howl", "the pack can find each other over a long distance", 4},
	{"bear", "bears", "mammal", "a cave in the forest", "berries, roots and fish", "a cub", "walks, climbs and swims", "a thick layer of fat before winter", "it can sleep for months without eating", 4},
	{"owl", "owls", "bird", "a hollow tree", "mice and small birds", "an owlet", "flies without a sound", "soft feathers and large eyes", "it can hunt at night and is not heard", 2},
	{"swallow", "swallows", "bird", "a nest of mud under a roof", "flies caught in the air", "a nestling", "flies fast and turns sharply", "long narrow wings", "it can travel to warm countries before winter", 2},
	{"duck", "ducks", "bird", "ponds and slow rivers", "water plants, seeds and snails", "a duckling", "swims, walks and flies", "webbed feet", "each foot pushes the water like a paddle", 2},
	{"heron", "herons", "bird", "the edge of rivers and lakes", "fish and frogs", "a chick", "stands still and then strikes", "long thin legs", "it can stand in the water without getting its feathers wet", 2},
	{"woodpecker", "woodpeckers", "bird", "a hole in a tree trunk", "insects under the bark", "a chick", "climbs up tree trunks", "a strong pointed bill", "it can open the wood and reach the insects inside", 2},
	{"robin", "robins", "bird", "hedges and gardens", "worms, insects and berries", "a nestling", "hops and flies", "a red breast", "the colour warns other robins to stay away", 2},
	{"crow", "crows", "bird", "tall trees near fields", "almost anything it can find", "a chick", "flies and walks", "a clever mind", "it can use a stick to pull food out of a hole", 2},
	{"frog", "frogs", "amphibian", "ponds and wet meadows", "flies, worms and slugs", "a tadpole", "jumps and swims", "smooth wet skin", "it can breathe through its skin under water", 4},
	{"toad", "toads", "amphibian", "damp places under stones", "slugs, ants and beetles", "a tadpole", "walks and makes short hops", "rough dry skin", "it loses less water and can live far from the pond", 4},
	{"newt", "newts", "amphibian", "ponds in spring and woods in autumn", "small water animals", "a larva", "swims with its tail", "a flat tail", "the tail pushes it through the water", 4},
	{"lizard", "lizards", "reptile", "dry walls and sunny stones", "insects and spiders", "a hatchling", "runs quickly over stones", "a tail that can break off", "the enemy is left with the tail and the lizard gets away", 4},
	{"tortoise", "tortoises", "reptile", "dry fields in warm countries", "leaves and grass", "a hatchling", "walks very slowly", "a hard shell", "it can pull in its head and legs when it is in danger", 4},
	{"snake", "snakes", "reptile", "heaps of leaves and stones", "mice, frogs and eggs", "a hatchling", "glides without legs", "a jaw that opens very wide", "it can swallow food that is larger than its head", 0},
	{"salmon", "salmon", "fish", "rivers first and later the sea", "insects and small fish", "a fry", "swims against the stream", "a strong tail", "it can leap over small waterfalls", 0},
	{"trout", "trout", "fish", "cold clear streams", "flies and small fish", "a fry", "swims and hides under stones", "a spotted back", "the spots make it hard to see from above", 0},
	{"eel", "eels", "fish", "muddy rivers and the far sea", "worms, snails and small fish", "an elver", "swims like a ribbon", "a long slippery body", "it can slide through narrow gaps", 0},
	{"honeybee", "honeybees", "insect", "a hive", "nectar and pollen", "a grub", "flies from flower to flower", "a body covered with fine hair", "the pollen sticks to the hair and is carried to the next flower", 6},
	{"ant", "ants", "insect", "a nest in the soil", "seeds, insects and sweet juice", "a grub", "walks in long lines", "great strength for its size", "it can carry things much heavier than itself", 6},
	{"butterfly", "butterflies", "insect", "meadows and gardens", "nectar", "a caterpillar", "flies on four bright wings", "a long curled tongue", "it can drink from the bottom of deep flowers", 6},
	{"beetle", "beetles", "insect", "wood, soil and plants", "leaves, wood or other insects", "a grub", "crawls and sometimes flies", "hard front wings", "the soft back wings are safe under them", 6},
	{"spider", "spiders", "arachnid", "a web between two branches", "flies and moths", "a spiderling", "climbs along fine threads", "silk that is thin and strong", "the insects stick to the web and cannot get away", 8},
	{"snail", "snails", "mollusc", "shady gardens and walls", "soft leaves", "a small snail with a soft shell", "slides on one broad foot", "a shell on its back", "it can hide inside when the sun is hot", 0},
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
