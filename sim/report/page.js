// The page of one run. It reads what the element "run" holds and fetches nothing. Times are microseconds. Texts of the run only ever
// become text nodes and canvas text.
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const make = (tag, props, ...kids) => {
    const e = Object.assign(document.createElement(tag), props);
    e.append(...kids);
    return e;
  };
  const run = JSON.parse($("run").textContent);
  const devices = run.devices, paths = run.paths, lanes = devices.length;
  const arrows = run.arrows.map(([at, until, from, to, kind, lost, text, size]) => ({ at, until, from, to, kind, lost: !!lost, text, size }));
  const moments = run.moments.map(([at, kind, lane, path, values, text, state, peer, until]) => ({ at, kind, lane, path, values: values || [], text, state, peer, until }));
  const faults = run.faults.map(([at, until, lane, groups, text]) => ({ at, until: until || at, lane, groups, text }));
  const end = Math.max(run.end, 1);

  const device = (lane) => lane >= 0 ? devices[lane] : lane === -1 ? "all devices" : "a device that is not shown";
  const hour = 3600e6, day = 24 * hour;
  const grouped = (n) => n.toLocaleString("en").replace(/,/g, "\u00a0");
  const two = (n) => String(n).padStart(2, "0");
  // seconds writes a moment as 12.345 s, and from an hour on as 395 d 00:01:02.345. report.timeText does the same.
  const seconds = (t, digits = 3) => t < hour ? (t / 1e6).toFixed(digits) + " s" : clock(t, digits);
  function clock(t, digits) {
    const unit = 10 ** (6 - digits);
    t = Math.round(t / unit) * unit;
    const part = digits ? "." + String(Math.floor(t % 1e6 / unit)).padStart(digits, "0") : "";
    return (t < day ? "" : grouped(Math.floor(t / day)) + " d ") + two(Math.floor(t % day / hour)) + ":" + two(Math.floor(t % hour / 60e6)) + ":" + two(Math.floor(t % 60e6 / 1e6)) + part;
  }
  const many = (n, one, more) => grouped(n) + " " + (n === 1 ? one : more);
  const quote = (v) => "“" + v + "”";
  const list = (values) => values.length ? values.map(quote).join(" and ") : "nothing";

  const verbs = { put: "writes", delete: "deletes", putall: "writes over every value", sibling: "writes beside the others", resolve: "settles the conflict with",
    keep: "settles the conflict by keeping", putif: "writes, if nothing changed,", deleteall: "deletes every value" };
  const back = (e) => e.until > e.at ? " until " + seconds(e.until) : " and starts again at once";
  // words says an event in plain words.
  function words(e) {
    const d = device(e.lane), at = e.path >= 0 ? paths[e.path] : "";
    switch (e.kind) {
      case "start": return d + " starts" + (e.text && e.text !== "first" ? " " + e.text : "");
      case "stop": return d + " is closed" + (e.text ? " (" + e.text + ")" : "") + back(e);
      case "crash": return d + " loses power" + back(e);
      case "write": return d + " " + (verbs[e.text] || e.text) + (e.values.length ? " " + quote(e.values[0]) : "") + " at " + at;
      case "refused": return "refused on " + d + (at ? " at " + at : "") + ": " + e.text;
      case "read": return d + " reads " + at + ": " + list(e.values);
      case "connect": return d + " is connected to " + device(e.peer);
      case "lose": return d + " has lost " + device(e.peer);
      case "fault": return (e.lane >= 0 ? d + ": " : "") + e.text + (e.until > e.at ? ", until " + seconds(e.until) : "");
      case "heal": return e.text || "all faults are over";
      case "conflict": return d + " reports a conflict at " + at + " between " + list(e.values) + (e.text ? " (" + e.text + ")" : "");
      case "state": return d + " holds " + list(e.values) + " at " + at + (e.text === "open" ? ", which waits for a decision" : "");
      case "agree": return "all devices hold the same";
      case "broken": return (e.lane >= 0 ? d + ": " : "") + e.text;
      case "gossip": case "message": {
        const what = e.kind === "gossip" ? "gossip" : e.text ? "session " + e.text : "session message";
        return what + " from " + device(e.from) + " to " + device(e.to) + (e.lost ? ", lost" : ", arrives " + seconds(e.until - e.at) + " later") + (e.size ? ", " + e.size + " B" : "");
      }
    }
    return e.kind + " " + (e.text || "");
  }
  const signs = { start: "▲", stop: "■", crash: "✕", write: "●", refused: "◯", read: "|", connect: "⌁", lose: "⌿", fault: "⚠", heal: "✚", conflict: "◆", state: "▪", agree: "✓", broken: "▼", gossip: "→", message: "⇢" };

  // What each device holds at a time: for each device and path the values from a moment on.
  const held = devices.map(() => paths.map(() => [])), states = devices.map(() => []);
  const colorOf = new Map(), order = (s) => { if (!colorOf.has(s)) colorOf.set(s, colorOf.size); return colorOf.get(s); };
  for (const m of moments) {
    if (m.lane < 0) continue;
    if (m.kind === "start") {
      for (const track of held[m.lane]) track.push({ at: m.at, values: [], open: false });
    }
    if (m.kind === "state") held[m.lane][m.path].push({ at: m.at, values: m.values, open: m.text === "open" });
    if (m.kind === "start" || m.kind === "state") { order(m.state); states[m.lane].push({ at: m.at, state: m.state, up: true }); }
    if (m.kind === "stop" || m.kind === "crash") states[m.lane].push({ at: m.at, state: "", up: false });
  }
  // last returns the last entry of a track that begins no later than t.
  function last(track, t) {
    let lo = 0, hi = track.length;
    while (lo < hi) { const mid = (lo + hi) >> 1; if (track[mid].at <= t) lo = mid + 1; else hi = mid; }
    return lo ? track[lo - 1] : null;
  }

  // ---- time ----
  let now = 0, view = [0, end], path = -1, query = "", playing = 0;
  const shown = { gossip: true, message: true, lost: true, read: true, link: false };
  const dark = matchMedia("(prefers-color-scheme: dark)");

  // wanted says whether an event passes the filters.
  function wanted(e) {
    if (e.from !== undefined) return path < 0 && shown[e.kind] && (!e.lost || shown.lost);
    if (e.kind === "read" && !shown.read || (e.kind === "connect" || e.kind === "lose") && !shown.link) return false;
    return path < 0 || e.path === path || e.path < 0;
  }
  const all = [...moments, ...arrows].sort((a, b) => a.at - b.at);
  let listed = [], stops = [], hits = [];
  function filter() {
    listed = all.filter(wanted);
    hits = query ? listed.filter((e) => words(e).toLowerCase().includes(query)) : [];
    stops = [...new Set((query ? hits : listed).filter((e) => query || e.from === undefined && e.kind !== "read").map((e) => e.at))];
    $("matches").textContent = query ? many(hits.length, "match", "matches") + (hits.length ? "; Enter goes to the next" : "") : "";
  }
  // step returns the moment that is n moments from t.
  function step(t, n) {
    let i = stops.findIndex((s) => s > t + (n < 0 ? -1 : 0));
    if (i < 0) i = stops.length;
    i = n > 0 ? i + n - 1 : i + n;
    return stops.length ? i < 0 ? 0 : i >= stops.length ? Math.max(end, t) : stops[i] : t;
  }
  function seek(t, reveal) {
    now = Math.min(Math.max(0, Math.round(t)), end);
    if (reveal && (now < view[0] || now > view[1])) {
      const half = (view[1] - view[0]) / 2;
      look(now - half, now + half);
    }
    $("slider").value = now;
    $("clock").textContent = seconds(now);
    showMaps();
    showList();
    drawCursor();
  }
  function look(a, b) {
    let span = Math.min(Math.max(b - a, 200), end * 1.02);
    a = Math.min(Math.max(a, -end * .01), end * 1.01 - span);
    view = [a, a + span];
    draw();
  }
  const whole = () => look(-end * .01, end * 1.01);
  function zoom(factor, around = now) {
    const f = (around - view[0]) / (view[1] - view[0]), anchor = f >= 0 && f <= 1 ? around : (view[0] + view[1]) / 2;
    look(anchor - (anchor - view[0]) * factor, anchor + (view[1] - anchor) * factor);
  }

  // ---- maps ----
  const rows = [];
  function buildMaps() {
    const head = make("tr", {}, make("th", { scope: "col", textContent: "device" }));
    paths.forEach((p, i) => head.append(make("th", { scope: "col", textContent: p, hidden: path >= 0 && path !== i })));
    const body = make("tbody");
    rows.length = 0;
    devices.forEach((name) => {
      const chip = make("span", { className: "chip" });
      const tr = make("tr", {}, make("th", { scope: "row" }, chip, name)), cells = paths.map((_, i) => make("td", { hidden: path >= 0 && path !== i }));
      tr.append(...cells);
      body.append(tr);
      rows.push({ tr, chip, cells, keys: paths.map(() => null) });
    });
    $("maps").replaceChildren(make("caption", { className: "hidden", textContent: "Values of each path on each device at the chosen moment" }), make("thead", {}, head), body);
  }
  function showMaps() {
    const up = states.map((s) => last(s, now)), running = up.filter((s) => s && s.up).length;
    // The ribbon counts all devices, also those that are not shown.
    const different = run.all > lanes ? statesAt(now) : new Set(up.filter((s) => s && s.up).map((s) => s.state)).size;
    const cellsAt = held.map((tracks) => tracks.map((track) => last(track, now)));
    const usual = paths.map((_, p) => {
      const counts = new Map();
      cellsAt.forEach((c, d) => { if (up[d] && up[d].up) { const k = key(c[p]); counts.set(k, (counts.get(k) || 0) + 1); } });
      return [...counts].reduce((a, b) => b[1] > a[1] ? b : a, ["", 0])[0];
    });
    rows.forEach((row, d) => {
      const on = !!(up[d] && up[d].up);
      row.tr.className = on ? "" : "off";
      row.chip.style.background = on ? stateColor(up[d].state) : "transparent";
      row.chip.title = on ? "state " + up[d].state : "off";
      row.cells.forEach((td, p) => {
        const c = cellsAt[d][p], differs = on && key(c) !== usual[p], k = on + "|" + differs + "|" + key(c);
        if (row.keys[p] === k) return;
        row.keys[p] = k;
        fillCell(td, c, differs, on);
      });
    });
    const partly = run.all > lanes, all = partly ? "all " + grouped(run.all) : "all";
    $("summary").textContent = (partly ? running + " of " + lanes + " devices shown run" : many(running, "device runs", "devices run") + (running < lanes ? ", " + (lanes - running) + " off" : "")) + " · " +
      (different <= 1 ? running > 1 ? all + " hold the same" : "one state" : different + " different states" + (partly ? " among " + all : "")) + faultsNow();
    $("slider").setAttribute("aria-valuetext", seconds(now) + ", " + $("summary").textContent);
  }
  const key = (c) => c ? (c.open ? "!" : "") + [...c.values].sort().join("\u0000") : "";
  const statesAt = (t) => (run.ribbon.filter((r) => r[0] <= t).pop() || [0, 0])[1];
  function fillCell(td, c, differs, on) {
    td.className = (differs ? "differs" : "") + (c && c.values.length ? "" : " empty");
    td.replaceChildren();
    if (differs) td.append(make("span", { className: "mark", textContent: "≠ ", title: "differs from what most devices hold" }));
    if (c && c.open) td.append(make("span", { className: "mark open", textContent: "◆ ", title: "waits for a decision" }));
    if (!c || !c.values.length) td.append(on || c ? "–" : "");
    else if (c.values.length === 1) td.append(c.values[0]);
    else c.values.forEach((v) => td.append(make("span", { className: "rival", textContent: v })));
  }
  function faultsNow() {
    const f = faults.filter((f) => f.at <= now && now < f.until).map((f) => (f.lane >= 0 ? device(f.lane) + ": " : "") + f.text);
    return f.length ? " · now: " + [...new Set(f)].slice(0, 4).join(", ") : "";
  }

  // ---- list ----
  const before = 40, after = 60;
  function showList() {
    const source = query ? hits : listed;
    let lo = 0, hi = source.length;
    while (lo < hi) { const mid = (lo + hi) >> 1; if (source[mid].at <= now) lo = mid + 1; else hi = mid; }
    const first = Math.max(0, lo - before), items = [];
    if (first > 0) items.push(make("li", { className: "quiet", textContent: many(first, "event", "events") + " before" }));
    for (const e of source.slice(first, lo + after)) {
      const text = words(e);
      const button = make("button", { type: "button", title: "Go to this moment" }, make("time", { textContent: seconds(e.at) }), make("span", { textContent: e.lost ? "×" : signs[e.kind] || "·", ariaHidden: "true" }), make("span", { textContent: text }));
      button.addEventListener("click", () => seek(e.at, true));
      items.push(make("li", { className: (e.at > now ? "later" : e.at === now ? "now" : "") + (e.kind === "broken" ? " broken-row" : "") }, button));
    }
    const rest = source.length - Math.min(source.length, lo + after);
    if (rest > 0) items.push(make("li", { className: "quiet", textContent: many(rest, "event", "events") + " after" }));
    const ol = $("list");
    ol.replaceChildren(...items);
    const at = ol.children[lo - first + (first > 0 ? 1 : 0)];
    ol.scrollTop = at ? Math.max(0, at.offsetTop - ol.clientHeight / 2) : ol.scrollHeight;
  }

  // ---- picture ----
  const picture = $("picture"), overlay = $("cursor"), stage = $("stage");
  let W = 0, H = 0, gutter = 80, laneH = 30, top0 = 0, tracks = 0, colors = {}, drawn = [];
  const ribbonH = 46, trackH = 19, axisH = 22;
  const x = (t) => gutter + (t - view[0]) / (view[1] - view[0]) * (W - gutter - 10);
  const timeAt = (px) => view[0] + (px - gutter) / (W - gutter - 10) * (view[1] - view[0]);
  const y = (lane) => top0 + laneH * (lane + .5);
  function stateColor(state) {
    const i = order(state), hue = (i * 137.5 + 205) % 360;
    return dark.matches ? `hsl(${hue} 62% ${58 + i % 3 * 6}%)` : `hsl(${hue} 58% ${40 + i % 3 * 6}%)`;
  }
  // pack gives faults that overlap, with what is written on them, tracks of their own.
  const tracksMax = 4;
  let trackOf = [], behind = []; // behind is the next fault of the same track
  const labelOf = (f) => (f.lane >= 0 ? device(f.lane) + ": " : "") + f.text;
  function pack(c) {
    const ends = [];
    c.font = font(11);
    trackOf = faults.map((f) => {
      const needs = (c.measureText(labelOf(f)).width + 12) / Math.max(1, W - gutter - 10) * end;
      let k = ends.findIndex((t) => t <= f.at);
      if (k < 0 && ends.length < tracksMax) k = ends.length;
      if (k < 0) k = ends.indexOf(Math.min(...ends));
      ends[k] = Math.max(f.until, f.at + Math.min(needs, end / 3));
      return k;
    });
    const last = [];
    behind = [];
    for (let i = faults.length - 1; i >= 0; i--) { behind[i] = last[trackOf[i]]; last[trackOf[i]] = faults[i]; }
    tracks = ends.length;
  }
  function size(canvas, h) {
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(W * ratio);
    canvas.height = Math.round(h * ratio);
    canvas.style.height = h + "px";
    const c = canvas.getContext("2d");
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    return c;
  }
  function layout() {
    W = stage.clientWidth;
    laneH = lanes <= 10 ? 38 : lanes <= 24 ? 28 : lanes <= 60 ? 20 : 16;
    const c = picture.getContext("2d");
    c.font = nameFont();
    gutter = Math.min(W * .3, Math.max(34, c.measureText(most).width, ...devices.map((d) => c.measureText(d).width)) + 18);
    pack(c);
    top0 = ribbonH + tracks * trackH + 8;
    H = top0 + lanes * laneH + axisH;
    const css = getComputedStyle(document.documentElement);
    for (const name of ["ink", "quiet", "line", "card", "gossip", "session", "bad", "good", "conflict", "write", "accent", "unsure", "hover"]) colors[name] = css.getPropertyValue("--" + name).trim();
  }
  const statesMost = run.ribbon.reduce((n, r) => Math.max(n, r[1]), 0), most = "up to " + statesMost;
  const font = (px = 12, weight = "") => `${weight} ${px}px system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif`;
  const nameFont = () => font(laneH < 18 ? 11 : 12.5, "600");

  function draw() {
    layout();
    const c = size(picture, H);
    drawn = [];
    c.lineJoin = "round";
    drawFaults(c);
    drawLanes(c);
    c.save();
    c.beginPath();
    c.rect(gutter, 0, W - gutter - 4, H - axisH);
    c.clip();
    drawArrows(c);
    drawMarks(c);
    c.restore();
    c.fillStyle = colors.card; // what was drawn left of the lanes
    c.fillRect(0, 0, gutter, H);
    drawNames(c);
    drawRibbon(c);
    drawAxis(c);
    drawCursor();
  }
  function drawNames(c) {
    c.textBaseline = "middle";
    c.textAlign = "right";
    c.fillStyle = colors.ink;
    c.font = nameFont();
    devices.forEach((d, i) => c.fillText(fit(c, d, gutter - 12), gutter - 8, y(i)));
    c.font = font(11);
    c.fillStyle = colors.quiet;
    c.fillText("states", gutter - 8, ribbonH / 2 - 7);
    c.fillText(most, gutter - 8, ribbonH / 2 + 7);
    if (tracks) c.fillText("faults", gutter - 8, ribbonH + trackH / 2);
  }
  // fit shortens a text to a width.
  function fit(c, text, width) {
    if (c.measureText(text).width <= width) return text;
    const chars = [...text];
    let lo = 0, hi = chars.length;
    while (lo < hi) { const mid = (lo + hi + 1) >> 1; if (c.measureText(chars.slice(0, mid).join("") + "…").width <= width) lo = mid; else hi = mid - 1; }
    return lo ? chars.slice(0, lo).join("") + "…" : "";
  }
  // drawRibbon shows how many different states the devices have.
  function drawRibbon(c) {
    const top = Math.max(2, statesMost), base = ribbonH - 6, h = base - 14;
    const level = (n) => base - Math.max(0, n - 1) / Math.max(1, top - 1) * h;
    c.save();
    c.beginPath();
    c.rect(gutter, 0, W - gutter - 10, ribbonH);
    c.clip();
    c.beginPath();
    c.moveTo(x(view[0]), base);
    let n = 0;
    for (const [t, k] of run.ribbon) { c.lineTo(x(t), level(n)); c.lineTo(x(t), level(k)); n = k; }
    c.lineTo(x(end), level(n));
    c.lineTo(x(end), base);
    c.closePath();
    c.globalAlpha = .25;
    c.fillStyle = colors.accent;
    c.fill();
    c.globalAlpha = 1;
    c.strokeStyle = colors.accent;
    c.lineWidth = 1.2;
    c.stroke();
    c.restore();
    c.font = font(11);
    for (const m of moments) {
      if (m.kind !== "agree" && m.kind !== "heal" || x(m.at) < gutter || m.at > view[1]) continue;
      c.strokeStyle = m.kind === "agree" ? colors.good : colors.quiet;
      c.setLineDash([3, 3]);
      line(c, x(m.at), m.kind === "agree" ? 0 : ribbonH, x(m.at), H - axisH);
      c.setLineDash([]);
      const label = m.kind === "agree" ? "✓ all agree" : "faults over";
      c.fillStyle = m.kind === "agree" ? colors.good : colors.quiet;
      c.textAlign = x(m.at) > W - 90 ? "right" : "left";
      if (m.kind === "agree") c.fillText(label, x(m.at) + (c.textAlign === "left" ? 4 : -4), 7);
      drawn.push({ x: x(m.at), y: ribbonH / 2, r: 9, e: m });
    }
  }
  function line(c, x1, y1, x2, y2) {
    c.beginPath();
    c.moveTo(x1, y1);
    c.lineTo(x2, y2);
    c.stroke();
  }
  const tints = [[210, 80], [28, 90], [145, 60], [290, 60], [60, 80]];
  function drawFaults(c) {
    faults.forEach((f, i) => {
      const a = Math.max(x(f.at), gutter), b = Math.min(x(f.until), W - 10);
      if (b < gutter || a > W - 10) return;
      const stall = f.text.startsWith("stall");
      (f.groups || []).forEach((group, g) => {
        const [hue, sat] = tints[g % tints.length];
        for (const lane of group || []) {
          c.fillStyle = `hsl(${hue} ${sat}% 55% / ${dark.matches ? .2 : .15})`;
          if (!stall) c.fillRect(a, top0 + lane * laneH, b - a, laneH);
          else for (let px = a; px < b; px += 7) c.fillRect(px, top0 + lane * laneH, Math.min(3, b - px), laneH);
        }
      });
      const top = ribbonH + trackOf[i] * trackH + 2, w = Math.max(b - a, 3);
      c.fillStyle = colors.hover;
      c.strokeStyle = f.groups ? colors.bad : colors.unsure;
      c.lineWidth = 1;
      c.fillRect(a, top, w, trackH - 4);
      c.strokeRect(a + .5, top + .5, w - 1, trackH - 5);
      const label = labelOf(f);
      c.fillStyle = colors.ink;
      c.font = font(11);
      c.textAlign = "left";
      c.textBaseline = "middle";
      // The label stands in the bar, or behind it where it is too long for that and there is more room.
      const next = behind[i] ? Math.min(x(behind[i].at), W - 10) : W - 10, inside = w - 8, outside = next - a - w - 8;
      const within = c.measureText(label).width <= inside || inside >= outside;
      if (Math.max(inside, outside) > 20) c.fillText(fit(c, label, within ? inside : outside), within ? a + 4 : a + w + 4, top + trackH / 2 - 2);
      drawn.push({ x: (a + b) / 2, y: top + trackH / 2, w: Math.max(w / 2, 6), h: trackH / 2, say: label + "\n" + seconds(f.at) + " – " + seconds(f.until), at: f.at });
    });
  }
  // drawLanes shows when each device runs, in the colour of what it holds.
  function drawLanes(c) {
    const thick = Math.max(3, Math.min(7, laneH / 5));
    states.forEach((track, lane) => {
      c.strokeStyle = colors.line;
      c.lineWidth = 1;
      line(c, gutter, y(lane), W - 10, y(lane));
      track.forEach((s, i) => {
        const a = Math.max(x(s.at), gutter), b = Math.min(x(i + 1 < track.length ? track[i + 1].at : end), W - 10);
        if (b < a || a > W - 10) return;
        if (s.up) {
          c.fillStyle = stateColor(s.state);
          c.fillRect(a, y(lane) - thick / 2, Math.max(b - a, .7), thick);
          return;
        }
        c.save();
        c.beginPath();
        c.rect(a, y(lane) - laneH * .34, b - a, laneH * .68);
        c.clip();
        c.fillStyle = colors.hover;
        c.fillRect(a, y(lane) - laneH / 2, b - a, laneH);
        c.strokeStyle = colors.quiet;
        c.globalAlpha = .5;
        for (let px = a - laneH - (a % 6); px < b + laneH; px += 6) line(c, px, y(lane) + laneH / 2, px + laneH, y(lane) - laneH / 2);
        c.restore();
      });
    });
  }
  const arrowsDrawnMax = 1600;
  function drawArrows(c) {
    const visible = arrows.filter((a) => a.until >= view[0] && a.at <= view[1] && wanted(a));
    const every = Math.ceil(visible.length / arrowsDrawnMax), few = visible.length < 350;
    $("thinned").textContent = every > 1 ? `One of ${every} messages is drawn at this zoom; zoom in to see each.` : "";
    visible.forEach((a, i) => {
      if (every > 1 && i % every) return;
      const x1 = x(a.at), y1 = y(a.from), session = a.kind === "message";
      let x2 = x(a.until), y2 = y(a.to);
      if (a.lost) { x2 = x1 + (x2 - x1) * .6 + 5; y2 = y1 + (y2 - y1) * .6; }
      c.strokeStyle = c.fillStyle = a.lost ? colors.bad : session ? colors.session : colors.gossip;
      c.globalAlpha = few ? .75 : a.lost ? .5 : .35;
      c.lineWidth = few ? 1.3 : 1;
      c.setLineDash(session && few ? [5, 3] : []);
      line(c, x1, y1, x2, y2);
      c.setLineDash([]);
      if (a.lost && (few || every === 1)) {
        line(c, x2 - 3, y2 - 3, x2 + 3, y2 + 3);
        line(c, x2 - 3, y2 + 3, x2 + 3, y2 - 3);
      } else if (few) {
        const angle = Math.atan2(y2 - y1, x2 - x1), s = 6;
        c.beginPath();
        c.moveTo(x2, y2);
        c.lineTo(x2 - s * Math.cos(angle - .4), y2 - s * Math.sin(angle - .4));
        c.lineTo(x2 - s * Math.cos(angle + .4), y2 - s * Math.sin(angle + .4));
        c.fill();
      }
      drawn.push({ x1, y1, x2, y2, e: a });
    });
    c.globalAlpha = 1;
  }
  const firstBroken = moments.find((m) => m.kind === "broken");
  function drawMarks(c) {
    const r = Math.max(3.2, Math.min(5.5, laneH / 6)), found = new Set(hits);
    for (const m of moments) {
      if (m.at < view[0] || m.at > view[1] || m.kind === "state" || m.kind === "connect" || m.kind === "lose" || m.kind === "fault" || m.kind === "heal" || m.kind === "agree" || !wanted(m)) continue;
      const px = x(m.at), lane = m.lane, py = lane >= 0 ? y(lane) : top0 - 4;
      if (m.kind === "broken" && m === firstBroken) {
        c.strokeStyle = colors.bad;
        c.lineWidth = 1.2;
        line(c, px, ribbonH, px, H - axisH);
      }
      mark(c, m.kind, px, py, r);
      if (found.has(m)) {
        c.strokeStyle = colors.accent;
        c.lineWidth = 2.5;
        c.beginPath();
        c.arc(px, py, r + 5, 0, 7);
        c.stroke();
      }
      drawn.push({ x: px, y: m.kind === "conflict" ? py - laneH * .27 : py, r: r + 3, e: m });
    }
  }
  function mark(c, kind, px, py, r) {
    c.lineWidth = 1.5;
    const shape = (color, points, open) => {
      c.beginPath();
      points.forEach(([dx, dy], i) => i ? c.lineTo(px + dx, py + dy) : c.moveTo(px + dx, py + dy));
      c.closePath();
      c.fillStyle = open ? colors.card : color;
      c.strokeStyle = open ? color : colors.card;
      c.fill();
      c.stroke();
    };
    switch (kind) {
      case "write": case "refused":
        c.beginPath();
        c.arc(px, py, r, 0, 7);
        c.fillStyle = kind === "write" ? colors.write : colors.card;
        c.strokeStyle = kind === "write" ? colors.card : colors.write;
        c.fill();
        c.stroke();
        break;
      case "read":
        c.strokeStyle = colors.quiet;
        line(c, px, py + r * .8, px, py + r * 2);
        break;
      case "conflict":
        py -= laneH * .27;
        shape(colors.conflict, [[0, -r * 1.1], [r * 1.1, 0], [0, r * 1.1], [-r * 1.1, 0]]);
        break;
      case "crash":
        c.lineWidth = 3;
        c.strokeStyle = colors.bad;
        line(c, px - r, py - r, px + r, py + r);
        line(c, px - r, py + r, px + r, py - r);
        break;
      case "stop": shape(colors.quiet, [[-r * .8, -r * .8], [r * .8, -r * .8], [r * .8, r * .8], [-r * .8, r * .8]]); break;
      case "start": shape(colors.good, [[0, -r], [r, r * .8], [-r, r * .8]]); break;
      case "broken":
        shape(colors.bad, [[-r * 1.5, -r * 2.6], [r * 1.5, -r * 2.6], [0, 0]]);
    }
  }
  // In a long view ticks stand at whole minutes, hours and days.
  const steps = [1, 2, 5, 10, 15, 30].flatMap((k) => [k * 1e6, k * 60e6]).concat([1, 2, 3, 6, 12].map((k) => k * hour), [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000].map((k) => k * day)).sort((a, b) => a - b);
  function axisLabel(t, tick, digits, long) {
    if (!long) return (t / 1e6).toFixed(digits) + (digits ? "" : " s");
    if (tick >= day) return grouped(Math.round(t / day)) + " d";
    return tick >= 60e6 ? clock(t, 0).replace(/:\d\d$/, "") : clock(t, digits);
  }
  function drawAxis(c) {
    const span = view[1] - view[0], long = Math.min(end, view[1]) >= hour, wish = span / Math.max(2, (W - gutter) / (long ? 130 : 90));
    const unit = 10 ** Math.floor(Math.log10(wish)), tick = (long ? steps : []).find((k) => k >= wish && wish > 1e6) || [1, 2, 5, 10].map((k) => k * unit).find((k) => k >= wish);
    const digits = Math.min(6, Math.max(0, Math.ceil(6 - Math.log10(tick) - 1e-9)));
    c.font = font(11);
    c.textBaseline = "middle";
    c.textAlign = "center";
    for (let t = Math.ceil(Math.max(0, view[0]) / tick) * tick; t <= Math.min(end, view[1]); t += tick) {
      if (x(t) < gutter) continue;
      c.strokeStyle = colors.line;
      c.lineWidth = 1;
      line(c, x(t), H - axisH, x(t), H - axisH + 4);
      c.fillStyle = colors.quiet;
      const label = axisLabel(t, tick, digits, long);
      c.fillText(label, Math.min(x(t), W - 4 - c.measureText(label).width / 2), H - axisH / 2 + 2);
    }
  }
  function drawCursor() {
    if (!W) return;
    const c = size(overlay, H), px = x(now);
    c.clearRect(0, 0, W, H);
    if (px < gutter - 1) return;
    c.strokeStyle = colors.accent;
    c.lineWidth = 1.6;
    line(c, px, 0, px, H - axisH + 4);
    c.fillStyle = colors.accent;
    c.beginPath();
    c.arc(px, H - axisH + 5, 4, 0, 7);
    c.fill();
  }

  // ---- pointing ----
  function under(px, py) {
    let best = null, least = 9;
    for (const d of drawn) {
      let far;
      if (d.w) far = Math.abs(px - d.x) <= d.w && Math.abs(py - d.y) <= d.h ? 3 : 99;
      else if (d.r) far = Math.max(0, Math.hypot(px - d.x, py - d.y) - d.r);
      else {
        const dx = d.x2 - d.x1, dy = d.y2 - d.y1, f = Math.min(1, Math.max(0, ((px - d.x1) * dx + (py - d.y1) * dy) / (dx * dx + dy * dy || 1)));
        far = 2 + Math.hypot(px - d.x1 - f * dx, py - d.y1 - f * dy);
      }
      if (far < least) { least = far; best = d; }
    }
    return best;
  }
  function showTip(px, py) {
    const tip = $("tip"), d = px > gutter ? under(px, py) : null;
    let text = d ? d.say || seconds(d.e.at, 6) + "\n" + words(d.e) : "";
    if (!d && px > gutter && py < ribbonH) {
      const n = statesAt(timeAt(px));
      text = n ? many(n, "state", "different states") + " at " + seconds(timeAt(px)) : "";
    }
    tip.hidden = !text;
    if (!text) return;
    tip.textContent = text;
    const w = tip.offsetWidth, h = tip.offsetHeight;
    tip.style.left = Math.max(0, Math.min(px + 12, W - w)) + "px";
    tip.style.top = (py - h - 10 < 0 ? py + 16 : py - h - 10) + "px";
  }
  const pointers = new Map();
  let dragged = 0, startView = null, startPinch = 0;
  const place = (ev) => { const b = stage.getBoundingClientRect(); return [ev.clientX - b.left, ev.clientY - b.top]; };
  stage.addEventListener("pointerdown", (ev) => {
    if (ev.button) return;
    pointers.set(ev.pointerId, place(ev));
    stage.setPointerCapture(ev.pointerId);
    dragged = 0;
    startView = [...view];
    startPinch = pinch();
    for (const p of pointers.values()) p.push(p[0]);
  });
  const pinch = () => { const p = [...pointers.values()]; return p.length > 1 ? Math.max(20, Math.abs(p[0][0] - p[1][0])) : 0; };
  stage.addEventListener("pointermove", (ev) => {
    const [px, py] = place(ev), p = pointers.get(ev.pointerId);
    if (!p) return showTip(px, py);
    dragged = Math.max(dragged, Math.abs(px - p[2]));
    p[0] = px;
    p[1] = py;
    const span = startView[1] - startView[0];
    if (pointers.size > 1) {
      const f = startPinch / pinch(), mid = (startView[0] + startView[1]) / 2;
      look(mid - span * f / 2, mid + span * f / 2);
    } else if (dragged > 4) {
      const by = (p[2] - px) / (W - gutter - 10) * span;
      look(startView[0] + by, startView[1] + by);
      $("tip").hidden = true;
    }
  });
  function release(ev) {
    if (!pointers.delete(ev.pointerId) || ev.type === "pointercancel") return;
    const [px, py] = place(ev);
    if (dragged > 4 || px <= gutter) return;
    const d = under(px, py);
    seek(d ? d.e ? d.e.at : d.at : timeAt(px));
    showTip(px, py);
  }
  stage.addEventListener("pointerup", release);
  stage.addEventListener("pointercancel", release);
  stage.addEventListener("pointerleave", () => { if (!pointers.size) $("tip").hidden = true; });
  stage.addEventListener("wheel", (ev) => {
    if (ev.ctrlKey || ev.metaKey) zoom(Math.exp(ev.deltaY * .004), timeAt(place(ev)[0]));
    else if (Math.abs(ev.deltaX) > Math.abs(ev.deltaY)) { const by = ev.deltaX / W * (view[1] - view[0]); look(view[0] + by, view[1] + by); }
    else return;
    ev.preventDefault();
  }, { passive: false });

  // ---- playing ----
  function play(on) {
    if (!!playing === on) return;
    $("play").textContent = on ? "❚❚" : "▶";
    $("play").setAttribute("aria-label", on ? "Pause" : "Play");
    $("summary").setAttribute("aria-live", on ? "off" : "polite");
    if (!on) { cancelAnimationFrame(playing); playing = 0; return; }
    if (now >= end) seek(0, true);
    let past = performance.now(), at = now;
    const frame = (t) => {
      // What is in view passes in twenty seconds at speed 1.
      at += Math.min(t - past, 100) / 20000 * Math.min(view[1] - view[0], end) * Number($("speed").value);
      past = t;
      if (Math.abs(at - now) > end / 4) at = now; // somebody went elsewhere
      seek(at, true);
      playing = requestAnimationFrame(frame);
      if (now >= end) play(false);
    };
    playing = requestAnimationFrame(frame);
  }
  const go = (t) => { play(false); seek(t, true); };
  $("play").addEventListener("click", () => play(!playing));
  $("back").addEventListener("click", () => go(step(now, -1)));
  $("next").addEventListener("click", () => go(step(now, 1)));
  $("slider").addEventListener("input", () => go(Number($("slider").value)));
  $("zoom-in").addEventListener("click", () => zoom(.5));
  $("zoom-out").addEventListener("click", () => zoom(2));
  $("zoom-fit").addEventListener("click", whole);
  const keys = {
    ArrowLeft: () => go(step(now, -1)), ArrowRight: () => go(step(now, 1)), ArrowDown: () => go(step(now, -1)), ArrowUp: () => go(step(now, 1)),
    PageDown: () => go(step(now, -10)), PageUp: () => go(step(now, 10)), Home: () => go(0), End: () => go(end), " ": () => play(!playing),
    "+": () => zoom(.5), "=": () => zoom(.5), "-": () => zoom(2), 0: whole,
  };
  for (const e of [$("slider"), stage]) {
    e.addEventListener("keydown", (ev) => {
      if (!keys[ev.key] || ev.ctrlKey || ev.metaKey || ev.altKey) return;
      ev.preventDefault();
      keys[ev.key]();
    });
  }
  $("path").addEventListener("change", () => {
    path = Number($("path").value);
    filter();
    buildMaps();
    seek(now);
    draw();
  });
  let typing = 0;
  $("search").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => { query = $("search").value.trim().toLowerCase(); filter(); showList(); draw(); }, 150);
  });
  $("search").addEventListener("keydown", (ev) => { if (ev.key === "Enter") go(step(now, ev.shiftKey ? -1 : 1)); });
  for (const box of document.querySelectorAll("[data-kind]")) {
    box.addEventListener("change", () => { shown[box.dataset.kind] = box.checked; filter(); showList(); draw(); });
  }
  dark.addEventListener("change", () => { draw(); showMaps(); });
  addEventListener("resize", draw);

  // A link such as #t=12.345 goes to a moment, close up.
  function follow() {
    const m = /^#t=([\d.]+)$/.exec(location.hash);
    if (!m) return;
    const t = Number(m[1]) * 1e6, half = Math.min(end / 2, Math.max(400_000, end / 200));
    play(false);
    look(t - half, t + half);
    seek(t);
    $("controls").scrollIntoView();
    $("slider").focus({ preventScroll: true });
  }
  addEventListener("hashchange", follow);
  for (const a of document.querySelectorAll("a.jump")) a.addEventListener("click", () => { if (a.hash === location.hash) follow(); });

  $("slider").max = end;
  paths.forEach((p, i) => $("path").append(make("option", { value: i, textContent: p })));
  filter();
  buildMaps();
  if (end >= hour) $("list").classList.add("long");
  seek(firstBroken ? firstBroken.at : 0); // what is wrong is what people look for
  whole();
  follow();
})();
