package prose

import "strings"

// topic is a short lesson: a question, an answer in one sentence, facts that
// build on each other, and how one can see it for oneself.
type topic struct {
	name, question, answer string
	facts                  []string
	see                    string
}

var topics = []topic{
	{"ice", "Why does ice float on water?", "Ice floats because it is lighter than the same volume of water.", []string{
		"Most things shrink when they become cold, and so does water at first.",
		"Close to the freezing point, however, water begins to grow again.",
		"When it turns to ice, its smallest parts take up more room than before.",
		"The same amount of water therefore fills a larger space as ice.",
		"A larger space with the same weight means that the ice is less dense.",
		"What is less dense than water is pushed up by it and floats.",
		"This is good for the fish in a lake, because the ice stays on top and the water below does not freeze.",
		"It is also the reason why a full bottle may break in a cold night.",
	}, "put a piece of ice into a glass of water and saw that about one tenth of it stayed above the surface"},
	{"rain", "Where does the rain come from?", "Rain is water that has risen from the sea and the land and falls again from the clouds.", []string{
		"The sun warms the water in seas, lakes and rivers.",
		"Some of the water becomes vapour, which is a gas that nobody can see.",
		"Warm air rises and carries the vapour with it.",
		"High up the air is cold, and cold air cannot hold so much vapour.",
		"The vapour turns into tiny drops, and many drops together make a cloud.",
		"The drops join and grow until they are too heavy to stay up.",
		"Then they fall as rain, or as snow if the air is cold enough.",
		"The water runs into brooks and rivers and comes back to the sea.",
		"Because the water goes round and round, this is called the water cycle.",
	}, "held a cold plate over a pot of hot water and watched small drops gather under it"},
	{"seasons", "Why are there four seasons?", "There are seasons because the earth leans to one side while it travels round the sun.", []string{
		"The earth needs one year for its way round the sun.",
		"Its axis is not upright but always leans in the same direction.",
		"For half of the year the northern part leans towards the sun, and for the other half away from it.",
		"When it leans towards the sun, the light falls steeply and the days are long, so it is summer.",
		"When it leans away, the light comes in low and the days are short, so it is winter.",
		"Spring and autumn lie between the two.",
		"When it is summer in the north, it is winter in the south.",
		"The seasons do not come from the distance to the sun, which changes only a little.",
	}, "carried an apple round a lamp, always leaning the same way, and saw how the light moved from the top to the bottom"},
	{"moon", "Why does the moon change its shape?", "The moon does not change its shape; we only see different parts of its bright side.", []string{
		"The moon has no light of its own, but the sun shines on it.",
		"One half of the moon is always bright and the other half is always dark.",
		"The moon travels round the earth in about four weeks.",
		"When it stands on the other side of the earth than the sun, we see the whole bright side and call it a full moon.",
		"When it stands between the earth and the sun, we see only the dark side and call it a new moon.",
		"Between the two we see a half moon or a thin crescent.",
		"Then everything begins again in the same order.",
	}, "turned slowly in front of a lamp with a ball in one hand and saw every shape of the moon on it"},
	{"day", "Why is there day and night?", "Day and night come from the turning of the earth.", []string{
		"The earth is a great ball that turns like a top.",
		"It turns once in twenty-four hours.",
		"The side that faces the sun has day, and the side that faces away has night.",
		"Because the earth turns towards the east, the sun seems to rise in the east and to set in the west.",
		"At noon the sun stands highest, and the shadows are short.",
		"In the morning and in the evening the sun is low, and the shadows are long.",
		"We do not feel the turning, because everything around us turns at the same speed.",
	}, "put a stick into the ground and marked the end of its shadow every hour from morning to evening"},
	{"plants", "How do plants make their food?", "Plants make sugar from water, air and sunlight.", []string{
		"The roots take up water and salts from the soil.",
		"The leaves take in a gas from the air through very small openings.",
		"The green colour in the leaves catches the light of the sun.",
		"With the power of the light the plant turns water and gas into sugar.",
		"While it does this, it gives off the oxygen that animals and people breathe.",
		"The plant uses some of the sugar at once and stores the rest in roots, seeds and fruit.",
		"In the dark a plant can make no sugar and lives on what it has stored.",
		"That is why a plant that gets no light becomes pale and weak.",
	}, "kept one bean in the window and one in a dark box, and after two weeks only the first one was green"},
	{"sound", "What is sound?", "Sound is a quick shaking that travels through air, water or wood.", []string{
		"When a string is plucked, it swings to and fro.",
		"It pushes the air next to it, and that air pushes the air farther on.",
		"In this way a wave runs through the air until it reaches an ear.",
		"A thin skin in the ear begins to shake as well, and we hear a tone.",
		"If the string shakes quickly, the tone is high; if it shakes slowly, the tone is low.",
		"If it swings far, the tone is loud; if it swings only a little, the tone is soft.",
		"Sound needs about three seconds for one kilometre in air.",
		"Light is much faster, so we see the lightning before we hear the thunder.",
	}, "counted nine seconds between lightning and thunder and knew that the storm was three kilometres away"},
	{"rust", "Why does iron rust?", "Iron rusts when water and air reach it together.", []string{
		"Iron is a hard grey metal that shines when it is new.",
		"In dry air it can stay bright for a long time.",
		"When it is wet, it joins with the oxygen in the air.",
		"This makes a new brown stuff that we call rust.",
		"Rust is soft and full of small holes, so that more water can get in.",
		"In the end a whole nail or a whole gate can fall to pieces.",
		"Salt makes it faster, and therefore iron near the sea rusts soonest.",
		"Paint or oil keeps water and air away and protects the iron.",
	}, "laid one nail in oil and one in salt water, and after a week only the second one was brown"},
	{"wind", "What makes the wind blow?", "Wind is air that moves from a place of high pressure to a place of low pressure.", []string{
		"The sun does not warm the ground everywhere in the same way.",
		"Warm air is light and rises, and the pressure below it becomes lower.",
		"Cold air is heavy and sinks, and the pressure below it becomes higher.",
		"The heavy air flows to where the pressure is low, and we feel it as wind.",
		"By day the land is warmer than the sea, so the wind blows from the sea to the land.",
		"By night the land cools down faster, and the wind turns round.",
		"The greater the difference, the stronger the wind.",
	}, "hung a strip of paper over a warm stove and saw it dance in the rising air"},
	{"levers", "How can a small push lift a heavy stone?", "A lever turns a long small push into a short strong one.", []string{
		"A lever is a bar that rests on one firm point.",
		"One end is pushed down, and the other end goes up with the load.",
		"If your end is three times as long as the other, you need only one third of the force.",
		"In return your hand has to move three times as far.",
		"Nothing is won for free: what you save in force you pay in distance.",
		"Scissors, oars and door handles are levers too.",
		"Long before there were engines, people moved great blocks with bars of wood.",
	}, "lifted a full barrel with a long beam and one hand"},
	{"magnets", "What does a magnet do?", "A magnet pulls iron, and two magnets can pull or push each other.", []string{
		"Every magnet has two ends, which are called the north pole and the south pole.",
		"A north pole and a south pole pull each other.",
		"Two north poles push each other away, and so do two south poles.",
		"Iron and nickel are pulled, but wood, glass and copper are not.",
		"If a magnet is broken in two, each part has two poles again.",
		"The earth itself is a great weak magnet.",
		"Therefore the needle of a compass turns until it points to the north.",
		"With a compass sailors find their way when they cannot see the stars.",
	}, "let a needle float on a leaf in a bowl and saw it turn slowly to the north"},
	{"bread", "Why does dough rise?", "Dough rises because yeast fills it with bubbles of gas.", []string{
		"Yeast is made of tiny living things that are too small to be seen.",
		"They feed on the sugar in the flour.",
		"While they feed, they give off a gas.",
		"The gas cannot leave the dough, because the dough is tough like thin rubber.",
		"So it gathers in small bubbles, and the dough becomes larger.",
		"Yeast likes warmth: in a cold room the dough rises slowly.",
		"The heat of the oven kills the yeast, but the holes stay in the bread.",
		"If too much salt is used, the yeast cannot work and the bread stays flat.",
	}, "put one bowl of dough by the stove and one in the cellar and compared them after an hour"},
	{"heart", "What does the heart do?", "The heart is a pump that sends the blood through the body.", []string{
		"It lies in the middle of the chest, a little to the left.",
		"It is a strong muscle, about as large as a fist.",
		"When it tightens, it pushes the blood out; when it loosens, it fills again.",
		"The blood carries oxygen from the lungs and food from the stomach.",
		"It takes away what the body does not need.",
		"At rest the heart beats about seventy times in a minute.",
		"When we run, the muscles need more oxygen, and so the heart beats faster.",
		"Every beat can be felt at the wrist, and that is called the pulse.",
	}, "counted sixty-eight beats while sitting and one hundred and thirty after running up the hill"},
	{"soil", "What is soil made of?", "Soil is a mixture of broken stone, dead plants, water, air and living things.", []string{
		"Rain, frost and roots break the rock into smaller and smaller pieces.",
		"Large pieces are called gravel, smaller ones sand, and the smallest ones clay.",
		"Dead leaves fall on the ground and are eaten by worms and beetles.",
		"What they leave behind makes the soil dark and rich.",
		"Sand lets the water run through, but clay holds it.",
		"The best soil for a garden has some of both.",
		"Worms dig small tunnels, so that air and water can reach the roots.",
		"It takes more than a hundred years to make a few centimetres of soil.",
	}, "shook some earth in a jar of water and saw the sand settle first and the clay last"},
	{"shadow", "How does a shadow arise?", "A shadow is the place that the light cannot reach.", []string{
		"Light travels in straight lines.",
		"Glass and clear water let it pass, but a wall or a hand stops it.",
		"Behind the hand there is a dark space that looks like the hand.",
		"If the hand is close to the lamp, the shadow is large.",
		"If the hand is close to the wall, the shadow is small and sharp.",
		"With two lamps there are two shadows.",
		"Even the moon and the earth throw shadows, and then we see an eclipse.",
	}, "made a rabbit with two hands in front of a candle and let it grow and shrink on the wall"},
	{"rainbow", "When can we see a rainbow?", "We see a rainbow when the sun is behind us and rain is falling in front of us.", []string{
		"The white light of the sun is a mixture of many colours.",
		"When it enters a drop of water, it is bent.",
		"Each colour is bent by a different amount, and so the colours are spread out.",
		"The back of the drop throws the light back towards us.",
		"Red is always on the outside of the bow and violet on the inside.",
		"Between them are orange, yellow, green and blue.",
		"At noon in summer the sun is too high, and no rainbow can be seen.",
	}, "stood with the sun behind and sprayed water from a hose until the colours appeared"},
	{"volcano", "What is a volcano?", "A volcano is a mountain with an opening through which melted rock can come out.", []string{
		"Deep in the earth it is so hot that rock melts.",
		"Melted rock is lighter than the solid rock around it, so it rises.",
		"It gathers under the mountain together with steam and gas.",
		"When the pressure is too great, the rock breaks through the top.",
		"The melted rock that flows down is called lava.",
		"Ash rises high into the air and falls on the land.",
		"After many years the ash becomes a rich soil, and people come back to farm it.",
		"Many islands in the sea are nothing but the tops of volcanoes.",
	}, "built a small mountain of sand with vinegar and baking powder inside and watched it foam over"},
	{"paper", "How is paper made?", "Paper is made of fine plant fibres that are mixed with water, pressed and dried.", []string{
		"First the wood is cut into small pieces.",
		"The pieces are boiled until the fibres come apart.",
		"The fibres are washed and mixed with a great deal of water.",
		"The thin soup is poured on a sieve, and the water runs off.",
		"The fibres lie across each other and hold together like felt.",
		"Then the wet sheet is pressed, so that it becomes flat and firm.",
		"At last it is dried and cut.",
		"Old paper can be used again, and that saves wood and water.",
	}, "tore up an old letter, stirred it in water and made a rough grey sheet from it"},
	{"glass", "What is glass?", "Glass is melted sand that has cooled without forming crystals.", []string{
		"Clean sand is mixed with soda and chalk.",
		"The mixture is heated in an oven until it glows and flows like honey.",
		"The soda makes the sand melt sooner, and the chalk makes the glass last.",
		"A glass blower takes some of it on a pipe and blows a bubble.",
		"While it is hot, it can be turned, pulled and cut.",
		"It has to cool slowly, because otherwise it would crack.",
		"A little metal in the mixture makes the glass green, blue or red.",
		"Glass lets the light in and keeps the wind out, and so it is used for windows.",
	}, "looked through a green bottle and a blue one and found that the two together were almost black"},
	{"salt", "Where does salt come from?", "Salt comes from the sea or from mines under the ground.", []string{
		"Rain washes a little salt out of the rocks.",
		"The rivers carry it to the sea, where it stays when the water rises as vapour.",
		"Therefore the sea becomes salty and the rivers do not.",
		"On warm coasts people lead the sea water into flat ponds.",
		"The sun dries the ponds, and white salt is left on the ground.",
		"Where an old sea dried up long ago, there is salt in the rock.",
		"Miners cut it out or wash it out with water.",
		"In former times salt was so dear that roads were named after it.",
	}, "left a dish of salt water in the window until only small white cubes were left"},
	{"tides", "Why does the sea rise and fall?", "The tides come mainly from the pull of the moon.", []string{
		"The moon pulls the earth, and the earth pulls the moon.",
		"The water on the side near the moon is pulled most, and it rises.",
		"On the far side the water is pulled least, and there it rises as well.",
		"Between the two the water falls.",
		"As the earth turns, each coast passes through both, so there are about two high tides in a day.",
		"The sun pulls too, but because it is so far away, its part is smaller.",
		"When sun and moon pull in one line, the tides are very strong.",
		"Fishers must know the tides, because at low water the boats lie in the mud.",
	}, "marked the height of the water on a post and found that the next high tide came after about twelve hours and twenty-five minutes"},
	{"fire", "What does a fire need?", "A fire needs three things: something to burn, air and heat.", []string{
		"Dry wood burns well, but wet wood must first lose its water.",
		"When wood is heated, it gives off a gas, and the gas burns with a bright flame.",
		"For this it takes oxygen from the air.",
		"If one of the three things is missing, the fire goes out.",
		"A lid on a burning pan keeps out the air.",
		"Water takes away the heat.",
		"When all the wood is used up, only ash is left.",
		"Small sticks burn faster than a log, because the air can reach them from all sides.",
	}, "put a glass over a candle and saw the flame become small and go out"},
	{"bees", "Why do bees matter to an orchard?", "Bees carry pollen from flower to flower, and without it the trees bear little fruit.", []string{
		"A bee visits a flower because it wants the sweet nectar.",
		"Its hair is soon yellow with pollen.",
		"In the next flower some of the pollen is rubbed off.",
		"Now the flower can make seeds, and a fruit grows around them.",
		"One bee may visit more than a thousand flowers in a day.",
		"In the hive the nectar becomes honey, which is the food for the winter.",
		"If it rains for weeks in spring, the bees stay at home, and there are few apples in autumn.",
	}, "tied a fine net round one branch and found no apples on it at the end of the summer"},
	{"bridge", "Why does an arch carry a load?", "An arch carries a load because each stone presses on the next one.", []string{
		"Stone is strong when it is pressed but weak when it is bent.",
		"A flat slab of stone over a wide gap would break in the middle.",
		"In an arch the stones are cut like wedges.",
		"The weight from above cannot push them down, because they are wider at the top.",
		"Instead each stone pushes sideways against its neighbour.",
		"At both ends a strong wall must hold the push.",
		"The stone in the middle is set last and is called the keystone.",
		"Until then the arch needs a frame of wood.",
	}, "built a small arch of bricks over a sand hill, took the sand away and stood on top"},
	{"compass", "How can we find the north without a compass?", "The sun by day and the stars by night show the north.", []string{
		"The sun rises in the east and sets in the west.",
		"At noon it stands in the south, and the shadow of a stick points to the north.",
		"At night we look for the seven bright stars of the Plough.",
		"The two stars at its end point to the Pole Star.",
		"The Pole Star always stands in the north, while the others turn round it.",
		"If the north is in front of us, the east is on the right and the west is on the left.",
		"The south is then behind us.",
	}, "walked three kilometres at night towards the Pole Star and came out exactly at the northern gate"},
	{"temperature", "What does a thermometer measure?", "A thermometer measures how hot or cold something is.", []string{
		"Most liquids grow a little when they become warm.",
		"In a thermometer the liquid stands in a very thin tube.",
		"Even a small change can therefore be seen.",
		"Water freezes at zero degrees and boils at one hundred degrees.",
		"A healthy person has about thirty-seven degrees.",
		"In a warm room there are about twenty degrees.",
		"On a high mountain water boils sooner, because the pressure of the air is lower.",
	}, "wrote down the temperature at seven, at noon and at nine for a whole month and drew a curve"},
	{"money", "Why do people use money?", "Money makes it easy to trade things that do not fit each other.", []string{
		"In early times people gave one thing for another.",
		"A shepherd who wanted a pot gave some wool for it.",
		"But if the potter needed no wool, there could be no trade.",
		"Therefore people agreed on something that everybody would take.",
		"They used shells, salt and cattle, and later coins of metal.",
		"Coins are small, do not spoil and can be counted.",
		"With money one can also save today and buy tomorrow.",
		"A price says how much money a thing is worth to those who buy and sell it.",
	}, "asked at the market what a goat was worth in eggs, and got five different answers"},
	{"maps", "How do we read a map?", "A map is a picture of the land as a bird would see it, only much smaller.", []string{
		"On most maps the north is at the top.",
		"The scale says how much smaller the map is than the land.",
		"If one centimetre means one kilometre, then five centimetres mean five kilometres.",
		"Blue lines are rivers, and black lines are often roads.",
		"Thin brown lines join all places of the same height.",
		"Where these lines are close together, the hill is steep.",
		"Signs stand for churches, bridges and wells, and they are explained at the edge.",
	}, "measured the way to the next town with a thread and found that it was seven kilometres"},
}

func explain(w *writer) (key, text string) {
	t := pick(w.r, topics)
	p := pick(w.r, people)
	w.cast("A", p)
	w.visit("T", p.town)
	w.set("question", t.question, "answer", t.answer, "see", t.see)
	// The first half builds the reason and stays whole; the rest may have gaps.
	half := len(t.facts)/2 + w.r.below(2)
	more := some(w.r, t.facts[half:], w.r.between(2, len(t.facts)-half))
	open := w.say(
		"[{question} {answer}|{question} The short answer is this. {answer}|Children often ask: \"{question}\" {answer}|Here is a question that sounds easy. {question} {answer}]",
		"[|Let us look at it step by step.|To understand this, we have to go back a little.|It is worth knowing why.]")
	end := w.say(
		"[One day|Last year|In the holidays|On a quiet Sunday] {A}, the {A.job} of {A.town}, [wanted to know it exactly|did not believe it|tried it out|made a small experiment]. {^A.he} {see}.",
		"[\"Now I have seen it with my own eyes,\" {A.he} said.|After that {A.he} explained it to everybody in {A.town}.|\"To see a thing is better than to hear about it,\" said {A}.|Then {A.he} wrote down what {A.he} had seen and what it meant.]",
		"[|Try it yourself.|You can do the same at home.]")
	return "explain " + t.name + " " + p.name, paragraphs(title(w, capital(t.name)), open, strings.Join(t.facts[:half], " "), strings.Join(more, " "), end)
}

// paragraphs joins what is not empty by blank lines.
func paragraphs(parts ...string) string {
	var out []string
	for _, p := range parts {
		if p != "" {
			out = append(out, p)
		}
	}
	return strings.Join(out, "\n\n")
}

// title is a heading for about half of the documents.
func title(w *writer, s string) string {
	if w.r.chance(50) {
		return s
	}
	return ""
}
