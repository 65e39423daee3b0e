package prose

// plot is what happens to {A}, helped by {B}: the trouble, what was tried in
// vain, the advice, how it ended and what follows from it.
type plot struct {
	name                              string
	trouble, failed, advice, end, say []string
}

var plots = []plot{
	{"the lost animal",
		[]string{"{A} came home and called for {A.own}, but nobody came. The door was open, and there were [small tracks|wet tracks] in front of the house.", "In the night the wind had opened the gate. When {A} looked in the morning, {A.own} was gone."},
		[]string{"{^A.he} ran through every street of {A.town} and called until {A.his} voice was gone. The louder {A.he} called, the quieter it was.", "{^A.he} searched the whole day, first {A.at} and then along the {A.t.river}, but {A.he} found nothing."},
		[]string{"\"An animal that is afraid does not come when you shout,\" said {B}. \"Sit down, put some food in front of you and wait.\"", "\"Where does it like to be when it rains?\" asked {B}. \"Somewhere dry and warm,\" said {A}. \"Then let us look where it is dry and warm,\" said {B}."},
		[]string{"They waited behind {A.t.the}. After an hour something moved, and there was {A.own}, hungry and dirty but quite well.", "They looked in the old barn at the end of the road. There, on a heap of straw, was {A.own}, fast asleep."},
		[]string{"Since then {A} has shut the gate every evening, and when a child has lost something, {A.he} says: first think, then run.", "He who is patient finds more than he who is loud."}},
	{"the broken bridge",
		[]string{"After three days of rain the {A.t.river} rose and carried away the small bridge. {A} had to bring some {A.t.product} to the other side, but there was no way across.", "The bridge near {A.town} had always been weak. One morning in {month} the middle of it lay in the {A.t.river}."},
		[]string{"First {A} laid a long board over the water, but the board bent and broke. Then {A.he} threw in stones, but the river took them away.", "{A} tried to cross on foot. The water came up to {A.his} chest, and {A.he} had to turn back."},
		[]string{"\"One board bends,\" said {B}, \"but three boards that are tied together hardly bend at all.\"", "\"Do not build where the river is narrow,\" said {B}. \"There it is fast and deep. Build where it is wide, because there it is slow and shallow.\""},
		[]string{"They followed the advice, and in two days the new bridge was ready. The first to cross it was a farmer with four cows, and it held.", "Everybody in {A.town} carried stones and wood, and by Saturday one could walk over the {A.t.river} with dry feet."},
		[]string{"The children still call it the bridge of {B}, although {A} did most of the work.", "What is weak alone becomes strong together."}},
	{"the missing key",
		[]string{"{A} stood in front of the house and could not get in. The key was not in {A.his} pocket, and it was not under the stone.", "There was only one key to the hall of {A.town}, and on the day before the feast it could not be found."},
		[]string{"{^A.he} turned out every pocket twice. Then {A.he} suspected the neighbour, and after that the postman, and that was not kind.", "{^A.he} looked in the same three places again and again, as people do when they are upset."},
		[]string{"\"When did you have it last?\" asked {B}. \"Yesterday at noon.\" \"And what did you do then?\" So they went back, step by step, through the whole day.", "\"Let us not ask who took it,\" said {B}, \"but where you used both hands, because then you put it down.\""},
		[]string{"At noon {A} had washed {A.his} hands at the well, and there the key hung on a nail. Nobody had stolen anything.", "{^A.he} had fed {A.own} with both hands, and there, beside the bowl, lay the key."},
		[]string{"{A} went to the neighbour and said that {A.he} was sorry. The neighbour only laughed.", "Most things are not stolen but put down."}},
	{"the dry well",
		[]string{"That {season} there was no rain for seven weeks. In the end the well of {A.town} gave only sand.", "One morning {A} let down the bucket and heard it knock on stone. The well was dry."},
		[]string{"Some people wanted to dig deeper, and they dug for five days. They found clay, and under the clay they found rock.", "They carried water from the {A.t.river}, but it was far, and the first half of each bucket was spilled on the way."},
		[]string{"\"Look at the trees,\" said {B}. \"On the slope they are yellow, but behind the hill they are green. There must be water.\"", "\"In the evening the small flies dance over one spot in the meadow,\" said {B}. \"They like damp ground.\""},
		[]string{"There they dug, and at a depth of four metres the sand became wet. In the morning clear water stood in the hole.", "They dug a new well at that place, and the water was cold and clear. Everybody drank a cup of it."},
		[]string{"Since that year nobody in {A.town} cuts down a tree without asking why it stands there.", "Whoever looks closely needs to dig only once."}},
	{"the clock that was late",
		[]string{"The clock of {A.town} was late. At first it was one minute, then five, and in {month} it was a quarter of an hour, so that the bread came too late and school began too late.", "Every day the big clock lost two minutes. After a week it was fourteen minutes behind, and nobody knew why."},
		[]string{"{A} oiled the wheels and cleaned the chain, but the next day it was late again.", "{A} set the hands right every morning. That was no cure, because in the evening they were wrong again."},
		[]string{"\"Is it late in the cold or in the heat?\" asked {B}. {A} looked into {A.his} notes. \"In the heat,\" {A.he} said. \"Then the rod grows in the sun,\" said {B}, \"and a long pendulum swings slowly.\"", "\"A long pendulum is slow, and a short one is quick,\" said {B}. \"Perhaps you only have to make it a little shorter.\""},
		[]string{"{A} turned the small screw under the pendulum twice. From that day the clock was right to the second.", "They raised the weight by the width of a finger, and after a week the clock was neither early nor late."},
		[]string{"\"It was not the oil,\" said {A}, \"it was the reason that was missing.\"", "If you know the cause, the cure is often small."}},
	{"the race of the boats",
		[]string{"Every {season} there was a race on the {A.t.river}. {A} had an old boat and had never won.", "The boats of {A.town} and {B.town} raced against each other in {month}. {A} was to steer, but the boat was heavy and slow."},
		[]string{"{A} rowed harder than all the others. After half of the way {A.his} arms were tired, and the boat fell back.", "Every rower pulled as hard as possible, but each at a different moment, and so the boat went in curves."},
		[]string{"\"You are strong, but you are not together,\" said {B}. \"I shall count aloud, and you pull when I say one.\"", "\"Stay on the inside of the bend,\" said {B}. \"There the way is shorter, and the stream is weaker against you.\""},
		[]string{"This time they moved like one man. They came in second, and it felt like first.", "At the last bend they passed three boats, one after the other, and won by the length of an oar."},
		[]string{"A good rhythm is worth more than strong arms.", "The prize was a cheese from Pellworth, and they divided it into equal parts."}},
	{"the jar of honey",
		[]string{"On a shelf {A.at} stood a jar of honey that belonged to everybody. One day it was half empty, and nobody had eaten of it, or so they said.", "{A} had promised to keep a jar of honey for the feast. Two days before it, the jar was empty."},
		[]string{"{A} asked each of them, and each of them pointed to another. In the evening all were angry.", "They tied a string round the lid, but the next morning even more was missing, and the string was whole."},
		[]string{"\"Do not ask people,\" said {B}, \"ask the floor. Put flour around the jar tonight.\"", "\"Who likes honey, is small and can come through a closed door?\" asked {B}, and looked at a crack in the wall."},
		[]string{"In the morning there were hundreds of tiny tracks in the flour. They led to a hole in the wall. It had been the ants.", "A long line of ants went from the jar to the garden. {A} put the jar in a bowl of water, and the ants could not reach it any more."},
		[]string{"They were all ashamed, because each of them had thought badly of the others.", "Before you blame, look down."}},
	{"the stranger",
		[]string{"On a cold evening in {month} a stranger came to {A.town}. He had no money and did not speak the language.", "It was late when somebody knocked at the door of {A}. Outside stood a stranger with a torn coat and a large box."},
		[]string{"At the inn they sent him away, and the second house did not open at all.", "{A} asked where he came from and where he was going, but he only shook his head."},
		[]string{"\"You do not need a language to give soup to a man,\" said {B}.", "\"Draw it,\" said {B}, and put a pencil on the table. The stranger drew a ship, a storm and a house."},
		[]string{"He stayed for the winter and worked {A.at}. In spring he opened his box: it was full of tools finer than any in the town, and he left half of them there.", "They gave him bread and a bed. The next morning the old pump, which had not worked for years, was running, and the stranger was washing his hands."},
		[]string{"Now every house in {A.town} keeps an extra plate on the table.", "You never know who is standing in the rain."}},
	{"the school garden",
		[]string{"The children of {A.town} wanted a garden behind the school, but the soil there was hard and full of stones.", "{A} gave each child ten seeds. After three weeks only a few of them had come up."},
		[]string{"They watered it three times a day, until the ground was a swamp. That did not help, because roots need air as well.", "They dug up the seeds every morning to see whether they were growing, and of course they were not."},
		[]string{"\"Bring all the leaves that you can find,\" said {B}, \"and then do nothing until spring. The worms will dig for you.\"", "\"Make two beds,\" said {B}. \"Treat one as before and change only one thing in the other. Then you will see what matters.\""},
		[]string{"The next year the soil was dark and soft. They had beans, peas and {number} large pumpkins.", "In the bed with less water almost every seed came up. They wrote the result on the wall of the school."},
		[]string{"\"To wait is also work,\" said {A}.", "Change one thing at a time, and you will learn something even when it fails."}},
	{"the night in the snow",
		[]string{"On the way from {A.town} to {B.town} the snow began to fall so thickly that {A} could not see {A.his} own hand.", "{A} and {B} were crossing the hill when the storm came. Within half an hour the road had disappeared."},
		[]string{"{A} wanted to walk faster. After an hour {A.he} found tracks in the snow, and they were {A.his} own: {A.he} had walked in a circle.", "They tried to light a fire, but the wood was wet and the wind blew out every match."},
		[]string{"\"Snow is cold, but it keeps the wind out,\" said {B}. \"Let us dig a hole and wait until it is light.\"", "\"Listen,\" said {B}. \"Do you hear the {A.t.river}? If we follow the water downhill, we must come to a village.\""},
		[]string{"They sat close together, told each other stories and did not sleep. At seven o'clock the sun rose, and they saw the roofs of the town, not even two kilometres away.", "They went on slowly, always along the water, and at midnight they saw a light."},
		[]string{"\"The fastest way is not always forward,\" {A} says when {A.he} tells this story.", "They were given hot soup, and {A} never again laughed at people who carry a second coat."}},
	{"the fair price",
		[]string{"At the market {A} offered {A.t.product} at ten pence. Nobody bought anything, because a man from {B.town} asked only for eight.", "{A} had too much of everything that {season}, and {A.he} sold it for less and less."},
		[]string{"{A} went down to seven pence, the other man to six, and in the evening both had worked for nothing.", "{A} shouted louder than the others. People looked at {A.him} and went on."},
		[]string{"\"Do not sell more cheaply,\" said {B}, \"sell something better. Show them how it is made.\"", "\"Why do you fight with him?\" asked {B}. \"He needs {A.t.product}, and you need {B.t.product}. You could both win.\""},
		[]string{"The next week {A} worked in front of the people. They watched, asked questions and paid ten pence with pleasure.", "They made a trade, and from then on each sold his own goods and some of the other's. Both earned more than before."},
		[]string{"A price is a question, and the work is the answer.", "From then on they sat side by side and shared their bread at noon."}},
	{"the concert",
		[]string{"On the day of the concert {A} woke up and could not speak. {^A.his} voice was gone, and half of {A.town} had bought tickets.", "{A} and {B} had practised for weeks, but on the evening of the concert two strings were broken."},
		[]string{"{^A.he} drank hot milk with honey and lay in bed till noon, but only a whisper came out.", "They ran to every shop in {A.town}. One was closed, and the other sold only bread."},
		[]string{"\"Then you beat the drum, and the people sing,\" said {B}. \"They know the songs as well as we do.\"", "\"Play what can be played on two strings,\" said {B}. \"In old times they had no more.\""},
		[]string{"At first only a few sang. After the third song the whole hall was singing, and nobody wanted to go home.", "It sounded strange and simple, and it was so quiet in the hall that one could hear the rain."},
		[]string{"People still say that it was the best concert of all.", "What is missing may make room for something new."}},
}

func story(w *writer) (key, text string) {
	pl := pick(w.r, plots)
	two := sample(w.r, people, 2)
	a, b := two[0], two[1]
	w.cast("A", a)
	w.cast("B", b)
	s := pick(w.r, seasons)
	w.season(s)
	w.set("number", number(w.r.between(3, 12)))
	first := w.say(
		"[In {A.town}, {A.t.land}, lives a {A.job} named {A}.|{A} is the {A.job} of {A.town}, a town on the river {A.t.river}.|There is a {A.job} in {A.town} whose name is {A}.|Everybody in {A.town} knows {A}, the {A.job}.]",
		"[{^A.he} {A.does}, and in the evening {A.he} likes {A.hobby}.|Every day {A.he} {A.does}.|{^A.he} has {A.pet} and a small house not far from {A.place}.]",
		"[When this happened, it was {season}. {weather}, and {ground}.|One {season}, something happened that is still told today.|This happened in {month}. {weather}.]")
	trouble := w.say(pick(w.r, pl.trouble), "[|\"What shall I do now?\" said {A}.|{A} did not know what to do.]")
	failed := w.say(pick(w.r, pl.failed), "[|{^A.he} was [tired|sad|angry], and it began to get dark.]")
	advice := w.say(
		"[Then {B} came by, the {B.job} from {B.town}.|In the end {A.he} went to {B}, the {B.job}, who lives in {B.town}.|{A} had a good friend, {B} from {B.town}, a {B.job} by trade.]",
		"[{^B.he} listened to everything and was silent for a while.|{^B.he} asked three questions and nodded.|]", pick(w.r, pl.advice))
	end := w.say(pick(w.r, pl.end), "[|\"Thank you,\" said {A}. \"[It is nothing|Next time you will help me],\" said {B}.|{A} was so happy that {A.he} gave {B} some {A.t.product}.|That evening they ate {B.food} together.]", pick(w.r, pl.say))
	return "story " + pl.name + " " + a.name + " " + b.name, paragraphs(title(w, capital(pl.name)), first, trouble, failed, advice, end)
}

// moral is what two animals, {x} and {y}, do to each other and what it teaches.
type moral struct {
	boast, reply, test, turn, lesson string
}

var morals = []moral{
	{"\"I am faster than you,\" said the {x}. \"You need a whole day for a way that I make before breakfast.\"", "\"That may be so,\" said the {y}, \"but I know where I am going.\"", "So they agreed to go to {T.the} in {T}. The one who came first should be called the master of the meadow.", "The {x} ran off at once, took the wrong road, saw something to eat and fell asleep. The {y} did not hurry and did not stop. In the evening the {y} was there, and the {x} was not.", "Slow and sure gets there in the end."},
	{"\"Look at me,\" said the {x}. \"I have {x.trait}. You have nothing like it.\"", "\"It is true,\" said the {y}, \"but I have {y.trait}, and I am content.\"", "The {x} laughed and told it to everybody who wanted to hear it, and to some who did not.", "Then the great cold came. Now neither of them was laughing. The {y} made room in its home, and the two kept each other warm until spring.", "What others have is not taken from you."},
	{"\"Why do you gather food the whole day?\" asked the {x}. \"The sun is shining. Come and play!\"", "\"The sun does not shine in January,\" said the {y}, and went on working.", "The {x} shook its head and lay down in the grass. So it went on through the whole summer.", "In winter the snow lay deep. The {x} was hungry and knocked at the door of the {y}. The {y} gave it something to eat, but it also gave it a basket for the next summer.", "He who works in summer can rest in winter."},
	{"\"I need nobody,\" said the {x}. \"I find my own food, and I sleep {x.home}.\"", "\"Nobody is so strong that he never needs help,\" said the {y}.", "The next morning the {x} was caught in a net that the hunters had laid. The more it pulled, the tighter the net became.", "The {y} heard it and came with all its friends. One thread after the other was cut, and at sunrise the {x} was free.", "The smallest friend may be the greatest help."},
	{"\"Give me half of what you have found,\" said the {x}, \"and I shall watch over the other half.\"", "\"And who will watch over you?\" asked the {y}.", "The {x} was insulted and went away. It asked the next animal and the one after that, and some of them believed it.", "When autumn came, they wanted to have their food back. There was nothing left, and the {x} had moved to another wood. Only the {y} still had everything.", "Do not give to the one who asks, but to the one who needs."},
	{"The {x} and the {y} had found a large pear, and both wanted to have it. \"I saw it first,\" said the {x}.", "\"But I touched it first,\" said the {y}.", "They quarrelled until noon. Then they asked an old crow to divide it fairly. The crow bit the pear in two, but one part was larger, so it took a bite of that, and then the other part was larger.", "In the end only the stem was left. \"That is for my trouble,\" said the crow, and took it as well.", "When two quarrel, a third one eats."},
}

// fable lets two animals be wise and foolish in turn.
func fable(w *writer) (key, text string) {
	two := sample(w.r, animals, 2)
	w.animal("x", two[0])
	w.animal("y", two[1])
	m := pick(w.r, morals)
	t := pick(w.r, towns)
	w.visit("T", t)
	s := pick(w.r, seasons)
	w.season(s)
	p := pick(w.r, people)
	w.cast("A", p)
	first := w.say(
		"[A {x} and a {y} lived near {T}, not far from the river {T.river}.|Once upon a time a {x} met a {y} near the town of {T}.|In a wood near {T} a {x} and a {y} were neighbours.]",
		"[The {x} ate {x.food}, and the {y} ate {y.food}, so they had no reason to quarrel.|The {x} had {x.trait}, and the {y} had {y.trait}.|The {x} lived {x.home}, and the {y} {y.home}.]",
		"[{weather}, and {ground}.|It was {season}, and {ground}.]")
	second := w.say(m.boast, m.reply)
	third := w.say(m.test)
	fourth := w.say(m.turn)
	w.set("lesson", m.lesson)
	last := w.say("[The lesson is this. {lesson}|{A}, the {A.job} of {A.town}, who told me this story, always added: \"{lesson}\"|And so we learn: {lesson}]")
	return "fable " + two[0].name + " " + two[1].name + " " + m.lesson + t.name, paragraphs(title(w, "The "+two[0].name+" and the "+two[1].name), first, second, third, fourth, last)
}
