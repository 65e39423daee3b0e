"use strict";
const $ = id => document.getElementById(id);
let messages = []; // of the conversation
let running = null; // what stops the answer that comes

// show adds what somebody says, and returns where its text goes on.
function show(who, text, kind) {
	const article = document.createElement("article"), head = document.createElement("h2");
	article.className = kind;
	head.textContent = who;
	const said = document.createElement("p");
	said.textContent = text;
	article.append(head, said);
	$("log").append(article);
	follow(true);
	return said;
}

// follow keeps the end in sight, unless somebody scrolled up.
function follow(always) {
	const log = $("log");
	if (always || log.scrollHeight - log.scrollTop - log.clientHeight < 120) log.scrollTop = log.scrollHeight;
}

// number is a setting, or undefined where the field is empty.
function number(id) {
	const value = $(id).value.trim();
	return value === "" ? undefined : Number(value);
}

// headers are those of a request, with the key if there is one.
function headers() {
	const list = {"Content-Type": "application/json"}, key = $("key").value.trim();
	if (key) list.Authorization = "Bearer " + key;
	return list;
}

// refused is the error of an answer that is none.
async function refused(answer) {
	let message = "the server answered " + answer.status;
	try {
		message = (await answer.json()).error.message;
	} catch { /* It is no JSON: the status must do. */ }
	if (answer.status === 401) {
		$("settings").open = true;
		$("key").focus();
	}
	return new Error(message);
}

// events calls heard with each message of a stream of server-sent events, and returns whether it came to its end.
async function events(body, heard) {
	const reader = body.pipeThrough(new TextDecoderStream()).getReader();
	let rest = "";
	for (;;) {
		const {value, done} = await reader.read();
		if (done) return false;
		const parts = (rest + value).split("\n\n");
		rest = parts.pop();
		for (const part of parts) {
			if (!part.startsWith("data: ")) continue;
			if (part === "data: [DONE]") return true;
			const message = JSON.parse(part.slice(6));
			if (message.error) throw new Error(message.error.message);
			heard(message);
		}
	}
}

// ask sends what was written, and shows the answer as it comes.
async function ask(text) {
	const chat = $("mode").value === "chat";
	const body = {stream: true, stream_options: {include_usage: true}};
	for (const id of ["temperature", "top_p", "max_tokens", "seed"]) {
		if (number(id) !== undefined) body[id] = number(id);
	}
	let url = "/v1/completions", place;
	if (chat) {
		url = "/v1/chat/completions";
		show("You", text, "user");
		const system = $("system").value.trim();
		body.messages = [...(system ? [{role: "system", content: system}] : []), ...messages, {role: "user", content: text}];
		place = show("Model", "", "model");
	} else {
		body.prompt = text;
		place = document.createElement("span");
		show("Text", text, "text").append(place);
	}
	running = new AbortController();
	busy(true);
	let answer = "", used = null, stopped = false;
	try {
		const response = await fetch(url, {method: "POST", headers: headers(), body: JSON.stringify(body),
			signal: running.signal});
		if (!response.ok) throw await refused(response);
		const whole = await events(response.body, message => {
			used = message.usage ?? used;
			for (const choice of message.choices) {
				const piece = chat ? choice.delta.content ?? "" : choice.text;
				answer += piece;
				place.append(piece);
				follow(false);
			}
		});
		if (!whole) throw new Error("the answer broke off");
	} catch (e) {
		stopped = running.signal.aborted;
		if (!stopped) $("problem").textContent = e.message;
		if (!stopped && answer === "") { // as if it had not been asked
			place.closest("article").remove();
			if (chat) $("log").lastElementChild.remove();
			$("said").value = text;
			return;
		}
	} finally {
		running = null;
		busy(false);
	}
	if (chat) messages.push({role: "user", content: text}, {role: "assistant", content: answer.trim()});
	$("state").textContent = stopped ? "stopped" : used ? used.prompt_tokens + " tokens read, " + used.completion_tokens +
		" added" : "";
}

// busy shows whether an answer comes.
function busy(yes) {
	$("stop").hidden = !yes;
	$("send").disabled = yes;
	$("anew").disabled = yes;
	$("log").setAttribute("aria-busy", yes);
	if (yes) {
		$("problem").textContent = "";
		$("state").textContent = "the model writes";
	} else {
		$("state").textContent = "";
		$("said").focus();
	}
}

function send() {
	const text = $("said").value;
	if (running || text.trim() === "") return;
	$("said").value = "";
	ask(text);
}

function stop() {
	running?.abort();
}

function anew() {
	messages = [];
	$("log").replaceChildren();
	$("problem").textContent = $("state").textContent = "";
	$("said").focus();
}

// hello asks for the model's name.
async function hello() {
	try {
		const answer = await fetch("/v1/models", {headers: headers()});
		if (!answer.ok) throw await refused(answer);
		const model = (await answer.json()).data[0];
		$("name").textContent = document.title = model.id;
		const most = Math.min(model.max_model_len, model.max_tokens || Infinity);
		$("max_tokens").max = most;
		$("max_tokens").value = Math.min(256, Math.ceil(model.max_model_len / 2), most);
		$("problem").textContent = "";
	} catch (e) {
		$("problem").textContent = e.message;
	}
}

$("form").addEventListener("submit", e => {
	e.preventDefault();
	send();
});
$("said").addEventListener("keydown", e => {
	if (e.key === "Enter" && !e.shiftKey && !e.isComposing) {
		e.preventDefault();
		send();
	}
});
document.addEventListener("keydown", e => {
	if (e.key === "Escape") stop();
});
$("stop").addEventListener("click", stop);
$("anew").addEventListener("click", anew);
$("mode").addEventListener("change", anew);
$("key").addEventListener("change", hello);
hello();
