"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byNumber = new Map(data.trials.map((trial) => [trial.n, trial]));
  const families = [...new Set(data.trials.map((trial) => trial.f))];
  const config = { responsive: true, displaylogo: false, displayModeBar: false };
  const narrow = () => window.innerWidth < 760;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const ofFamily = (family) => colour(`--f${families.indexOf(family) % 8}`);
  const score = (value) => (value === null ? "none" : data.share ? `${(100 * value).toFixed(1)} %` : value.toPrecision(4));
  // Names come from files and users; plotly takes some HTML in texts.
  const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const folded = (text) => plain(text).replace(/(.{40,60}?), /g, "$1,<br>");
  const about = (trial) => `<b>trial ${trial.n}</b>, ${plain(trial.f)}: ${score(trial.b)}${trial.s === "s" ? " (stopped)" : trial.s === "x" ? " (failed)" : ""}<br>${folded(trial.t)}`;

  function layout(more) {
    const axis = { gridcolor: colour("--grid"), linecolor: colour("--line"), zerolinecolor: colour("--grid"), automargin: true, tickfont: { size: 12 }, title: { standoff: 8, font: { size: 13 } } };
    const base = {
      font: { family: "system-ui, -apple-system, Segoe UI, Roboto, sans-serif", size: 13, color: colour("--ink") },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", margin: { l: 56, r: 12, t: 10, b: 48 }, hovermode: "closest",
      hoverlabel: { bgcolor: colour("--card"), bordercolor: colour("--line"), font: { color: colour("--ink"), size: 12 }, align: "left" },
      legend: { orientation: "h", y: -0.16, yanchor: "top", x: 0, font: { size: 13 } }, uirevision: "kept", dragmode: narrow() ? false : "zoom",
    };
    for (const name of Object.keys(more).filter((key) => /^[xy]axis/.test(key))) more[name] = { ...axis, ...more[name], title: { ...axis.title, ...more[name].title } };
    return { ...base, ...more };
  }

  const SMALLER = { kWh: "Wh", "kg CO2e": "g CO2e" };
  const scoreAxis = () => ({ title: { text: `${data.metric}, validation` }, tickformat: data.share ? ".0%" : undefined });

  // One trace a family and state, its trials apart by gaps: a thousand trials are a dozen traces.
  function lines(trials, look) {
    const x = [], y = [], text = [];
    for (const trial of trials) {
      const told = about(trial);
      trial.e.forEach((epoch, i) => { x.push(epoch); y.push(trial.y[i]); text.push(`epoch ${epoch}: ${score(trial.y[i])}<br>${told}`); });
      x.push(null); y.push(null); text.push("");
    }
    return { x, y, text, type: "scatter", hovertemplate: "%{text}<extra></extra>", connectgaps: false, ...look };
  }

  function drawCurves(where) {
    const traces = [];
    for (const family of families) {
      const own = data.trials.filter((trial) => trial.f === family && trial.n !== data.winner);
      const long = own.filter((trial) => trial.e.length > 1), points = own.filter((trial) => trial.e.length === 1);
      const look = { mode: "lines", name: plain(family), legendgroup: family, line: { color: ofFamily(family), width: 1.3 } };
      const first = traces.length;
      if (long.some((trial) => trial.s !== "f")) traces.push(lines(long.filter((trial) => trial.s !== "f"), { ...look, opacity: 0.28 }));
      if (long.some((trial) => trial.s === "f")) traces.push(lines(long.filter((trial) => trial.s === "f"), { ...look, opacity: 0.85 }));
      if (points.length) traces.push(lines(points, { ...look, mode: "markers", marker: { color: ofFamily(family), size: 6 }, opacity: 0.6 }));
      traces.slice(first).forEach((trace, i, all) => { trace.showlegend = i === all.length - 1; });
    }
    const winner = byNumber.get(data.winner);
    if (winner) traces.push(lines([winner], { mode: winner.e.length > 1 ? "lines" : "markers", name: "the winner", line: { color: colour("--ink"), width: 3.2 }, marker: { color: colour("--ink"), size: 11, symbol: "diamond" } }));
    return Plotly.react(where, traces, layout({ xaxis: { title: { text: "epoch" }, rangemode: "tozero" }, yaxis: scoreAxis() }), config);
  }

  function drawSurvival(where) {
    const { levels, counts } = data.survival;
    const traces = Object.keys(counts).map((family) => ({
      type: "bar", name: plain(family), x: levels.map((level) => `${level}`), y: counts[family], marker: { color: ofFamily(family) }, width: Object.keys(counts).length > 1 ? undefined : 0.4, text: counts[family].map(String), textposition: "outside", cliponaxis: false,
      hovertemplate: `${plain(family)}: %{y} trials reached epoch %{x}<extra></extra>`,
    }));
    return Plotly.react(where, traces, layout({ xaxis: { type: "category", title: { text: "reached epoch" } }, yaxis: { title: { text: "trials" } }, showlegend: traces.length > 1, margin: { l: 56, r: 12, t: 24, b: 48 }, bargap: 0.4 }), config);
  }

  function drawImportance(where) {
    const one = data.importance[chosen("choose-family")];
    const bars = [...one.bars].reverse();
    const height = 80 + 30 * Math.max(bars.length, 3);
    where.style.height = `${height}px`;
    const trace = { type: "bar", orientation: "h", x: bars.map((bar) => bar[1]), y: bars.map((bar) => plain(bar[0])), marker: { color: ofFamily(one.family) }, hovertemplate: "%{y}: %{x:.0%}<extra></extra>" };
    document.getElementById("importance-note").textContent = `From ${one.trials} trials of ${one.family}; with few trials the order of the smaller ones is chance.`;
    return Plotly.react(where, [trace], layout({ height, bargap: 0.35, xaxis: { tickformat: ".0%", rangemode: "tozero" }, yaxis: { type: "category" }, showlegend: false }), config);
  }

  function drawSlices(where) {
    const one = data.importance[chosen("choose-family")], columns = Math.min(narrow() ? 2 : 3, one.slices.length), rows = Math.ceil(one.slices.length / columns);
    const more = { showlegend: false, margin: { l: 48, r: 8, t: 8, b: 8 } }, traces = [], wide = 1 / columns, high = 1 / rows;
    more.height = 220 * rows + 30;
    where.style.height = `${more.height}px`;
    one.slices.forEach((slice, i) => {
      const suffix = i ? `${i + 1}` : "", row = Math.floor(i / columns), column = i % columns;
      const known = slice.points.filter(([n]) => byNumber.has(n) && byNumber.get(n).l !== null);
      const full = known.map(([n]) => byNumber.get(n).s === "f");
      traces.push({
        type: "scatter", mode: "markers", xaxis: `x${suffix}`, yaxis: `y${suffix}`, x: known.map(([, value]) => value), y: known.map(([n]) => byNumber.get(n).l),
        text: known.map(([n]) => about(byNumber.get(n))), hovertemplate: `${plain(slice.name)} %{x}<br>%{text}<extra></extra>`,
        marker: { color: ofFamily(one.family), size: 6, opacity: full.map((is) => (is ? 0.9 : 0.35)) },
      });
      const gap = { x: narrow() ? 0.14 : 0.09, y: 0.3 / rows };
      more[`xaxis${suffix}`] = { anchor: `y${suffix}`, domain: [column * wide + (column ? gap.x / 2 : 0), (column + 1) * wide - (column < columns - 1 ? gap.x / 2 : 0)], title: { text: plain(slice.name), standoff: 4 }, automargin: false, tickfont: { size: 11 },
        ...(slice.choices ? { type: "category", categoryorder: "array", categoryarray: slice.choices, ticktext: slice.choices.map((text) => plain(text === "" ? "(none)" : text.length > 12 ? `${text.slice(0, 11)}…` : text)), tickvals: slice.choices, tickangle: slice.choices.join("").length > 20 ? -30 : 0 } : { nticks: 5, tickangle: 0, type: slice.log ? "log" : "linear", ...(slice.log ? { dtick: narrow() ? 2 : 1, exponentformat: "power" } : {}) }) };
      more[`yaxis${suffix}`] = { anchor: `x${suffix}`, domain: [1 - (row + 1) * high + gap.y, 1 - row * high], tickformat: data.share ? ".0%" : undefined, nticks: 5, automargin: false, showticklabels: column === 0, matches: i ? "y" : undefined, tickfont: { size: 11 } };
    });
    return Plotly.react(where, traces, layout(more), config);
  }

  function drawCosts(where) {
    const name = document.getElementById("choose-cost").value, cost = { ...data.costs[name] };
    const known = data.trials.filter((trial) => trial.s === "f" && name in trial.c), most = Math.max(...known.map((trial) => trial.c[name]));
    const small = cost.unit in SMALLER && most < 0.5, price = (trial) => trial.c[name] * (small ? 1000 : 1), prices = known.map(price);
    if (small) cost.unit = SMALLER[cost.unit];
    const few = Math.min(...prices) < 1;  // digits rather than a thousandth's letter
    const traces = families.filter((family) => known.some((trial) => trial.f === family)).map((family) => {
      const own = known.filter((trial) => trial.f === family).sort((one, other) => (one.n === data.winner) - (other.n === data.winner));  // the winner on top
      return { type: "scatter", mode: "markers", name: plain(family), x: own.map(price), y: own.map((trial) => trial.b), text: own.map(about), hovertemplate: `%{x:${few ? ".3~g" : ".3~s"}} ${plain(cost.unit)}<br>%{text}<extra></extra>`, marker: { color: ofFamily(family), size: own.map((trial) => (trial.n === data.winner ? 14 : 8)), symbol: own.map((trial) => (trial.n === data.winner ? "diamond" : "circle")), opacity: 0.85 } };
    });
    const front = cost.front.map((number) => byNumber.get(number)).filter(Boolean);
    traces.unshift({ type: "scatter", mode: "lines", name: "nothing is better and cheaper", x: front.map(price), y: front.map((trial) => trial.b), line: { shape: "hv", color: colour("--faint"), width: 1.5, dash: "dot" }, hoverinfo: "skip" });
    const log = Math.min(...prices) > 0 && Math.max(...prices) / Math.min(...prices) > 20;
    const unit = cost.unit ? ` (${cost.unit})` : "";
    return Plotly.react(where, traces, layout({ uirevision: name, xaxis: { title: { text: plain(cost.label + unit) }, type: log ? "log" : "linear", tickformat: few ? "~g" : "~s", ...(log ? { dtick: 1 } : { rangemode: "tozero" }) }, yaxis: scoreAxis() }), config);
  }

  function drawCurve(where) {
    const curve = data.curves[Number(where.dataset.curve)], tones = ["--f0", "--f1", "--f2", "--f3"];
    let used = 0;
    const traces = curve.series.map((each) => {
      if (each.style === "line") return { type: "scatter", mode: "lines", name: plain(each.name), x: each.x, y: each.y, line: { color: colour("--faint"), width: 1, dash: "dot" }, hoverinfo: "skip" };
      const tone = colour(tones[used++ % tones.length]);
      const reach = each.low && each.high ? { type: "data", symmetric: false, array: each.high.map((high, i) => high - each.y[i]), arrayminus: each.y.map((y, i) => y - each.low[i]), color: tone, thickness: 1, width: 3 } : undefined;
      return { type: "scatter", mode: "markers", name: plain(each.name), x: each.x, y: each.y, error_y: reach, text: each.text.map(plain), marker: { color: tone, size: 8, symbol: used > 1 ? "diamond" : "circle" }, hovertemplate: "%{x:.2f}: %{y:.2f}, %{text}<extra></extra>" };
    });
    const range = curve.range ? [curve.range[0] - 0.02, curve.range[1] + 0.02] : undefined;
    return Plotly.react(where, traces, layout({ xaxis: { title: { text: plain(curve.x) }, range }, yaxis: { title: { text: plain(curve.y) }, range } }), config);
  }

  // A cell a setting, all with the same axes; curves of repeats lie in one cell.
  function drawSweep(where) {
    const one = data.sweeps[Number(where.dataset.sweep)], count = one.cells.length, most = narrow() ? 2 : 4;
    const columns = one.columns && one.columns <= (narrow() ? 2 : 6) ? one.columns : Math.min(most, count), rows = Math.ceil(count / columns);
    const head = narrow() ? 96 : 52, foot = 44, between = 44, each = narrow() ? 120 : 160, inner = rows * each + (rows - 1) * between, height = head + foot + inner, gap = narrow() ? 0.05 : 0.025;
    where.style.height = `${height}px`;
    const tone = { v: colour("--f0"), t: colour("--f1"), mark: colour("--ink") }, traces = [], annotations = [];
    const more = { height, annotations, margin: { l: 56, r: 12, t: head, b: foot }, legend: { orientation: "h", x: 0, y: 1 + 26 / inner, yanchor: "bottom", font: { size: 13 } } };
    const pad = 0.04 * (one.y[1] - one.y[0]) || 0.05, named = new Set();
    const add = (group, name, trace) => { traces.push({ type: "scatter", name, legendgroup: group, showlegend: !named.has(group), ...trace }); named.add(group); };
    one.cells.forEach((cell, i) => {
      const suffix = i ? `${i + 1}` : "", row = Math.floor(i / columns), column = i % columns, on = { xaxis: `x${suffix}`, yaxis: `y${suffix}` }, whole = narrow() ? cell.short : cell.title, room = Math.floor((narrow() ? 42 : 150) / columns), title = whole.length > room ? `${whole.slice(0, room - 1)}…` : whole;
      const told = (line) => line.e.map((epoch, at) => `${folded(cell.title)}<br>trial ${line.n}, epoch ${epoch}: ${score(line.v[at] ?? null)}${line.t.length ? ` in validation, ${score(line.t[at] ?? null)} in training` : ""}`);
      for (const line of cell.lines) {
        const look = { ...on, x: line.e, text: told(line), hovertemplate: "%{text}<extra></extra>", mode: line.e.length > 1 ? "lines" : "markers", opacity: cell.lines.length > 1 ? 0.7 : 1 };
        add("v", "validation", { ...look, y: line.v, line: { color: tone.v, width: 2 }, marker: { color: tone.v } });
        if (line.t.some((value) => value !== null)) add("t", "training", { ...look, y: line.t, line: { color: tone.t, width: 1.4, dash: "dot" }, marker: { color: tone.t } });
        if (line.s) add("s", "stopped early", { ...on, mode: "markers", x: line.e.slice(-1), y: line.v.slice(-1), hoverinfo: "skip", marker: { symbol: "line-ns-open", size: 16, color: tone.v, line: { width: 2, color: tone.v } } });
        if (line.b !== null && cell.lines.length > 1) add("b", "best epoch", { ...on, mode: "markers", x: [line.e[line.b]], y: [line.v[line.b]], hoverinfo: "skip", marker: { symbol: "circle-open", size: 7, color: tone.mark, line: { width: 1.3 } } });
      }
      if (cell.mark) {
        const [x, y, bottom, top] = cell.mark, reach = bottom === null ? undefined : { type: "data", symmetric: false, array: [top - y], arrayminus: [y - bottom], color: tone.mark, thickness: 1.2, width: 4 };
        add("m", reach ? "score, 95 % interval" : "score", { ...on, mode: "markers", x: [x], y: [y], error_y: reach, marker: { symbol: "diamond", size: 9, color: tone.mark }, text: [`${folded(cell.title)}<br>${score(y)}${reach ? ` (${score(bottom)} to ${score(top)})` : ""}, best epoch ${x}`], hovertemplate: "%{text}<extra></extra>" });
      }
      const left = column / columns + (column ? gap / 2 : 0), above = row * (each + between), ends = [1 - (above + each) / inner, 1 - above / inner].map((end) => Math.max(0, end)), isLowest = i + columns >= count;
      if (cell.note) annotations.push({ xref: `x${suffix} domain`, yref: `y${suffix} domain`, x: 0.5, y: 0.5, showarrow: false, text: plain(cell.note), font: { size: 12, color: colour("--faint") } });
      annotations.push({ xref: "paper", yref: "paper", x: left, y: ends[1], xanchor: "left", yanchor: "bottom", showarrow: false, align: "left", text: `<b>${plain(title)}</b>`, font: { size: 12, color: colour("--ink") } });
      more[`xaxis${suffix}`] = { anchor: `y${suffix}`, domain: [left, (column + 1) / columns - (column < columns - 1 ? gap / 2 : 0)], range: [0, one.last * 1.04], nticks: 5, tickangle: 0, showticklabels: isLowest, automargin: false, tickfont: { size: 11 }, title: row === rows - 1 ? { text: "epoch", standoff: 4, font: { size: 12 } } : {} };
      more[`yaxis${suffix}`] = { anchor: `x${suffix}`, domain: ends, range: [one.y[0] - pad, one.y[1] + pad], tickformat: data.share ? ".0%" : undefined, nticks: 5, showticklabels: column === 0, automargin: false, tickfont: { size: 11 } };
    });
    return Plotly.react(where, traces, layout(more), config);
  }

  const chosen = (id) => Number(document.getElementById(id).value || 0);
  function fill(id, options, redraw) {
    const select = document.getElementById(id);
    for (const [value, text] of options) {
      const option = document.createElement("option");
      option.value = value; option.textContent = text;
      select.append(option);
    }
    select.closest(".choose").hidden = options.length < 2;
    select.addEventListener("change", redraw);
  }

  const there = { survival: data.survival.levels.length > 0, importance: data.importance.length > 0, costs: Object.keys(data.costs).length > 0 };
  for (const [name, is] of Object.entries(there)) {
    document.querySelectorAll(`[data-needs="${name}"]`).forEach((section) => { section.hidden = !is; });
    document.querySelectorAll(`[data-lacks="${name}"]`).forEach((note) => { note.hidden = is; });
  }
  const plots = [["plot-curves", drawCurves]];
  if (there.survival) plots.push(["plot-survival", drawSurvival]);
  if (there.importance) plots.push(["plot-importance", drawImportance], ["plot-slices", drawSlices]);
  if (there.costs) plots.push(["plot-costs", drawCosts]);
  fill("choose-family", data.importance.map((one, i) => [i, one.family]), () => { draw("plot-importance"); draw("plot-slices"); });
  fill("choose-cost", Object.entries(data.costs).map(([name, cost]) => [name, cost.label]), () => draw("plot-costs"));
  const drawn = new Map(plots.map(([id, how]) => [document.getElementById(id), how]));
  document.querySelectorAll("[data-curve]").forEach((where) => drawn.set(where, drawCurve));
  document.querySelectorAll("[data-sweep]").forEach((where) => drawn.set(where, drawSweep));
  const waiting = new Set(drawn.keys());
  const drawOne = (where) => { waiting.delete(where); drawn.get(where)(where); };
  const draw = (id) => drawOne(document.getElementById(id));
  const again = () => drawn.forEach((how, where) => { if (!waiting.has(where)) how(where); });
  // What lies further down is drawn when somebody comes near, and what is folded away when it is opened.
  const watch = new IntersectionObserver((entries) => entries.forEach((entry) => {
    if (!entry.isIntersecting) return;
    watch.unobserve(entry.target);
    if (waiting.has(entry.target)) drawOne(entry.target);
  }), { rootMargin: "50%" });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  matchMedia("(max-width: 760px)").addEventListener("change", again);
  addEventListener("beforeprint", () => waiting.forEach((where) => { if (where.offsetParent !== null) drawOne(where); }));
  drawn.forEach((how, where) => {
    if (where.offsetParent !== null && where.getBoundingClientRect().top < 1.2 * innerHeight) drawOne(where);
    else watch.observe(where);
  });
  document.documentElement.dataset.drawnMs = performance.now().toFixed(0);
})();
