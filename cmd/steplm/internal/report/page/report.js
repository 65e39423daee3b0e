// What the page does: it shows what the program computed, as the reader asks. Nothing is computed here but where to look.
"use strict";
(() => {
	const $ = (id) => document.getElementById(id);
	const { element, swatch, bytes, round, axisFormats } = plots;
	let data = JSON.parse($("data").textContent);
	const off = new Set(); // runs that the reader switched off or on, by name: what a live page keeps
	const on = new Set();
	const state = { axis: "tokens", smooth: 1, seeds: "one", setting: 0, limit: 0, level: 0, log: false };

	const groupRuns = (g) => data.runs.filter((r) => r.group === g);
	const hasAxis = (r) => r.x[axisIndex()] && r.x[axisIndex()].length > 0;
	const axisIndex = () => data.axes.findIndex((a) => a.name === state.axis);
	const axisLabel = () => data.axes[axisIndex()].label;
	function shown(run) {
		if (on.has(run.name)) return true;
		if (off.has(run.name)) return false;
		const group = data.groups[run.group];
		if (!group || !group.shown) return false;
		return state.seeds === "all" || groupRuns(run.group)[0] === run;
	}
	const looks = (run) => data.groups[run.group] || { colour: "#777777", dash: "2 3", label: "unknown" };

	// Fills a table with rows of texts; a row may have a class.
	function fill(table, head, rows) {
		table.replaceChildren();
		if (!rows.length) return;
		const top = element("tr", null, element("thead", null, table));
		for (const text of head) element("th", text, top).scope = "col";
		const body = element("tbody", null, table);
		for (const { cells, className } of rows) {
			const row = element("tr", null, body, className);
			cells.forEach((text, i) => {
				if (i === 0) element("th", text, row).scope = "row"; else element("td", text, row);
			});
		}
	}
	function say(el, ...parts) {
		el.replaceChildren(...parts.map((p) => typeof p === "string" ? document.createTextNode(p) : element("strong", p.strong)));
	}
	function choices(id, name, list, chosen, change) {
		const field = $(id);
		for (const label of field.querySelectorAll("label")) label.remove();
		for (const [value, text] of list) {
			const label = element("label", null, field), input = element("input", null, label);
			Object.assign(input, { type: "radio", name, value, checked: value === chosen });
			label.append(text);
			input.addEventListener("change", () => change(value));
		}
	}
	function options(select, list, keep) {
		const before = keep ? select.value : "";
		select.replaceChildren();
		for (const [value, text] of list) element("option", text, select).value = value;
		if (before && list.some(([value]) => String(value) === before)) select.value = before;
	}
	function chip(parent, text, pressed, press) {
		const b = element("button", text, parent);
		b.type = "button";
		b.setAttribute("aria-pressed", String(pressed));
		b.addEventListener("click", press);
	}

	// Which method is best within a limit?
	const candidates = () => data.groups.map((g, index) => ({ ...g, index }))
		.filter((g) => g.setting === state.setting && g.shown && g.peak > 0 && g.mean !== null);
	function limits() {
		const peaks = candidates().map((g) => g.peak);
		if (!peaks.length) return [];
		const list = [];
		for (let n = 2 ** Math.ceil(Math.log2(Math.min(...peaks))); ; n *= 2) {
			list.push(n);
			if (n >= Math.max(...peaks)) return list;
		}
	}
	function drawLimit() {
		$("limits").replaceChildren();
		const list = limits();
		for (const n of list) chip($("limits"), round(n), n === state.limit, () => { $("limit-number").value = ""; state.limit = n; drawLimit(); });
		const all = candidates().sort((a, b) => a.mean - b.mean);
		const fits = all.filter((g) => !state.limit || g.peak <= state.limit);
		if (!all.length) {
			say($("limit-answer"), "No method here has both a measured validation perplexity and its bytes yet.");
		} else if (!fits.length) {
			const least = all.reduce((a, b) => a.peak <= b.peak ? a : b);
			say($("limit-answer"), `No method fits into ${round(state.limit)}: ${least.label} takes least, ${bytes(least.peak)}.`);
		} else {
			const [best, next] = fits;
			const parts = [state.limit ? `Within ${round(state.limit)}: ` : "Without a limit: ", { strong: best.label },
				`, validation perplexity ${number(best.mean)}${best.sd === null ? "" : " ± " + number(best.sd)} (${seeds(best.seeds)}) at ${bytes(best.peak)}.`];
			const pair = next && data.pairs[best.index + "-" + next.index];
			if (next) parts.push(` Next is ${next.label} with ${number(next.mean)}`);
			if (pair && pair.n > 1) parts.push(`: ${pair.text} between the two, ${pair.beyond ? "which exceeds" : "which is within"} what seeds do.`);
			else if (next) parts.push("; seeds are too few to say whether they differ.");
			say($("limit-answer"), ...parts);
		}
		fill($("limit-table"), ["method", "validation perplexity", "seeds", "peak", "fits"], all.map((g) => ({
			cells: [g.label, number(g.mean) + (g.sd === null ? "" : " ± " + number(g.sd)), g.seeds, bytes(g.peak),
				!state.limit || g.peak <= state.limit ? "yes" : "no"],
			className: g === fits[0] ? "best" : fits.includes(g) ? "" : "out",
		})));
		plots.scatter($("limit-plot"), all.map((g) => ({ name: g.label, colour: g.colour, x: g.peak, y: g.mean, spread: g.sd })),
			{ label: "peak bytes on the device", ylabel: "validation perplexity", limit: state.limit });
	}
	const number = (x) => x >= 10000 ? Math.round(x).toLocaleString("en-US") : x.toFixed(2);
	const seeds = (n) => n === 1 ? "1 seed" : n + " seeds";
	function askLimit() {
		const unit = { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 }[$("limit-unit").value], n = Number($("limit-number").value);
		state.limit = n > 0 ? n * unit : 0;
		drawLimit();
	}

	// Curves. What is measured on documents like those of training is one kind of points, other sets another.
	const mine = (m) => m.set === "validation" || /^holdout( \d+)?$/.test(m.set); // "holdout 2" is the second source's.
	function drawCurves() {
		const list = data.runs.filter((r) => shown(r) && hasAxis(r)).map((r) => {
			const x = r.x[axisIndex()], look = looks(r);
			return { name: r.name, colour: look.colour, dash: look.dash, x, y: r.y[state.smooth], marks: r.marks || [],
				dots: (r.measured || []).filter((m) => $(mine(m) ? "points-mine" : "points-other").checked)
					.map((m) => ({ x: x[m.at], y: m.loss, filled: mine(m),
						text: `${m.set} ${m.when}: ` + (m.perplexity === null ? "no number" : `perplexity ${number(m.perplexity)} per ${m.unit}`) })) };
		});
		plots.curves($("loss-plot"), list, { axisName: state.axis, label: axisLabel(), log: state.log,
			ylabel: "nats per token" + (state.smooth ? `, mean of ${data.smooths[state.smooth]} steps` : "") });
	}
	function drawLegend() {
		$("legend").replaceChildren();
		const groups = data.groups.map((g, i) => [g, groupRuns(i)]).filter(([, runs]) => runs.length);
		const rest = data.runs.filter((r) => r.group < 0 && r.steps && r.steps.length);
		if (rest.length) groups.push([{ ...looks(rest[0]), label: "recipe not readable" }, rest]);
		groups.sort(([a], [b]) => Number(b.shown || false) - Number(a.shown || false));
		for (const [group, runs] of groups) {
			const box = element("div", null, $("legend"));
			const label = element("label", null, box), all = element("input", null, label);
			all.type = "checkbox";
			label.append(swatch(group.colour, group.dash));
			element("span", group.label, label);
			const list = element("details", null, box);
			element("summary", runs.length === 1 ? "1 run" : runs.length + " runs", list);
			const each = runs.map((run) => {
				const line = element("label", null, list), input = element("input", null, line);
				input.type = "checkbox";
				element("span", `${run.name}, seed ${run.seed}` + (run.status === "done" ? "" : `, ${run.status}`), line);
				input.addEventListener("change", () => { turn([run], input.checked); });
				return [run, input];
			});
			const mark = () => {
				for (const [run, input] of each) input.checked = shown(run);
				const n = each.filter(([run]) => shown(run)).length;
				all.checked = n > 0;
				all.indeterminate = n > 0 && n < (state.seeds === "one" ? 1 : runs.length);
			};
			// Switched on, a method shows what "of each method" asks for.
			all.addEventListener("change", () => turn(all.checked && state.seeds === "one" ? runs.slice(0, 1) : runs, all.checked));
			marks.push(mark);
			mark();
		}
	}
	let marks = [];
	function turn(runs, shows) {
		for (const r of runs) { (shows ? on : off).add(r.name); (shows ? off : on).delete(r.name); }
		for (const mark of marks) mark();
		drawCurves();
	}

	// When did the loss cross a level?
	function drawLevel() {
		$("levels").replaceChildren();
		const target = data.targets[state.setting] || 0;
		if (target) chip($("levels"), `${data.baseline}'s final loss, ${(target / 100).toFixed(2)}`, target === state.level, () => { $("level").value = ""; state.level = target; drawLevel(); });
		const list = state.level ? data.runs.filter((r) => r.group >= 0 && data.groups[r.group].setting === state.setting && r.crossings) : [];
		const found = list.map((r) => ({ run: r, at: r.crossings.find((c) => c[0] <= state.level) }));
		const crossed = found.filter((f) => f.at).sort((a, b) => (a.at[2] - b.at[2]) || a.run.name.localeCompare(b.run.name));
		const never = found.filter((f) => !f.at);
		if (!state.level) say($("level-answer"), "");
		else if (!crossed.length) say($("level-answer"), `No run came down to ${(state.level / 100).toFixed(2)} nats per token.`);
		else say($("level-answer"), `${crossed.length} of ${found.length} runs came down to ${(state.level / 100).toFixed(2)} nats per token; first `,
			{ strong: crossed[0].run.name }, ` after ${axisFormats.tokens(crossed[0].at[2])} tokens, at step ${axisFormats.step(crossed[0].at[1])}.`);
		fill($("level-table"), ["run", "method", ...data.axes.map((a) => a.label)], [...crossed, ...never].map(({ run, at }) => ({
			cells: [run.name, looks(run).label, ...data.axes.map((a, i) => at ? at[i + 1] === null ? "–" : axisFormats[a.name](at[i + 1]) : i ? "" : "not reached")],
			className: at ? "" : "out",
		})));
	}
	function askLevel() {
		const n = Number($("level").value);
		state.level = n > 0 ? Math.round(n * 100) : 0;
		drawLevel();
	}

	// Memory of one run.
	function drawMemory() {
		const run = data.runs.find((r) => r.name === $("memory-run").value);
		const name = run && run.x[axisIndex()] ? state.axis : "step", at = data.axes.findIndex((a) => a.name === name);
		const held = run && run.held || [];
		const all = run && run.x[at] || [];
		// A class's bytes hold from one change to the next, and the last until the end.
		const x = held.map((h) => all[h.at]), values = held.map((h) => h.bytes);
		if (x.length && all[all.length - 1] > x[x.length - 1]) { x.push(all[all.length - 1]); values.push(values[values.length - 1]); }
		const parts = data.classes.map((c, i) => ({ name: c, colour: data.colours[i], y: values.map((v) => v[i]) }));
		plots.areas($("memory-plot"), x, parts, { axisName: name, label: data.axes[at].label, ylabel: "bytes" });
		$("memory-legend").replaceChildren();
		for (const p of parts) {
			const most = Math.max(0, ...p.y);
			if (!most) continue;
			const line = element("label", null, $("memory-legend"));
			line.append(swatch(p.colour, ""));
			element("span", `${p.name}, at most ${bytes(most)}`, line);
		}
	}

	// What differs between two runs?
	function drawRecipes() {
		const [a, b] = [$("run-a"), $("run-b")].map((s) => data.runs.find((r) => r.name === s.value));
		if (!a || !b) { say($("recipes-answer"), ""); fill($("recipes-table"), [], []); return; }
		const all = $("same-too").checked, rows = [];
		let count = 0;
		for (const [title, key] of [["asked for (spec.json)", "spec"], ["made of it (recipe.json)", "recipe"]]) {
			const [x, y] = [a[key] || {}, b[key] || {}];
			const list = [...new Set([...Object.keys(x), ...Object.keys(y)])].sort();
			const part = list.map((path) => ({ cells: [path, x[path] ?? "–", y[path] ?? "–"], differs: x[path] !== y[path] }))
				.filter((r) => all || r.differs);
			count += part.filter((r) => r.differs).length;
			if (part.length) rows.push({ cells: [title, "", ""], className: "heading" },
				...part.map((r) => ({ cells: r.cells, className: r.differs ? "differ" : "" })));
		}
		say($("recipes-answer"), { strong: String(count) }, count === 1 ? " value differs." : " values differ.");
		fill($("recipes-table"), ["option", a.name, b.name], rows);
	}

	// What the models say: one run's after each step, or all runs' after one.
	function drawSamples() {
		const heard = data.runs.filter((r) => r.samples && r.samples.length);
		$("samples").hidden = $("samples-link").hidden = !heard.length;
		const steps = [...new Set(heard.flatMap((r) => r.samples.map((s) => s.after)))].sort((a, b) => b - a);
		options($("samples-of"), [...heard.map((r) => ["run " + r.name, r.name + ", step by step"]),
			...steps.map((n) => ["step " + n, `all runs, step ${axisFormats.step(n)}`])], true);
		const [, kind, name] = $("samples-of").value.match(/^(run|step) ([^]*)$/) || [];
		const rows = kind === "run"
			? heard.find((r) => r.name === name).samples.map((s) => [axisFormats.step(s.after), s.samples]).reverse()
			: heard.flatMap((r) => r.samples.filter((s) => String(s.after) === name).map((s) => [r.name, s.samples]));
		const prompts = [...new Set(rows.flatMap(([, list]) => list.map((s) => s.prompt)))];
		fill($("samples-table"), [kind === "run" ? "step" : "run", ...prompts], rows.map(([head, list]) => ({
			cells: [head, ...prompts.map((p) => (list.find((s) => s.prompt === p) || { text: "–" }).text)] })));
	}

	// What the reader sees first: units that fit, and a run whose memory changes.
	let drawnOnce = false;
	function begin() {
		if (!data.runs.length) return;
		drawnOnce = true;
		const largest = Math.max(0, ...data.groups.map((g) => g.peak));
		$("limit-unit").value = largest >= 2 ** 29 ? "GiB" : largest >= 2 ** 19 ? "MiB" : "KiB";
		const changes = (r) => r.held ? r.held.length : 0;
		const most = data.runs.reduce((a, b) => changes(b) > changes(a) ? b : a);
		options($("memory-run"), [[most.name, most.name]], false);
	}

	function draw() {
		marks = [];
		choices("axis", "axis", data.axes.filter((a, i) => data.runs.some((r) => r.x[i])).map((a) => [a.name, a.label]), state.axis,
			(value) => { state.axis = value; drawCurves(); drawMemory(); });
		if (!drawnOnce) begin();
		const longest = Math.max(0, ...data.runs.map((r) => r.steps && r.steps.length ? r.steps[r.steps.length - 1] : 0));
		if (state.smooth && data.smooths[state.smooth] * 2 > longest) state.smooth = 0;
		choices("smooth", "smooth", data.smooths.map((n, i) => [i, n === 1 ? "each" : String(n)]).filter(([i]) => !i || data.smooths[i] * 2 <= longest),
			state.smooth, (value) => { state.smooth = value; drawCurves(); });
		for (const id of ["rates", "rates-link"]) $(id).hidden = !document.querySelector("[data-part=rates] table");
		options($("setting"), data.settings.map((title, i) => [i, title]), true);
		document.querySelector("label.setting").hidden = data.settings.length < 2;
		const names = data.runs.map((r) => [r.name, r.name]);
		options($("memory-run"), data.runs.filter((r) => r.held && r.held.length).map((r) => [r.name, r.name]), true);
		const first = !$("run-a").options.length;
		options($("run-a"), names, true);
		options($("run-b"), names, true);
		for (const id of ["run-a", "run-b"]) $(id).size = Math.min(8, Math.max(2, names.length)); // One click chooses.
		if (first && data.runs.length) {
			const other = data.runs.find((r) => r.group !== data.runs[0].group) || data.runs[1] || data.runs[0];
			$("run-a").value = data.runs[0].name;
			$("run-b").value = other.name;
		}
		drawLegend();
		drawLimit();
		drawCurves();
		drawLevel();
		drawMemory();
		drawRecipes();
		drawSamples();
	}

	$("samples-of").addEventListener("change", drawSamples);
	$("limit-number").addEventListener("input", askLimit);
	$("limit-unit").addEventListener("change", askLimit);
	$("level").addEventListener("input", askLevel);
	$("setting").addEventListener("change", () => { state.setting = Number($("setting").value); state.limit = state.level = 0; drawLimit(); drawLevel(); });
	$("seeds").addEventListener("change", (e) => { state.seeds = e.target.value; on.clear(); off.clear(); for (const mark of marks) mark(); drawCurves(); });
	$("log-x").addEventListener("change", () => { state.log = $("log-x").checked; drawCurves(); });
	for (const id of ["points-mine", "points-other"]) $(id).addEventListener("change", drawCurves);
	$("all-on").addEventListener("click", () => turn(data.runs, true));
	$("all-off").addEventListener("click", () => turn(data.runs, false));
	$("memory-run").addEventListener("change", drawMemory);
	for (const id of ["run-a", "run-b", "same-too"]) $(id).addEventListener("change", drawRecipes);
	draw();

	// A live page asks the server for what is new, and goes on asking when it is away.
	if (!data.live) return;
	const note = (text, lost) => { $("live").textContent = text; $("live").classList.toggle("lost", lost); };
	async function renew() {
		const text = await (await fetch("/")).text();
		const page = new DOMParser().parseFromString(text, "text/html");
		for (const part of document.querySelectorAll("[data-part]")) {
			const fresh = page.querySelector(`[data-part="${part.dataset.part}"]`);
			if (fresh) part.replaceWith(document.importNode(fresh, true));
		}
		data = JSON.parse(page.getElementById("data").textContent);
		draw();
	}
	const events = new EventSource("/events");
	events.addEventListener("open", () => note("live", false));
	events.addEventListener("error", () => note("the server is away; asking again", true));
	events.addEventListener("changed", () => { renew().catch(() => note("the server is away; asking again", true)); });
})();
