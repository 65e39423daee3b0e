package prose

import (
	"fmt"
	"strings"
)

var small = strings.Fields("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen")
var tens = strings.Fields("- - twenty thirty forty fifty sixty seventy eighty ninety")

// number writes 0..99 in words and larger ones in digits.
func number(n int) string {
	switch {
	case n < 20:
		return small[n]
	case n < 100 && n%10 == 0:
		return tens[n/10]
	case n < 100:
		return tens[n/10] + "-" + small[n%10]
	}
	return fmt.Sprint(n)
}

type good struct{ one, many string }

var goods = []good{
	{"apple", "apples"}, {"egg", "eggs"}, {"candle", "candles"}, {"loaf of bread", "loaves of bread"}, {"pot of honey", "pots of honey"},
	{"pencil", "pencils"}, {"plum", "plums"}, {"basket", "baskets"}, {"brick", "bricks"}, {"button", "buttons"}, {"cup", "cups"},
	{"letter", "letters"}, {"onion", "onions"}, {"pear", "pears"}, {"rope", "ropes"}, {"sack of flour", "sacks of flour"},
	{"spoon", "spoons"}, {"stone", "stones"}, {"cheese", "cheeses"}, {"book", "books"},
}

// count holds a problem's numbers under the names its template uses.
func (w *writer) count(pairs ...any) {
	for i := 0; i+1 < len(pairs); i += 2 {
		n := pairs[i+1].(int)
		name := pairs[i].(string)
		w.set(name, number(n), "#"+name, fmt.Sprint(n))
	}
}

// problems are arithmetic in words; each returns a problem with its working.
var problems = []func(w *writer) string{
	func(w *writer) string { // buying
		n, price := w.r.between(2, 12), w.r.between(2, 9)
		paid := (n*price + 9) / 10 * 10
		if paid == n*price {
			paid += 10
		}
		w.count("n", n, "p", price, "s", n*price, "paid", paid, "back", paid-n*price)
		return "{A} buys {n} {many} at the market in {A.town}. One {one} costs {p} pence. How much does {A.he} pay, and how much does {A.he} get back from {#paid} pence? " +
			"[Multiply first|First we multiply|The {many} cost]: {#n} times {#p} is {#s}. [Then subtract|Now we subtract]: {#paid} minus {#s} is {#back}. [So {A} pays {#s} pence and gets {#back} pence back.|{A} pays {#s} pence, and {#back} pence come back.]"
	},
	func(w *writer) string { // sharing
		each, k := w.r.between(3, 12), w.r.between(2, 8)
		rest := w.r.below(k)
		w.count("all", each*k+rest, "k", k, "each", each, "rest", rest, "s", each*k)
		end := "Nothing is left over."
		if rest > 0 {
			end = "{#all} minus {#s} is {#rest}, so {rest} [are|stay] left over."
			if rest == 1 {
				end = "{#all} minus {#s} is 1, so one is left over."
			}
		}
		return "{A} has {all} {many} and shares them equally among {k} children. How many does each child get? [We divide|Divide]: {#all} divided by {#k} is {#each}, because {#k} times {#each} is {#s}. Each child gets {each} {many}. " + end
	},
	func(w *writer) string { // walking
		speed, hours := w.r.between(3, 6), w.r.between(2, 7)
		w.count("v", speed, "h", hours, "d", speed*hours)
		return "{A} walks from {A.town} to {T}. {^A.he} walks {v} kilometres in one hour, and the way takes {h} hours. How far is it? [The distance is the speed times the time|Speed times time gives the distance]: {#v} times {#h} is {#d}. It is {d} kilometres from {A.town} to {T}. " +
			"[|If {A.he} came by cart at twice the speed, {A.he} would need only half the time.]"
	},
	func(w *writer) string { // area and fence
		a, b := w.r.between(3, 15), w.r.between(2, 12)
		w.count("a", a, "b", b, "area", a*b, "sum", a+b, "round", 2*(a+b))
		return "{A} has a garden that is {a} metres long and {b} metres wide. How large is it, and how long is the fence around it? The area is length times width: {#a} times {#b} is {#area} square metres. For the fence we add the two sides and double the sum: {#a} plus {#b} is {#sum}, and two times {#sum} is {#round}. [The fence is {#round} metres long.|So {A.he} needs {#round} metres of fence.]"
	},
	func(w *writer) string { // more and fewer
		a, d := w.r.between(5, 40), w.r.between(2, 20)
		w.count("a", a, "d", d, "b", a+d, "sum", 2*a+d)
		return "{A} has {a} {many}. {B} has {d} more than {A}. How many do they have together? {B} has {#a} plus {#d}, and that is {#b}. Together they have {#a} plus {#b}, which is {#sum}. [So there are {#sum} {many} in all.|In all there are {#sum} {many}.]"
	},
	func(w *writer) string { // clock
		start, minutes := w.r.between(7, 11), w.r.between(2, 11)*5
		more := w.r.between(2, 11) * 5
		total := minutes + more
		w.count("start", start, "m", minutes, "k", more, "t", total)
		end := "that is {#t} minutes after {start} o'clock"
		if total >= 60 {
			w.count("next", start+1, "over", total-60)
			end = "{#t} minutes are one hour and {#over} minutes, so it is {#over} minutes past {next}"
			if total == 60 {
				end = "60 minutes are one hour, so it is exactly {next} o'clock"
			}
		}
		return "At {start} o'clock {A} begins to work {A.at}. The first piece of work takes {m} minutes and the second one {k} minutes. When is {A.he} ready? Add the minutes: {#m} plus {#k} is {#t}. After both of them " + end + "."
	},
	func(w *writer) string { // average
		mid := w.r.between(6, 20)
		d := w.r.between(1, 5)
		w.count("x", mid-d, "y", mid, "z", mid+d, "sum", 3*mid, "mid", mid)
		return "On Monday {A} sold {x} {many}, on Tuesday {z} and on Wednesday {y}. How many is that on average? First add: {#x} plus {#z} plus {#y} is {#sum}. There were three days, and {#sum} divided by 3 is {#mid}. On average {A} sold {mid} {many} a day."
	},
	func(w *writer) string { // half and quarter
		q := w.r.between(2, 15)
		w.count("all", 4*q, "half", 2*q, "q", q, "given", 3*q)
		return "{A} has {all} {many}. {^A.he} gives half of them to {B} and a quarter to the school in {T}. How many does {A.he} keep? Half of {#all} is {#half}, and a quarter of {#all} is {#q}. {#half} plus {#q} is {#given}, and {#all} minus {#given} is {#q}. [{A} keeps {q} {many}.|So {A.he} keeps {q} {many}.]"
	},
	func(w *writer) string { // years
		age := w.r.between(8, 60)
		later := w.r.between(3, 30)
		w.count("age", age, "l", later, "sum", age+later)
		return "{A} is {age} years old. How old will {A.he} be in {l} years? {#age} plus {#l} is {#sum}, so {A.he} will be {sum}. [|And how old was {A.he} last year? One year less.]"
	},
	func(w *writer) string { // rows
		rows, each, dead := w.r.between(3, 12), w.r.between(4, 12), w.r.between(1, 9)
		w.count("r", rows, "e", each, "s", rows*each, "d", dead, "left", rows*each-dead)
		return "{A} plants {r} rows of young trees with {e} trees in each row. In a dry summer {d} of them die. How many are left? {#r} times {#e} is {#s}. {#s} minus {#d} is {#left}. There are {left} trees left."
	},
}

func arithmetic(w *writer) (key, text string) {
	two := sample(w.r, people, 2)
	w.cast("A", two[0])
	w.cast("B", two[1])
	key = "arithmetic " + two[0].name + " " + two[1].name
	parts := []string{title(w, pick(w.r, []string{"Sums from daily life", "Numbers", "A page of sums"}))}
	names := []string{"first", "second", "third", "fourth"}
	for i, p := range sample(w.r, problems, w.r.between(2, 4)) {
		g := pick(w.r, goods)
		t := pick(w.r, towns)
		for t.name == two[0].town.name {
			t = pick(w.r, towns)
		}
		w.visit("T", t)
		w.set("one", g.one, "many", g.many, "nth", names[i])
		parts = append(parts, w.say("[|The {nth} problem.|Here is the {nth} problem.]", p(w)))
		key += " " + g.one
	}
	return key, paragraphs(parts...)
}

// patterns teaches counting, tables and order, with digits.
func patterns(w *writer) (key, text string) {
	step, from := w.r.between(2, 12), w.r.between(0, 30)
	n := w.r.between(6, 9)
	var row []string
	for i := range n {
		row = append(row, fmt.Sprint(from+i*step))
	}
	w.count("step", step, "from", from, "next", from+n*step, "last", from+(n-1)*step)
	p := pick(w.r, people)
	w.cast("A", p)
	first := w.say("[Let us count in steps of {step}.|We begin with {from} and add {step} each time.|{A} writes a row of numbers into a notebook.]",
		strings.Join(row, ", ")+".", "Which number comes next? Each number is {#step} more than the one before, and {#last} plus {#step} is {#next}. So the next number is {#next}.")

	k := w.r.between(2, 12)
	var table []string
	for i := range 10 {
		table = append(table, fmt.Sprintf("%d times %d is %d.", i+1, k, (i+1)*k))
	}
	second := w.say(fmt.Sprintf("[Here is the table of %s.|Now the table of %s.]", number(k), number(k)), strings.Join(table, " "))

	var parts []string
	for range 4 {
		a, b := w.r.between(2, 99), w.r.between(2, 99)
		switch {
		case a > b:
			parts = append(parts, fmt.Sprintf("%d is greater than %d, because %d minus %d is %d.", a, b, a, b, a-b))
		case a < b:
			parts = append(parts, fmt.Sprintf("%d is less than %d; the difference is %d.", a, b, b-a))
		default:
			parts = append(parts, fmt.Sprintf("%d is as great as %d.", a, b))
		}
	}
	third := w.say(parts...)
	var parity []string
	for range 3 {
		a := w.r.between(3, 60)
		if a%2 == 0 {
			parity = append(parity, fmt.Sprintf("%s is an even number, because it is two times %s.", capital(number(a)), number(a/2)))
		} else {
			parity = append(parity, fmt.Sprintf("%s is an odd number, because one is left over when it is divided by two.", capital(number(a))))
		}
	}
	return fmt.Sprint("patterns ", step, " ", from, " ", k, " ", p.name), paragraphs(title(w, "Counting"), first, second, third, w.say(parity...))
}
