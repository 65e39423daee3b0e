// The charts, drawn by uPlot. Every text that reaches the page is set as text of an element, never as markup.
"use strict";
const plots = (() => {
	const dark = matchMedia("(prefers-color-scheme: dark)");
	const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
	// The palette's black is the ink of the page.
	const colour = (c) => c.toUpperCase() === "#000000" ? css("--ink") : c;
	const dashes = (text) => text ? text.split(" ").map(Number) : undefined;
	const element = (tag, text, parent, className) => {
		const e = document.createElement(tag);
		if (text !== undefined && text !== null) e.textContent = text;
		if (className) e.className = className;
		if (parent) parent.append(e);
		return e;
	};

	const units = ["", "K", "M", "G", "T", "P", "E"];
	// A number with three digits and a suffix, as an axis shows it.
	function short(x) {
		if (x === 0) return "0";
		let at = 0, size = Math.abs(x);
		if (size >= 1e21) return x.toExponential(2);
		while (size >= 1000 && at < units.length - 1) { size /= 1000; at++; }
		return Number((x / 1000 ** at).toPrecision(3)) + units[at];
	}
	function bytes(n) {
		for (const [unit, name] of [[2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]])
			if (n >= unit) return (n / unit).toFixed(1) + " " + name;
		return n + " B";
	}
	const round = (n) => bytes(n).replace(".0 ", " ");
	function seconds(x) {
		if (x < 120) return Number(x.toPrecision(3)) + " s";
		if (x < 7200) return (x / 60).toFixed(1) + " min";
		return (x / 3600).toFixed(1) + " h";
	}
	const axisFormats = {
		step: (x) => Math.round(x).toLocaleString("en-US"), tokens: (x) => Math.round(x).toLocaleString("en-US"),
		flops: (x) => x === 0 ? "0" : x.toPrecision(3), time: seconds,
	};
	const axisTicks = { step: short, tokens: short, flops: short, time: seconds };

	const drawn = new Map(); // by element: what draws it again
	dark.addEventListener("change", () => { for (const again of drawn.values()) again(); });
	const resized = new ResizeObserver((entries) => {
		for (const { target } of entries) {
			const u = target.plot;
			if (u) u.setSize(size(target));
		}
	});
	const size = (el) => ({ width: Math.max(200, el.clientWidth - 6), height: Math.max(120, el.clientHeight - 12) });

	// Draws a chart into an element, in place of what was there. The arrow keys move its cursor.
	function put(el, make) {
		const again = () => {
			if (el.plot) el.plot.destroy();
			el.plot = null;
			el.replaceChildren();
			const made = make();
			if (!made) { element("p", "There is nothing to draw.", el, "empty"); return; }
			const { options, data } = made;
			el.plot = new uPlot({ ...size(el), legend: { show: false }, ...options }, data, el);
		};
		if (!drawn.has(el)) {
			el.tabIndex = 0;
			el.setAttribute("role", "group");
			el.addEventListener("keydown", keys);
			resized.observe(el);
		}
		drawn.set(el, again);
		again();
	}
	function keys(event) {
		const u = event.currentTarget.plot;
		if (!u) return;
		const xs = u.data[0], [low, high] = [u.scales.x.min, u.scales.x.max];
		const first = xs.findIndex((x) => x >= low), last = xs.findLastIndex((x) => x <= high);
		let at = u.cursor.idx ?? first - 1;
		switch (event.key) {
		case "ArrowRight": at += event.shiftKey ? 10 : 1; break;
		case "ArrowLeft": at -= event.shiftKey ? 10 : 1; break;
		case "Home": at = first; break;
		case "End": at = last; break;
		case "Escape": u.setCursor({ left: -10, top: -10 }); return;
		default: return;
		}
		event.preventDefault();
		at = Math.min(Math.max(at, first), last);
		u.setCursor({ left: u.valToPos(xs[at], "x"), top: u.over.clientHeight / 2 });
	}

	const font = "12px system-ui, sans-serif";
	function axis(label, values, more) {
		return { label, labelFont: font, font, stroke: css("--soft"), grid: { stroke: css("--line"), width: 1 },
			ticks: { stroke: css("--line"), width: 1 }, values: (u, list) => list.map((x) => x === null ? "" : values(x)),
			...more };
	}

	// A tip beside the cursor: rows(u) has a title and [colour, dash, name, value] of each row.
	function tip(rows) {
		let box;
		return {
			hooks: {
				ready: (u) => {
					box = element("div", null, u.over, "tip");
					box.hidden = true;
					u.over.addEventListener("mouseleave", () => { box.hidden = true; });
				},
				setCursor: (u) => {
					if (!box) return;
					const found = u.cursor.left >= 0 ? rows(u) : null;
					box.hidden = !found;
					if (!found) return;
					box.replaceChildren();
					element("b", found.title, box);
					for (const [c, dash, name, value] of found.rows) {
						const row = element("span", null, box);
						row.append(swatch(c, dash));
						element("i", name, row);
						element("span", value, row);
					}
					const right = u.cursor.left > u.over.clientWidth / 2;
					const x = right ? u.cursor.left - box.offsetWidth - 12 : u.cursor.left + 12;
					const y = Math.min(Math.max(0, u.cursor.top - box.offsetHeight / 2), u.over.clientHeight - box.offsetHeight);
					box.style.transform = `translate(${Math.max(0, x)}px, ${Math.max(0, y)}px)`;
				},
			},
		};
	}
	// A piece of a curve, for legends.
	function swatch(c, dash) {
		const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
		svg.setAttribute("class", "swatch");
		svg.setAttribute("viewBox", "0 0 24 10");
		svg.setAttribute("aria-hidden", "true");
		const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
		for (const [name, value] of Object.entries({ x1: 0, x2: 24, y1: 5, y2: 5, stroke: colour(c), "stroke-width": 2.5 }))
			line.setAttribute(name, value);
		if (dash) line.setAttribute("stroke-dasharray", dash);
		svg.append(line);
		return svg;
	}

	const at = (list, x) => { // the index of the value nearest to x
		let low = 0, high = list.length - 1;
		while (high - low > 1) { const middle = (low + high) >> 1; if (list[middle] < x) low = middle; else high = middle; }
		return high < 0 ? -1 : x - list[low] <= list[high] - x ? low : high;
	};

	// Curves: {name, colour, dash, x, y, marks, dots}. Marks are {at, minor, text}, dots {x, y, filled, text}.
	function curves(el, curves, { axisName, label, ylabel, log }) {
		put(el, () => {
			if (!curves.length) return null;
			const data = uPlot.join(curves.map((c) => [c.x, c.y]));
			const range = (u, low, high) => {
				const [from, to] = [u.scales.x.min ?? -Infinity, u.scales.x.max ?? Infinity]; // Not known before the first time.
				for (const c of curves) for (const d of c.dots)
					if (d.x >= from && d.x <= to && d.y !== null) { low = Math.min(low, d.y); high = Math.max(high, d.y); }
				return uPlot.rangeNum(low, high, 0.05, false);
			};
			const draw = (u) => {
				const ctx = u.ctx, ratio = devicePixelRatio, box = u.bbox;
				ctx.save();
				ctx.beginPath();
				ctx.rect(box.left - 6 * ratio, box.top, box.width + 12 * ratio, box.height);
				ctx.clip();
				for (const c of curves) {
					ctx.strokeStyle = ctx.fillStyle = colour(c.colour);
					for (const m of c.marks) {
						const x = u.valToPos(c.x[m.at], "x", true), y = u.valToPos(c.y[m.at], "y", true), half = (m.minor ? 7 : 14) * ratio;
						ctx.lineWidth = (m.minor ? 1.25 : 2.5) * ratio;
						ctx.beginPath();
						ctx.moveTo(x, y - half);
						ctx.lineTo(x, y + half);
						ctx.stroke();
					}
					for (const d of c.dots) {
						if (d.y === null) continue;
						ctx.beginPath();
						ctx.arc(u.valToPos(d.x, "x", true), u.valToPos(d.y, "y", true), 3.5 * ratio, 0, 2 * Math.PI);
						ctx.lineWidth = 1.5 * ratio;
						ctx.fillStyle = d.filled ? colour(c.colour) : css("--card");
						ctx.fill();
						ctx.stroke();
					}
				}
				ctx.restore();
			};
			const rows = (u) => {
				const x = u.posToVal(u.cursor.left, "x");
				const list = [];
				for (const c of curves) {
					const i = at(c.x, x);
					if (i < 0 || c.y[i] === null || x < c.x[0] || x > c.x[c.x.length - 1] * 1.02) continue;
					const near = (x) => Math.abs(u.valToPos(x, "x") - u.cursor.left) < 6;
					const said = [...c.marks.filter((m) => near(c.x[m.at])), ...c.dots.filter((d) => near(d.x))].map((m) => m.text);
					list.push([c.colour, c.dash, [c.name, ...new Set(said)].join(" · "), c.y[i].toFixed(3), c.y[i]]);
				}
				list.sort((a, b) => a[4] - b[4]);
				return list.length ? { title: label + " " + axisFormats[axisName](x), rows: list.slice(0, 14) } : null;
			};
			return { data, options: {
				scales: { x: { time: false, distr: log ? 3 : 1 }, y: { range } },
				series: [{}, ...curves.map((c) => ({ label: c.name, stroke: colour(c.colour), width: 1.5, dash: dashes(c.dash),
					spanGaps: true, points: { show: false } }))],
				axes: [axis(label, axisTicks[axisName]), axis(ylabel, (x) => String(Number(x.toPrecision(6))), { size: 56 })],
				cursor: { points: { show: false }, drag: { x: true, y: false } },
				hooks: { draw: [draw] }, plugins: [tip(rows)],
			} };
		});
	}

	// Points of methods: {name, colour, x, y, spread}, and a limit of x.
	function scatter(el, points, { label, ylabel, limit }) {
		put(el, () => {
			if (!points.length) return null;
			const data = uPlot.join(points.map((p) => [[p.x], [p.y]]));
			const xs = points.map((p) => p.x), ends = points.flatMap((p) => [p.y - (p.spread || 0), p.y + (p.spread || 0)]);
			if (limit) xs.push(limit);
			const [low, high] = [Math.min(...xs), Math.max(...xs)], pad = (high - low) * 0.12 || high * 0.2;
			const rangeX = [Math.max(0, low - pad), high + pad], rangeY = uPlot.rangeNum(Math.min(...ends), Math.max(...ends), 0.15, false);
			const draw = (u) => {
				const ctx = u.ctx, ratio = devicePixelRatio, box = u.bbox;
				ctx.save();
				if (limit) {
					const x = u.valToPos(limit, "x", true);
					ctx.strokeStyle = css("--accent");
					ctx.lineWidth = 1.5 * ratio;
					ctx.setLineDash([6 * ratio, 4 * ratio]);
					ctx.beginPath();
					ctx.moveTo(x, box.top);
					ctx.lineTo(x, box.top + box.height);
					ctx.stroke();
					ctx.setLineDash([]);
				}
				ctx.font = 12 * ratio + "px system-ui, sans-serif";
				ctx.textBaseline = "middle";
				const taken = points.map((p) => [p.x, p.y].map((v, i) => u.valToPos(v, "xy"[i], true)))
					.map(([x, y]) => [x - 6 * ratio, x + 6 * ratio, y]); // boxes from left to right, around a height
				for (const p of points) {
					const x = u.valToPos(p.x, "x", true), y = u.valToPos(p.y, "y", true);
					ctx.strokeStyle = ctx.fillStyle = colour(p.colour);
					ctx.lineWidth = 1.5 * ratio;
					if (p.spread) {
						ctx.beginPath();
						ctx.moveTo(x, u.valToPos(p.y - p.spread, "y", true));
						ctx.lineTo(x, u.valToPos(p.y + p.spread, "y", true));
						ctx.stroke();
					}
					ctx.globalAlpha = limit && p.x > limit ? 0.4 : 1;
					ctx.beginPath();
					ctx.arc(x, y, 5 * ratio, 0, 2 * Math.PI);
					ctx.fill();
					// The name stands to the right, or where there is no room to the left, away from other names.
					const width = ctx.measureText(p.name).width, left = x + width + 12 * ratio > box.left + box.width;
					const from = left ? x - 10 * ratio - width : x + 10 * ratio;
					const free = (at) => !taken.some(([a, b, c]) => Math.abs(c - at) < 14 * ratio && from < b && from + width > a);
					const ty = [0, -15, 15, -30, 30].map((d) => y + d * ratio).find(free) ?? y;
					taken.push([from, from + width, ty]);
					ctx.fillStyle = css("--ink");
					ctx.textAlign = "left";
					ctx.fillText(p.name, from, ty);
					ctx.globalAlpha = 1;
				}
				ctx.restore();
			};
			return { data, options: {
				scales: { x: { time: false, range: () => rangeX }, y: { range: () => rangeY } },
				series: [{}, ...points.map((p) => ({ label: p.name, paths: () => null, points: { show: false } }))],
				axes: [axis(label, round, { splits: () => splits(rangeX) }), axis(ylabel, (y) => String(Number(y.toPrecision(5))), { size: 56 })],
				cursor: { show: false }, hooks: { draw: [draw] },
			} };
		});
	}
	// Round places on an axis of bytes.
	function splits([low, high]) {
		const unit = [2 ** 30, 2 ** 20, 2 ** 10, 1].find((u) => high >= u);
		const raw = (high - low) / unit / 5, ten = 10 ** Math.floor(Math.log10(raw));
		const step = [1, 2, 5, 10].map((f) => f * ten).find((s) => s >= raw) * unit;
		const list = [];
		for (let x = Math.ceil(low / step) * step; x <= high; x += step) list.push(x);
		return list;
	}

	// Areas on top of each other: {name, colour, y}, over one x; each holds until the next point.
	function areas(el, x, parts, { axisName, label, ylabel }) {
		put(el, () => {
			if (!x.length) return null;
			const sums = [];
			let below = x.map(() => 0);
			for (const p of parts) { below = below.map((n, i) => n + p.y[i]); sums.push(below); }
			const shown = parts.map((p, i) => ({ ...p, sum: sums[i] })).filter((p) => p.y.some((n) => n > 0)).reverse();
			const stepped = uPlot.paths.stepped({ align: 1 });
			const rows = (u) => {
				const i = u.cursor.idx;
				if (i === null || i === undefined) return null;
				const list = shown.map((p) => [p.colour, "", p.name, bytes(p.y[i])]);
				return { title: label + " " + axisFormats[axisName](x[i]) + ": " + bytes(below[i]), rows: list };
			};
			const top = Math.max(...below);
			return { data: [x, ...shown.map((p) => p.sum)], options: {
				scales: { x: { time: false }, y: { range: () => [0, top * 1.08] } },
				series: [{}, ...shown.map((p) => ({ label: p.name, stroke: colour(p.colour), fill: colour(p.colour), width: 0,
					paths: stepped, points: { show: false } }))],
				axes: [axis(label, axisTicks[axisName]), axis(ylabel, round, { size: 76, splits: () => splits([0, top * 1.08]) })],
				cursor: { points: { show: false } }, plugins: [tip(rows)],
			} };
		});
	}
	return { element, swatch, curves, scatter, areas, bytes, round, axisFormats };
})();
