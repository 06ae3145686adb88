"use strict";
// The price chart of question 2. Everything else on the page works without scripts.
(async () => {
  const $ = (id) => document.getElementById(id);
  const box = $("chart"), panel = $("trade"), legend = $("legend"), range = $("range"), choose = $("symbol");
  const unpack = async (text, format) => {
    const raw = atob(text), bytes = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream(format))).arrayBuffer();
  };
  if (typeof DecompressionStream === "undefined") {
    legend.textContent = "This browser cannot unpack the chart (it has no DecompressionStream). The tables below hold the trades.";
    return;
  }
  const data = JSON.parse(new TextDecoder().decode(await unpack($("data").textContent.trim(), "gzip")));
  if (!data.symbols.length) { legend.textContent = "There is nothing to draw: no signal event lies in the test blocks."; return; }
  const known = (trade) => trade.variants.filter((v) => v.price !== null);
  const clock = (t) => t === null ? "not known" : new Date(t * 1000).toISOString().slice(0, 16).replace("T", " ");
  const figures = (x, digits = 4) => x === null || x === undefined ? "not known"
    : Math.abs(x) >= 1e4 ? Math.round(x).toLocaleString("en-US") : Number(x.toPrecision(digits)).toString();
  const signed = (x, digits = 3) => x === null ? "not known" : (x > 0 ? "+" : "") + figures(x, digits);
  const share = (x) => x === null || x === undefined ? "not known" : figures(100 * x, 3) + " %";
  const level = (name) => name === "sd" ? "multiple of volatility" : name.replaceAll("_", " ");
  const side = (trade) => trade.side > 0 ? "▲ long" : "▼ short";

  // -- themes ------------------------------------------------------------------------------------------------
  const dark = matchMedia("(prefers-color-scheme: dark)"), paper = matchMedia("print");
  const STOPS = {
    light: [[255, 250, 230], [255, 232, 170], [253, 200, 120], [243, 150, 95], [222, 96, 84]],
    dark: [[30, 18, 52], [98, 26, 104], [188, 56, 78], [244, 136, 34], [252, 240, 160]],
  };
  const mix = (stops, at) => {
    const spot = Math.min(at, 0.9999) * (stops.length - 1), i = Math.floor(spot), f = spot - i;
    return stops[i].map((c, k) => Math.round(c + f * (stops[i + 1][k] - c)));
  };
  const theme = () => {
    const night = dark.matches && !paper.matches;
    return night
      ? { name: "dark", back: "#0e141a", ink: "#e4eaef", line: "rgba(160, 180, 200, .13)", up: "#0e141a", down: "#e4eaef", long: "#6cc4ff", short: "#ffab5c", gain: "#3fc7a6", loss: "#ff8a6b", sweep: "#9fe870" }
      : { name: "light", back: "#ffffff", ink: "#16222c", line: "rgba(40, 60, 80, .09)", up: "#ffffff", down: "#16222c", long: "#0a5ca8", short: "#a34700", gain: "#00775f", loss: "#b5391f", sweep: "#2b6a00" };
  };
  let look = theme();

  // -- one symbol --------------------------------------------------------------------------------------------
  const decoded = new Map();
  const decode = (item) => {
    if (decoded.has(item.symbol)) return decoded.get(item.symbol);
    const { c, o, h, l } = item.candles, rows = [];
    let close = 0;
    for (let i = 0; i < c.length; i++) {
      const time = item.first + i * item.step;
      if (c[i] === null) { rows.push({ time }); continue; }
      close += c[i];
      const price = (x) => Math.exp((close + x) / 1e5);
      rows.push({ time, open: price(o[i]), high: price(h[i]), low: price(l[i]), close: price(0) });
    }
    const found = { item, rows, cells: null, canvas: null, trades: data.trades.map((t, i) => ({ ...t, i })).filter((t) => t.symbol === item.symbol) };
    decoded.set(item.symbol, found);
    return found;
  };
  const paintMap = (found) => {
    const map = found.item.map;
    if (!map || !found.cells) return;
    const canvas = document.createElement("canvas");
    canvas.width = map.columns; canvas.height = map.bins;
    const context = canvas.getContext("2d"), image = context.createImageData(map.columns, map.bins);
    const words = new Uint32Array(image.data.buffer), colours = [0];
    for (let level = 1; level <= 15; level++) {
      const [r, g, b] = mix(STOPS[look.name], (level - 1) / 14), alpha = Math.round(255 * (0.3 + 0.65 * level / 15));
      colours.push(((alpha << 24) | (b << 16) | (g << 8) | r) >>> 0);
    }
    for (let x = 0; x < map.columns; x++)
      for (let y = 0; y < map.bins; y++) words[(map.bins - 1 - y) * map.columns + x] = colours[found.cells[x * map.bins + y]];
    context.putImageData(image, 0, 0);
    found.canvas = canvas;
  };

  // -- chart -------------------------------------------------------------------------------------------------
  const L = LightweightCharts;
  const options = () => ({
    layout: { background: { color: look.back }, textColor: look.ink, fontSize: 12, attributionLogo: true },
    grid: { vertLines: { color: look.line }, horzLines: { color: look.line } },
  });
  const paint = () => ({
    upColor: look.up, downColor: look.down, borderUpColor: look.ink, borderDownColor: look.ink, wickUpColor: look.ink, wickDownColor: look.ink,
  });
  const chart = L.createChart(box, {
    ...options(), autoSize: true, crosshair: { mode: 0 }, rightPriceScale: { mode: 1, minimumWidth: 64 },
    timeScale: { timeVisible: true, secondsVisible: false, minBarSpacing: 0.01, rightOffset: 2 },
    localization: { priceFormatter: (p) => figures(p, 6), timeFormatter: (t) => clock(t) + " UTC" },
  });
  const series = chart.addSeries(L.CandlestickSeries, { ...paint(), lastValueVisible: true, priceLineVisible: false });
  const scale = chart.timeScale();
  let now = null, chosen = null, latest = null;
  const shows = (name) => $("show-" + name).checked;
  const logical = (t) => (t - now.item.first) / now.item.step - 0.5;
  // The library places whole bars only.
  const place = (index) => scale.logicalToCoordinate(0) + index * scale.options().barSpacing;
  const across = (t) => place(logical(t));
  const up = (price) => series.priceToCoordinate(price);

  const mapLayer = (context, size) => {
    if (!now || !now.canvas || !shows("map")) return;
    const map = now.item.map, seen = scale.getVisibleLogicalRange();
    if (!seen) return;
    const perColumn = map.step / now.item.step, first = logical(map.first);
    const from = Math.max(Math.floor((seen.from - first) / perColumn) - 1, 0);
    const to = Math.min(Math.ceil((seen.to - first) / perColumn) + 2, map.columns);
    if (to <= from) return;
    const x0 = place(first + from * perColumn), x1 = place(first + to * perColumn);
    const y0 = up(Math.exp(map.low + map.bins * map.width)), y1 = up(Math.exp(map.low));
    if (x0 === null || y0 === null || y1 === null) return;
    context.imageSmoothingEnabled = x1 - x0 < to - from;
    context.drawImage(now.canvas, from, 0, to - from, map.bins, x0, y0, x1 - x0, y1 - y0);
  };
  const triangle = (g, x, y, direction, r) => {
    g.beginPath(); g.moveTo(x, y - direction * r); g.lineTo(x - r, y + direction * r * 0.8); g.lineTo(x + r, y + direction * r * 0.8); g.closePath();
  };
  const halo = (g, colour, filled = true) => {
    g.lineWidth = 3; g.strokeStyle = look.back; g.stroke();
    if (filled) { g.fillStyle = colour; g.fill(); }
    g.lineWidth = 1.4; g.strokeStyle = colour; g.stroke();
  };
  const ending = (g, x, y, reason, colour, r = 4.5) => {
    g.beginPath();
    if (reason === "target") g.arc(x, y, r, 0, 7);
    else if (reason === "time") g.rect(x - r, y - r, 2 * r, 2 * r);
    else { g.moveTo(x - r, y - r); g.lineTo(x + r, y + r); g.moveTo(x + r, y - r); g.lineTo(x - r, y + r); if (reason === "liquidation") { g.moveTo(x, y - 1.6 * r); g.lineTo(x, y + 1.6 * r); } }
    halo(g, colour, reason === "target" || reason === "time");
  };
  let places = [];
  const within = (list, time, from, to) => list.filter((each) => time(each) >= from && time(each) <= to);
  const marksLayer = (g, size) => {
    if (!now) return;
    const seen = scale.getVisibleLogicalRange();
    if (!seen) return;
    const from = now.item.first + seen.from * now.item.step, to = now.item.first + (seen.to + 1) * now.item.step;
    if (shows("pools")) drawPools(g, size, chosen && chosen.symbol === now.item.symbol ? chosen : null);
    if (shows("events")) drawEvents(g, size, from, to);
    if (shows("sweeps")) {
      const marks = within(now.item.marks, (m) => m[0], from, to), all = marks.length < 60;
      for (const [t, kind, below, price] of marks) {
        if (marks.length > 250 || (!all && kind !== "swept")) continue;
        const x = across(t), y = up(price);
        if (y === null) continue;
        if (kind === "swept") { triangle(g, x, y + below * 9, below, all ? 5 : 3); halo(g, look.sweep); }
        else { g.beginPath(); g.moveTo(x, y + below * 4); g.lineTo(x + 4, y + below * 8); g.lineTo(x, y + below * 12); g.lineTo(x - 4, y + below * 8); g.closePath(); halo(g, look.sweep, false); }
      }
    }
    places = [];
    if (!shows("trades")) return;
    for (const trade of now.trades) if (trade.exit_time >= from && trade.entry_time <= to) drawTrade(g, trade, chosen && trade.i === chosen.i);
  };
  const drawEvents = (g, size, from, to) => {
    const events = now.item.events, few = [];
    for (let i = 0; i < events.times.length; i++) if (events.times[i] >= from && events.times[i] <= to) few.push(i);
    for (const i of few) {
      const x = across(events.times[i]), colour = look.ink;
      if (few.length > 250) { g.globalAlpha = 0.35; g.fillStyle = colour; g.fillRect(x - 0.5, size.height - 9, 1, 7); g.globalAlpha = 1; }
      else { triangle(g, x, size.height - 8, events.directions[i], 4); g.fillStyle = colour; g.globalAlpha = 0.75; g.fill(); g.globalAlpha = 1;
        if (few.length < 9) { g.font = "11px system-ui"; g.textAlign = "center"; g.fillText(events.triggers[events.which[i]].replaceAll("_", " "), x, size.height - 17 - 12 * (few.indexOf(i) % 3)); } }
    }
  };
  const drawPools = (g, size, trade) => {
    const pools = trade ? trade.pools : now.item.pools, end = trade ? trade.event_time : now.item.map ? now.item.map.first + now.item.map.columns * now.item.map.step : 0;
    const x = Math.max(Math.min(across(end), size.width - 60), 0), shorts = look.short, longs = look.long;
    for (const pool of pools) {
      const y = up(pool.price);
      if (y === null) continue;
      const colour = pool.side === "below" ? longs : shorts;
      g.setLineDash([2, 3]); g.strokeStyle = colour; g.lineWidth = 1.5; g.beginPath(); g.moveTo(trade ? Math.max(x - 120, 0) : Math.max(x - 200, 0), y); g.lineTo(Math.min(x + 60, size.width), y); g.stroke(); g.setLineDash([]);
      g.font = "11px system-ui"; g.textAlign = "right"; g.lineWidth = 3; g.strokeStyle = look.back;
      const text = `pool #${pool.rank} ${pool.side === "below" ? "of longs" : "of shorts"}`, at = Math.max(trade ? x - 124 : x - 204, 110);
      g.strokeText(text, at, y + 4); g.fillStyle = colour; g.fillText(text, at, y + 4);
    }
  };
  const drawTrade = (g, trade, full) => {
    const x0 = across(trade.entry_time), x1 = across(trade.exit_time), y0 = up(trade.entry), y1 = up(trade.exit);
    if (y0 === null || y1 === null) return;
    const colour = trade.side > 0 ? look.long : look.short, result = trade.net_r > 0 ? look.gain : look.loss;
    if (full) {
      const stop = up(trade.stop), target = up(trade.target), end = Math.max(...known(trade).map((v) => across(v.time)), x0 + 6);
      g.globalAlpha = 0.2; g.fillStyle = look.gain; g.fillRect(x0, Math.min(y0, target), end - x0, Math.abs(target - y0));
      g.fillStyle = look.loss; g.fillRect(x0, Math.min(y0, stop), end - x0, Math.abs(stop - y0)); g.globalAlpha = 1;
      for (const [name, price, dash] of [["target", trade.target, []], ["stop", trade.stop, []], ["entry", trade.entry, [5, 4]], ["liquidation", trade.liquidation_price, [2, 3]]]) {
        const y = up(price);
        if (y === null) continue;
        g.setLineDash(dash); g.lineWidth = 1.6; g.strokeStyle = name === "target" ? look.gain : name === "entry" ? look.ink : look.loss;
        g.beginPath(); g.moveTo(x0, y); g.lineTo(end, y); g.stroke(); g.setLineDash([]);
        const text = `${name} ${figures(price, 6)}`;
        g.font = "12px system-ui"; g.textAlign = "left"; g.lineWidth = 3; g.strokeStyle = look.back; g.strokeText(text, end + 6, y + 4); g.fillStyle = look.ink; g.fillText(text, end + 6, y + 4);
      }
      for (const variant of known(trade).slice(1)) {
        if (variant.time === trade.exit_time && variant.price === trade.exit) continue;
        const x = across(variant.time), y = up(variant.price);
        if (y === null) continue;
        g.globalAlpha = 0.8; g.setLineDash([3, 3]); g.strokeStyle = look.ink; g.lineWidth = 1; g.beginPath(); g.moveTo(x0, y0); g.lineTo(x, y); g.stroke(); g.setLineDash([]);
        ending(g, x, y, variant.reason, look.ink, 3.5); g.globalAlpha = 1;
      }
    }
    if (trade.i === latest) box.dataset.entry = `${x0.toFixed(1)},${y0.toFixed(1)}`;
    g.lineWidth = full ? 2.6 : 1.6; g.strokeStyle = result; g.beginPath(); g.moveTo(x0, y0); g.lineTo(x1, y1); g.stroke();
    triangle(g, x0, y0, trade.side, full ? 8 : 6); halo(g, colour);
    ending(g, x1, y1, trade.exit_reason, result, full ? 5.5 : 4.5);
    places.push({ x: x0, y: y0, trade }, { x: x1, y: y1, trade });
  };
  const layer = (zOrder, draw) => {
    const view = { zOrder: () => zOrder, renderer: () => ({ draw: (target) => target.useMediaCoordinateSpace(({ context, mediaSize }) => { context.save(); draw(context, mediaSize); context.restore(); }) }) };
    let ask = () => {};
    return { attached: (given) => { ask = given.requestUpdate; }, paneViews: () => [view], updateAllViews: () => {}, again: () => ask(),
      autoscaleInfo: () => {
        if (zOrder !== "top" || !chosen || !now || chosen.symbol !== now.item.symbol) return null;
        const prices = [chosen.stop, chosen.target, chosen.entry, ...known(chosen).map((v) => v.price)];
        return { priceRange: { minValue: Math.min(...prices), maxValue: Math.max(...prices) } };
      } };
  };
  const layers = [layer("bottom", mapLayer), layer("top", marksLayer)];
  layers.forEach((each) => series.attachPrimitive(each));
  const redraw = () => layers.forEach((each) => each.again());

  const showSymbol = async (symbol) => {
    const found = decode(data.symbols.find((each) => each.symbol === symbol));
    now = found; choose.value = symbol; delete box.dataset.entry;
    series.setData(found.rows);
    scale.fitContent();
    if (found.item.map && !found.cells) {
      found.cells = new Uint8Array(await unpack(found.item.map.cells, "deflate"));
      paintMap(found);
    }
    redraw();
  };
  const zoom = (factor, shift = 0) => {
    const seen = scale.getVisibleLogicalRange(), half = (seen.to - seen.from) / 2 * factor, middle = (seen.to + seen.from) / 2 + shift * (seen.to - seen.from);
    scale.setVisibleLogicalRange({ from: middle - half, to: middle + half });
  };
  scale.subscribeVisibleLogicalRangeChange((seen) => {
    if (!seen || !now) return;
    const last = now.rows.length - 1, at = (i) => now.rows[Math.min(Math.max(Math.round(i), 0), last)].time;
    range.textContent = `${now.item.symbol}, ${clock(at(seen.from))} to ${clock(at(seen.to))} UTC, candles of ${now.item.step < 3600 ? now.item.step / 60 + " min" : now.item.step / 3600 + " h"}`;
  });
  chart.subscribeCrosshairMove((p) => {
    const bar = p.time !== undefined && p.seriesData.get(series);
    legend.textContent = bar && bar.open !== undefined ? `${clock(p.time)} UTC: open ${figures(bar.open, 6)}, high ${figures(bar.high, 6)}, low ${figures(bar.low, 6)}, close ${figures(bar.close, 6)}` : "";
  });

  // -- one trade ---------------------------------------------------------------------------------------------
  const element = (name, text, parent) => { const made = document.createElement(name); if (text !== null) made.textContent = text; parent.append(made); return made; };
  const group = (title, rows) => {
    const part = element("div", null, panel);
    element("h4", title, part);
    const list = element("dl", null, part);
    for (const [name, value] of rows) { element("dt", name, list); element("dd", value, list); }
  };
  const grid = (title, head, rows, whole) => {
    const part = element("div", null, panel);
    if (whole) part.className = "whole";
    element("h4", title, part);
    const scroll = element("div", null, part);
    scroll.className = "scroll"; scroll.tabIndex = 0; scroll.setAttribute("role", "region"); scroll.setAttribute("aria-label", title);
    const table = element("table", null, scroll), top = element("tr", null, element("thead", null, table)), body = element("tbody", null, table);
    head.forEach((name) => { element("th", name, top).scope = "col"; });
    rows.forEach((cells) => { const row = element("tr", null, body); cells.forEach((cell) => element("td", cell, row)); });
  };
  const distance = (trade, price) => price === null ? "" : ` (${signed(100 * (price / trade.entry - 1))} %)`;
  const describe = (trade) => {
    panel.replaceChildren();
    element("h3", `${data.synthetic ? "SYNTHETIC: " : ""}${side(trade)} ${trade.symbol}, ${clock(trade.entry_time)} UTC: ${signed(trade.net_r)} R, ended by ${trade.exit_reason}`, panel);
    group("Plan", [
      ["entry (USDT)", figures(trade.entry, 6)], ["stop", figures(trade.stop, 6) + distance(trade, trade.stop)], ["target", figures(trade.target, 6) + distance(trade, trade.target)],
      ["liquidation price", figures(trade.liquidation_price, 6) + distance(trade, trade.liquidation_price)], ["leverage", figures(trade.leverage) + "x"], ["notional (USDT)", figures(trade.notional_usd, 5)],
      ["planned loss (USDT)", figures(trade.risk_usd)], ["share of equity at risk", share(trade.risk_fraction)], ["reward over risk", figures(trade.reward_risk, 3)]]);
    group("Reasons", [
      ["trigger", trade.triggers.replaceAll("_", " ").replaceAll("+", ", ")], ["probability of a reversal", figures(trade.p_direction, 3)], ["probability of the target", figures(trade.p_trade, 3)],
      ["its lower bound", figures(trade.p_trade_low, 3)], ["without an edge", figures(trade.p_fair, 3)], ["expected value at the bound", figures(trade.expectancy_low, 3) + " R"],
      ["stop at", level(trade.stop_level)], ["target at", level(trade.target_level)], ["size set by", trade.binding.replaceAll("_", " ")],
      ["drawdown before", share(trade.drawdown)], ["risk multiplier", figures(trade.risk_multiplier, 3)]]);
    group("Result", [
      ["exit (USDT)", figures(trade.exit, 6) + distance(trade, trade.exit)], ["exit time (UTC)", clock(trade.exit_time)], ["held (hours)", figures((trade.exit_time - trade.entry_time) / 3600, 3)],
      ["gross (USDT)", signed(trade.gross_usd)], ["fees", signed(-trade.fees_usd)], ["slippage", signed(-trade.slippage_usd)], ["funding", trade.funding_known ? signed(-trade.funding_usd) : "not known, left out of the net results"],
      ["net (USDT)", signed(trade.net_usd)], ["net (bps of notional)", signed(trade.net_bps)], ["net (R)", signed(trade.net_r)], ["equity after (USDT)", figures(trade.equity_after, 6)]]);
    if (trade.note) group("Note", Object.keys(trade.note).length ? Object.entries(trade.note) : [["note", "none was written"]]);
    grid("The same trade without its levels, before costs", ["variant", "result (R)", "ended by", "price", "time (UTC)"],
      trade.variants.map((v) => [v.name, signed(v.gross_r), v.reason, figures(v.price, 6), clock(v.time)]), true);
    grid("Pools as the map was last read before the decision", ["pool", "price", "distance", "estimated share of open interest"],
      trade.pools.length ? trade.pools.map((p) => [`#${p.rank} ${p.side}`, figures(p.price, 6), share(p.distance_fraction), share(p.mass_fraction)]) : [["none within reach, or not known", "", "", ""]]);
  };
  const rows = new Map();
  const select = async (trade, { scroll = false } = {}) => {
    chosen = trade;
    if (trade !== null) latest = trade.i;
    rows.forEach((row, i) => { row.classList.toggle("chosen", trade !== null && i === trade.i); row.setAttribute("aria-current", String(trade !== null && i === trade.i)); });
    if (trade === null) { panel.replaceChildren(); element("p", "Choose a trade: click it in the chart or in the list, or press N in the chart.", panel); redraw(); return; }
    if (!now || now.item.symbol !== trade.symbol) await showSymbol(trade.symbol);
    const end = Math.max(...known(trade).map((v) => v.time)), pad = Math.max(Math.min(36 * 3600, 3 * (end - trade.entry_time)), 12 * now.item.step);
    scale.setVisibleLogicalRange({ from: Math.max(logical(trade.entry_time - pad), 0), to: Math.min(logical(end + 0.8 * pad), now.rows.length + 2) });
    describe(trade); redraw();
    if (scroll) box.scrollIntoView({ block: "center" });
  };
  const step = (by) => {
    if (!data.trades.length) return;
    const i = chosen ? (chosen.i + by + data.trades.length) % data.trades.length : by > 0 ? 0 : data.trades.length - 1;
    select({ ...data.trades[i], i });
  };
  chart.subscribeClick((p) => {
    if (!p.point) return;
    let best = null, least = 16;
    for (const each of places) { const far = Math.hypot(each.x - p.point.x, each.y - p.point.y); if (far < least) { least = far; best = each.trade; } }
    if (best) select(best);
  });

  // -- controls ----------------------------------------------------------------------------------------------
  data.symbols.forEach((each) => { const option = element("option", each.symbol, choose); option.value = each.symbol; });
  choose.addEventListener("change", () => { select(null); showSymbol(choose.value); });
  $("zoom-in").addEventListener("click", () => zoom(0.5));
  $("zoom-out").addEventListener("click", () => zoom(2));
  $("earlier").addEventListener("click", () => zoom(1, -0.4));
  $("later").addEventListener("click", () => zoom(1, 0.4));
  $("all").addEventListener("click", () => { select(null); scale.fitContent(); });
  $("before").addEventListener("click", () => step(-1));
  $("next").addEventListener("click", () => step(1));
  document.querySelectorAll("input[id^=show-]").forEach((each) => each.addEventListener("change", redraw));
  const keys = { ArrowLeft: () => zoom(1, -0.2), ArrowRight: () => zoom(1, 0.2), "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), Home: () => scale.fitContent(), n: () => step(1), p: () => step(-1), Escape: () => select(null) };
  box.addEventListener("keydown", (event) => { const act = !event.ctrlKey && !event.metaKey && !event.altKey && keys[event.key]; if (act) { event.preventDefault(); act(); } });
  const listed = new Map(data.trades.map((trade, i) => [`${clock(trade.entry_time)}|${trade.symbol}`, { ...trade, i }]));
  document.querySelectorAll("#trades-of-the-account tbody tr").forEach((row) => {
    const trade = listed.get(`${row.cells[0].textContent}|${row.cells[1].textContent}`);
    if (!trade) return;
    rows.set(trade.i, row); row.classList.add("pick"); row.tabIndex = 0;
    row.addEventListener("click", () => select(trade, { scroll: true }));
    row.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); select(trade, { scroll: true }); } });
  });
  const repaint = () => { look = theme(); chart.applyOptions(options()); series.applyOptions(paint()); decoded.forEach(paintMap); redraw(); };
  dark.addEventListener("change", repaint);
  paper.addEventListener("change", repaint);
  await select(null);
  await showSymbol(data.symbols[0].symbol);
  box.dataset.ready = "yes";
})();
