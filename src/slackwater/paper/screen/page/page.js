"use strict";
// Draws the views that the server sends. Data reach the page as text alone.
(() => {
  const $ = (id) => document.getElementById(id);
  const box = $("chart"), choose = $("symbol");
  const UNKNOWN = "–";
  const SILENT = 10; // seconds without news that the page speaks of
  const CANDLES = 3; // seconds between two requests for candles
  const LATE = 900; // seconds for which a fault stands at the head
  const NEAR = 0.03, FAR = 0.3; // log distances within which the chart makes room for a level

  // -- forms, as on the terminal -----------------------------------------------------------------------------
  const known = (x) => typeof x === "number" && Number.isFinite(x);
  const fixed = (x, digits, sign = "") => !known(x) ? UNKNOWN : Math.abs(x) >= 1e10 ? x.toPrecision(3)
    : (sign && x >= 0 ? sign : "") + x.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  const decimals = (x) => x === 0 ? 2 : Math.max(5 - Math.floor(Math.log10(Math.abs(x))) - (Math.abs(x) < 1 ? 1 : 0), 0);
  const price = (x) => known(x) && x !== 0 && (Math.abs(x) <= 1e-7 || Math.abs(x) >= 1e10) ? x.toPrecision(3) : known(x) ? fixed(x, decimals(x)) : UNKNOWN;
  const age = (s) => {
    if (!known(s)) return UNKNOWN;
    const [size, unit] = [[86400, "d"], [3600, "h"], [60, "m"], [1, "s"]].find((each) => s >= each[0]) ?? [1, "s"];
    return `${Math.floor(Math.max(s, 0) / size)} ${unit}`;
  };
  const since = (view, time) => known(time) ? age(view.time - time) : UNKNOWN;
  const stamp = (t) => known(t) && Math.abs(t) < 8e12 ? new Date(t * 1000).toISOString() : "";
  const clock = (t) => stamp(t).slice(11, 19) || UNKNOWN;
  const day = (t) => stamp(t).slice(0, 19).replace("T", " ") || UNKNOWN;
  const percent = (x, digits = 1, sign = "") => known(x) ? fixed(100 * x, digits, sign) + " %" : UNKNOWN;
  const words = (name) => name.replaceAll("_", " ");
  const SIDES = { 1: ["▲ long", "long"], "-1": ["▼ short", "short"] };
  const MOVES = { 1: "rise", "-1": "fall" };
  const distance = (pool, side) => percent(Math.expm1(side * pool.distance), 1, "+");

  // -- elements ----------------------------------------------------------------------------------------------
  const write = (element, text) => { if (element.textContent !== text) element.textContent = text; };
  const show = (element, shown) => { if (element.hidden === shown) element.hidden = !shown; };
  const sized = (parent, name, count) => {
    while (parent.children.length > count) parent.lastElementChild.remove();
    while (parent.children.length < count) parent.append(document.createElement(name));
  };
  // Cells are [text, class, symbol]: a symbol makes a button that shows it. Rows are kept, so that the focus stays.
  const fill = (body, rows, chosen = []) => {
    sized(body, "tr", rows.length);
    rows.forEach((cells, i) => {
      const row = body.children[i];
      sized(row, "td", cells.length);
      row.className = chosen[i] ? "chosen" : "";
      cells.forEach(([text, kind = "", symbol], j) => {
        const cell = row.children[j];
        cell.className = kind;
        if (symbol === undefined) { write(cell, text); return; }
        let button = cell.firstElementChild;
        if (!button) {
          button = document.createElement("button");
          button.type = "button";
          button.addEventListener("click", () => { choose.value = button.value; chosenSymbol(); });
          cell.append(button);
        }
        button.value = button.title = symbol;
        button.setAttribute("aria-pressed", String(symbol === shown));
        write(button, text);
      });
    });
  };
  const list = (element, rows, empty) => {
    sized(element, "li", Math.max(rows.length, 1));
    if (!rows.length) { element.firstElementChild.replaceChildren(empty); return; }
    rows.forEach(([time, text], i) => {
      const row = element.children[i];
      if (row.children.length !== 1 || row.childNodes.length !== 2) row.replaceChildren(document.createElement("time"), document.createTextNode(""));
      write(row.firstElementChild, clock(time));
      if (row.lastChild.data !== " " + text) row.lastChild.data = " " + text;
    });
  };

  // -- chart -------------------------------------------------------------------------------------------------
  const L = LightweightCharts;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const options = () => ({
    layout: { background: { color: colour("paper") }, textColor: colour("ink"), fontSize: 12, attributionLogo: true },
    grid: { vertLines: { color: colour("line") }, horzLines: { color: colour("line") } },
  });
  const paint = () => {
    const ink = colour("ink"), paper = colour("paper");
    return { upColor: paper, downColor: ink, borderUpColor: ink, borderDownColor: ink, wickUpColor: ink, wickDownColor: ink };
  };
  const chart = L.createChart(box, {
    ...options(), autoSize: true, crosshair: { mode: 0 }, rightPriceScale: { mode: 1, minimumWidth: 64 },
    timeScale: { timeVisible: true, secondsVisible: false, rightOffset: 6 }, localization: { timeFormatter: (t) => day(t).slice(0, 16) + " UTC" },
  });
  let lines = new Map(), levels = [], rows = [], shown = null, view = null, asked = 0;
  const series = chart.addSeries(L.CandlestickSeries, {
    ...paint(), lastValueVisible: false, priceLineVisible: false,
    autoscaleInfoProvider: (original) => {
      const found = original(), near = levels.filter((each) => each.near).map((each) => each.price);
      if (!found || !found.priceRange || !near.length) return found;
      const { minValue, maxValue } = found.priceRange;
      return { ...found, priceRange: { minValue: Math.min(minValue, ...near), maxValue: Math.max(maxValue, ...near) } };
    },
  });
  const scale = chart.timeScale();
  const mark = document.createElement("div");
  mark.id = "stamp"; mark.textContent = "SYNTHETIC"; mark.hidden = true;
  box.append(mark);

  // Levels of the chosen symbol, each with its name, price, colour and style of line (0 full, 1 dotted, 2 dashed).
  const levelsOf = (symbol) => {
    const found = [], it = view.symbols.find((each) => each.symbol === symbol);
    // What is far from the price would press the candles into a line.
    const close = (at, reach) => it !== undefined && known(it.price) && Math.abs(Math.log(at / it.price)) < reach;
    const add = (name, at, tint, style, reach) => { if (known(at) && at > 0) found.push({ name, price: at, tint, style, near: close(at, reach) }); };
    if (it) {
      add("price", it.price, "plain", 0, FAR);
      if (it.pool_above) add("pool of shorts", it.pool_above.price, "short", 1, NEAR);
      if (it.pool_below) add("pool of longs", it.pool_below.price, "long", 1, NEAR);
      add("swept ↑", it.swept_above, "sweep", 3, NEAR);
      add("swept ↓", it.swept_below, "sweep", 3, NEAR);
    }
    view.positions.filter((each) => each.symbol === symbol).forEach((each, i) => {
      const mine = (SIDES[each.side] ?? [UNKNOWN])[0].slice(0, 1), more = i ? ` ${i + 1}` : "";
      add(`${mine} entry${more}`, each.entry, "ink", 2, FAR);
      add(`${mine} stop${more}`, each.stop, "loss", 0, FAR);
      add(`${mine} target${more}`, each.target, "gain", 0, FAR);
      add(`${mine} liquidation${more}`, each.liquidation_price, "loss", 1, NEAR);
    });
    return found;
  };
  const drawLevels = () => {
    levels = shown === null ? [] : levelsOf(shown);
    const kept = new Map();
    for (const { name, price: at, tint, style } of levels) {
      const look = { price: at, color: colour(tint), lineStyle: style, lineWidth: 1, title: name, axisLabelVisible: true };
      const line = lines.get(name);
      if (line) line.applyOptions(look);
      kept.set(name, line ?? series.createPriceLine(look));
      lines.delete(name);
    }
    lines.forEach((line) => series.removePriceLine(line));
    lines = kept;
    write($("levels"), levels.map((each) => `${each.name} ${price(each.price)}`).join(" · "));
  };
  const bar = ([time, open, high, low, close]) => [open, high, low, close].every(known) ? { time, open, high, low, close } : { time };
  const same = (a, b) => a.every((each, i) => each === b[i]);
  const drawRange = () => {
    const seen = scale.getVisibleLogicalRange(), end = rows.length - 1;
    if (end < 1 || !seen) { write($("range"), shown === null ? "" : `${shown}: no candles so far`); return; }
    const at = (i) => day(rows[Math.min(Math.max(Math.round(i), 0), end)][0]).slice(0, 16);
    write($("range"), `${shown}, ${at(seen.from)} to ${at(seen.to)} UTC, candles of ${age(rows[end][0] - rows[end - 1][0])}; price in USDT, log scale`);
  };
  const drawCandles = (fresh) => {
    if (fresh.length === rows.length && fresh.every((each, i) => same(each, rows[i]))) return;
    const begins = rows.length === 0, last = fresh.length ? fresh[fresh.length - 1][4] : 1;
    rows = fresh;
    box.dataset.candles = String(rows.length);
    series.applyOptions({ priceFormat: { type: "custom", formatter: price, minMove: 10 ** -Math.min(known(last) && last > 0 ? decimals(last) : 2, 12) } });
    series.setData(rows.map(bar));
    if (begins) fit();
  };
  scale.subscribeVisibleLogicalRangeChange(drawRange);
  const fit = () => {
    if (rows.length > 160) scale.setVisibleLogicalRange({ from: rows.length - 150, to: rows.length + 8 });
    else scale.fitContent();
  };
  const askCandles = async () => {
    const symbol = shown, mine = ++asked;
    if (symbol === null) return;
    try {
      const answer = await fetch("/candles?" + new URLSearchParams({ symbol }));
      if (!answer.ok) throw new Error(`the server answers ${answer.status}`);
      const content = await answer.json();
      if (mine !== asked) return;
      drawCandles(content.candles);
      drawRange();
      say(content.candles.length ? "" : "There is no candle yet.");
      box.dataset.ready = "yes";
    } catch (error) {
      if (mine === asked) say(`The candles of this chart are not up to date: ${error.message}`);
    }
  };
  let complaint = "";
  const say = (text) => { complaint = text; write($("legend"), text); };
  const chosenSymbol = () => {
    shown = choose.value || null;
    drawCandles([]); drawRange(); drawLevels(); drawTables(); askCandles();
  };
  const step = (by) => {
    const count = choose.options.length;
    if (!count) return;
    choose.selectedIndex = (choose.selectedIndex + by + count) % count;
    chosenSymbol();
  };
  const zoom = (factor, shift = 0) => {
    const seen = scale.getVisibleLogicalRange();
    if (!seen) return;
    const half = (seen.to - seen.from) / 2 * factor, middle = (seen.to + seen.from) / 2 + shift * (seen.to - seen.from);
    scale.setVisibleLogicalRange({ from: middle - half, to: middle + half });
  };
  chart.subscribeCrosshairMove((p) => {
    const it = p.time !== undefined && p.seriesData.get(series);
    write($("legend"), it && it.open !== undefined ? `${day(p.time).slice(0, 16)} UTC: open ${price(it.open)}, high ${price(it.high)}, low ${price(it.low)}, close ${price(it.close)}` : complaint);
  });

  // -- the view ----------------------------------------------------------------------------------------------
  const priceOf = (symbol) => view.symbols.find((each) => each.symbol === symbol)?.price ?? null;
  const positionCells = (each) => {
    const [side, kind] = SIDES[each.side] ?? [UNKNOWN, ""];
    const result = known(each.r) && each.r !== 0 ? each.r > 0 ? " good" : " bad" : "";
    const left = known(each.expires) && each.expires <= view.time ? "due" : known(each.expires) ? age(each.expires - view.time) : UNKNOWN;
    return [[each.symbol, "", each.symbol], [side, kind], [each.state, "s"], [fixed(each.r, 2, "+"), "n" + result], [price(priceOf(each.symbol)), "n"], [price(each.entry), "n"], [price(each.stop), "n"],
      [price(each.target), "n"], [price(each.liquidation_price), "n"], [price(each.quantity), "n"], [since(view, each.opened), "n"], [left, "n"]];
  };
  const symbolCells = (each) => {
    const pool = (it, side) => it ? `${price(it.price)} (${distance(it, side)})` : UNKNOWN;
    const swept = [["↓", each.swept_below], ["↑", each.swept_above]].filter(([, at]) => known(at)).map(([sign, at]) => sign + price(at)).join(" ") || UNKNOWN;
    const event = MOVES[each.direction] ? `${MOVES[each.direction]}, ${since(view, each.event_time)} ago: ${words(each.triggers.join(", "))}` : "none so far";
    const edge = known(each.trade_edge) || known(each.trade_edge_low) ? `${fixed(each.trade_edge, 2, "+")} (${fixed(each.trade_edge_low, 2, "+")})` : UNKNOWN;
    return [[each.symbol, "", each.symbol], [price(each.price), "n"], [since(view, each.time), "n"], [pool(each.pool_below, -1), "n"], [pool(each.pool_above, 1), "n"],
      [swept, "s"], [event, "event"], [fixed(each.p_direction, 2), "n"], [edge, "n"], [each.decision || UNKNOWN, "text"], [since(view, each.bar_time), "n"]];
  };
  const problems = () => {
    const found = new Map(), note = (what, who) => found.set(what, [...(found.get(what) ?? []), who]);
    for (const each of view.streams) if (!each.healthy) note(`unhealthy feed of ${each.table}`, `${each.symbol} (${known(each.age) ? age(each.age) : "no row so far"})`);
    for (const each of view.symbols) for (const lack of each.quality) note(lack, each.symbol);
    return [...found].map(([what, of]) => `${what}, ${of.length} symbol${of.length > 1 ? "s" : ""}: ${of.slice(0, 6).join(", ")}${of.length > 6 ? ` and ${of.length - 6} more` : ""}`);
  };
  const drawTables = () => {
    if (view === null) return;
    const body = (id) => document.querySelector(`#${id} tbody`), chosen = (each) => each.symbol === shown;
    fill(body("positions"), view.positions.map(positionCells), view.positions.map(chosen));
    fill(body("symbols"), view.symbols.map(symbolCells), view.symbols.map(chosen));
    const feeds = [...view.streams].sort((a, b) => a.healthy - b.healthy);
    fill(body("feeds"), feeds.map((each) => [[each.symbol, "s"], [each.table, "s"], each.healthy ? ["✓ healthy", "s good"] : ["✗ unhealthy", "s bad"], [known(each.age) ? age(each.age) : "none so far", "n"]]));
  };
  const drawHead = () => {
    const open = view.positions.filter((each) => each.state === "open"), ordered = view.positions.length - open.length;
    const results = open.map((each) => each.r), total = results.every(known) ? results.reduce((a, b) => a + b, 0) : null;
    const healthy = view.streams.filter((each) => each.healthy).length;
    show($("synthetic"), view.synthetic); show(mark, view.synthetic);
    write($("names"), `${view.account} on ${view.venue}`);
    write($("time"), `${day(view.time)} UTC`);
    const wrong = problems().slice(0, 8).map((text) => [text, ""]), more = problems().length - wrong.length;
    if (more > 0) wrong.push([`and ${more} more`, ""]);
    for (const [time, text] of view.faults) if (view.time - time <= LATE && wrong.length < 12) wrong.push([`${clock(time)} (${since(view, time)} ago) ${text}`, "fault"]);
    sized($("problems"), "li", wrong.length);
    wrong.forEach(([text, kind], i) => { $("problems").children[i].className = kind; write($("problems").children[i], text); });
    show($("verdict"), true);
    $("verdict").className = ["eligible", "paper_only"].includes(view.verdict) ? view.verdict : "";
    write($("verdict").children[0], `Verdict on the model: ${words(view.verdict) || "unknown"}.`);
    write($("verdict").children[1], view.sentence || "No reason is known.");
    show($("facts"), true);
    write($("equity"), fixed(view.equity, 2));
    write($("drawdown"), percent(view.drawdown));
    write($("result"), open.length ? known(total) ? fixed(total, 2, "+") + " R" : UNKNOWN : "none open");
    write($("count"), `${open.length} open, ${ordered} ordered`);
    write($("health"), view.streams.length ? `${healthy} of ${view.streams.length} healthy` : "unknown");
    $("health").className = view.streams.length && healthy === view.streams.length ? "good" : "bad";
    show($("no-positions"), !view.positions.length); show(document.querySelector("#positions table"), view.positions.length > 0);
  };
  const drawChoice = () => {
    const names = view.symbols.map((each) => each.symbol), had = [...choose.options].map((each) => each.value);
    if (names.length === had.length && same(names, had)) return;
    choose.replaceChildren(...names.map((name) => new Option(name, name)));
    const held = view.positions.map((each) => each.symbol).find((name) => names.includes(name));
    choose.value = names.includes(shown) ? shown : held ?? names[0] ?? "";
    if ((choose.value || null) !== shown) chosenSymbol();
  };
  const draw = () => {
    drawHead(); drawChoice(); drawLevels(); drawTables();
    list($("recent"), view.recent, "Nothing has been journalled so far.");
    list($("faults"), view.faults, "There was no fault so far.");
  };

  // -- connection --------------------------------------------------------------------------------------------
  let lost = null, heard = Date.now(), source = null;
  const drawState = () => {
    const now = Date.now(), quiet = (now - heard) / 1000;
    document.body.classList.toggle("lost", lost !== null);
    show($("lost"), lost !== null);
    if (lost !== null) write($("lost"), `Disconnected since ${clock(lost / 1000)} UTC (${age((now - lost) / 1000)}). ${view ? `What is shown is of ${clock(view.time)}.` : ""} Trying again.`);
    show($("silent"), lost === null && quiet >= SILENT);
    write($("silent"), `Connected, but nothing has changed for ${age(quiet)}.`);
    const open = view ? view.positions.filter((each) => each.state === "open").length : 0;
    const title = `${lost !== null ? "✗ disconnected: " : ""}${view && view.synthetic ? "SYNTHETIC " : ""}${view ? `${open} open, ${fixed(view.equity, 0)} USDT` : "Paper trading"}`;
    if (document.title !== title) document.title = title;
  };
  const connect = () => {
    source = new EventSource("/events");
    source.onmessage = (event) => {
      const back = lost !== null;
      lost = null; heard = Date.now();
      const next = JSON.parse(event.data);
      if (next !== null) { view = next; draw(); }
      if (back) askCandles();
      drawState();
    };
    source.onerror = () => {
      lost ??= Date.now();
      drawState();
      // A browser tries again by itself unless the answer was not a stream of events.
      if (source.readyState === EventSource.CLOSED) setTimeout(connect, 2000);
    };
  };

  // -- controls ----------------------------------------------------------------------------------------------
  choose.addEventListener("change", chosenSymbol);
  $("zoom-in").addEventListener("click", () => zoom(0.5));
  $("zoom-out").addEventListener("click", () => zoom(2));
  $("earlier").addEventListener("click", () => zoom(1, -0.4));
  $("later").addEventListener("click", () => zoom(1, 0.4));
  $("all").addEventListener("click", () => scale.fitContent());
  const act = (event, keys) => { const does = !event.ctrlKey && !event.metaKey && !event.altKey && keys[event.key]; if (does) { event.preventDefault(); does(); } };
  box.addEventListener("keydown", (event) => act(event, { ArrowLeft: () => zoom(1, -0.2), ArrowRight: () => zoom(1, 0.2), "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), Home: () => scale.fitContent() }));
  document.addEventListener("keydown", (event) => { if (event.target !== choose) act(event, { n: () => step(1), p: () => step(-1) }); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { chart.applyOptions(options()); series.applyOptions(paint()); if (view) drawLevels(); });
  setInterval(drawState, 1000);
  setInterval(() => { if (!document.hidden && lost === null) askCandles(); }, CANDLES * 1000);
  connect();
})();
