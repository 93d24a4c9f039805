"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const shown = data.runs.map(() => true);
  const several = data.runs.length > 1;
  const look = { smoothing: 0, log: false };
  const MODES = { train: "training", val: "validation", other: "shown by own code" };
  const SMOOTHED = new Set(["loss", "other", "speed"]);

  // ---- numbers, as the log shows them ---------------------------------------------
  const isRate = (name) => name === "lr" || /(\.lr|_lr)$/.test(name);
  function number(value, name = "") {
    if (value === null) return "not finite";
    const size = Math.abs(value);
    if ((size !== 0 && size < 1e-3) || size >= 1e6 || isRate(name)) {
      // Python writes an exponent of two digits.
      return value.toExponential(4).replace(/e([+-])(\d)$/, "e$10$2");
    }
    return value.toFixed(4);
  }
  const whole = (value) => value.toLocaleString("en-US");
  function tickText(value) {
    const size = Math.abs(value);
    if (size !== 0 && (size < 1e-3 || size >= 1e5)) {
      return Number(value.toPrecision(6)).toExponential().replace("e+", "e");
    }
    return String(Number(value.toPrecision(6)));
  }
  function placeText(value) {
    if (value >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`;
    if (value >= 1e4) return `${Number((value / 1e3).toPrecision(3))}k`;
    return whole(value);
  }

  // ---- scales ----------------------------------------------------------------------
  function ticks(low, high, wanted) {
    const rough = (high - low) / Math.max(wanted, 1);
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough);
    const found = [];
    for (let at = Math.ceil(low / step - 1e-9); at * step <= high + step * 1e-9; at += 1) {
      found.push(at * step);
    }
    return found;
  }
  function logTicks(low, high) {
    const decades = Math.log10(high / low);
    const marks = decades > 2.5 ? [1] : decades > 1 ? [1, 3] : [1, 2, 3, 4, 5, 6, 7, 8, 9];
    const every = Math.max(1, Math.ceil(decades / 6));
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += every) {
      for (const mark of marks) {
        const at = mark * 10 ** power;
        if (at >= low * 0.999 && at <= high * 1.001) found.push(at);
      }
    }
    if (found.length < 2) return ticks(low, high, 3);
    return found.length > 7 ? found.filter((_, index) => index % 2 === 0) : found;
  }
  function extent(values) {
    let low = Infinity;
    let high = -Infinity;
    for (const value of values) {
      if (value === null) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
    return [low, high];
  }

  /** Exponential mean with its start corrected, as TensorBoard has it; gaps stay. */
  function smooth(values, weight) {
    let mean = 0;
    let count = 0;
    return values.map((value) => {
      if (value === null) return null;
      mean = mean * weight + value * (1 - weight);
      count += 1;
      return mean / (1 - weight ** count);
    });
  }

  // ---- elements --------------------------------------------------------------------
  function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }
  function shape(name, attributes = {}, text = null) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== null) made.textContent = text;
    return made;
  }
  const colour = (line) => (several ? `run${line.run % 8}` : line.mode === "val" ? "run1" : "run0");

  function nameOf(panel, line) {
    const mode = MODES[line.mode];
    if (!several) return mode;
    const modes = new Set(panel.lines.map((one) => one.mode));
    return modes.size > 1 ? `${data.runs[line.run]}, ${mode}` : data.runs[line.run];
  }

  // ---- a panel ---------------------------------------------------------------------
  class Picture {
    constructor(panel) {
      this.panel = panel;
      this.svg = shape("svg", { role: "img", tabindex: "0" });
      this.tip = element("div", { class: "tip", role: "status", hidden: "" });
      this.sub = element("span", { class: "sub" });
      const caption = element("figcaption", {}, element("span", {}, panel.title), this.sub);
      const details = element("details", {}, element("summary", {}, "values"));
      details.addEventListener("toggle", () => this.fillTable(details), { once: true });
      this.figure = element("figure", { "data-name": panel.name, "data-kind": panel.kind });
      this.figure.append(caption, this.svg, this.tip, details);
      this.at = null;
      this.svg.addEventListener("pointermove", (event) => this.point(event));
      this.svg.addEventListener("pointerleave", () => this.show(null));
      this.svg.addEventListener("blur", () => this.show(null));
      this.svg.addEventListener("keydown", (event) => this.step(event));
    }

    get lines() {
      return this.panel.lines.filter((line) => shown[line.run]);
    }

    /** What stands for a line: itself, or its smoothed trend. */
    drawn(line) {
      const smoothed = look.smoothing > 0 && line.mode !== "val" && SMOOTHED.has(this.panel.kind);
      if (!smoothed) return line;
      // Of a line with points left out, what is left are extremes: no trend.
      const { x, y } = line.trend ?? line;
      return { x, y: smooth(y, look.smoothing) };
    }

    describe() {
      const log = look.log && this.panel.log;
      const modes = [...new Set(this.panel.lines.map((line) => line.mode))];
      this.sub.replaceChildren();
      modes.forEach((mode) => {
        const index = several ? "" : ` ${colour({ mode, run: 0 })}`;
        const style = several ? mode : "";
        const dash = element("span", { class: `dash ${style}${index}`, "aria-hidden": "true" });
        const text = element("span", {}, MODES[mode]);
        this.sub.append(...(modes.length > 1 ? [dash] : []), text, " ");
      });
      if (look.log && !this.panel.log) this.sub.append("(linear: not all are positive)");
      const marked = several ? [] : this.lines.filter((line) => line.best !== null);
      for (const line of marked) {
        const text = `best ${number(line.y[line.best], this.panel.name)} at ${whole(line.x[line.best])}`;
        this.sub.append(element("strong", {}, text));
      }
      const told = this.lines.map((line) => {
        const [low, high] = extent(line.y);
        if (low === Infinity) return `${nameOf(this.panel, line)}: no finite value`;
        const last = line.y.length - 1;
        return (
          `${nameOf(this.panel, line)}: from ${number(line.y[0])} at iteration ${line.x[0]} ` +
          `to ${number(line.y[last])} at ${line.x[last]}, lowest ${number(low)}, highest ${number(high)}`
        );
      });
      const label = `${this.panel.name} over iterations${log ? ", log scale" : ""}. ${told.join(". ")}`;
      this.svg.setAttribute("aria-label", label);
    }

    draw() {
      this.describe();
      this.show(null);
      this.svg.replaceChildren();
      const lines = this.lines;
      const [width, height] = [this.svg.clientWidth, this.svg.clientHeight];
      const log = look.log && this.panel.log;
      let [left, right] = extent(lines.flatMap((line) => line.x));
      let [low, high] = extent(lines.flatMap((line) => line.y));
      this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
      if (!width || low === Infinity) {
        if (width) this.svg.append(shape("text", { x: 8, y: 24 }, lines.length ? "no finite value" : "nothing to show"));
        this.scale = null;
        return;
      }
      if (left === right) [left, right] = [left - 1, right + 1];
      if (low === high) {
        const room = Math.abs(low) * 0.1 || 1;
        [low, high] = log ? [low / 1.1, high * 1.1] : [low - room, high + room];
      }
      const marks = log ? logTicks(low, high) : ticks(low, high, 6);
      const texts = marks.map(tickText);
      const room = Math.max(...texts.map((text) => text.length)) * 7 + 10;
      const box = { left: room, right: width - 12, top: 12, bottom: height - 24 };
      const level = log ? Math.log : (value) => value;
      const [bottom, top] = [level(low), level(high)];
      const x = (value) => box.left + ((value - left) / (right - left)) * (box.right - box.left);
      const y = (value) => box.bottom - ((level(value) - bottom) / (top - bottom)) * (box.bottom - box.top);
      this.scale = { x, y, box };
      marks.forEach((mark, index) => {
        const at = y(mark);
        this.svg.append(shape("line", { class: "grid", x1: box.left, x2: box.right, y1: at, y2: at }));
        this.svg.append(shape("text", { x: room - 6, y: at + 4, "text-anchor": "end" }, texts[index]));
      });
      const unit = { x: box.right, y: height - 6, "text-anchor": "end" };
      this.svg.append(shape("text", unit, "iteration"));
      for (const place of ticks(left, right, Math.max(3, Math.floor(width / 70)))) {
        const [at, text] = [x(place), placeText(place)];
        const stops = at + text.length * 3.5;
        if (!Number.isInteger(place) || stops > box.right - 60) continue; // the unit stands there
        this.svg.append(shape("text", { x: at, y: height - 6, "text-anchor": "middle" }, text));
      }
      for (const line of lines) this.drawLine(line, x, y, box);
    }

    drawLine(line, x, y, box) {
      const curve = this.drawn(line);
      const own = colour(line);
      const dotted = several && line.mode === "val" && this.panel.lines.some((one) => one.mode !== "val");
      const style = dotted ? { "stroke-dasharray": "1 5" } : {};
      if (curve !== line) this.svg.append(shape("path", { class: `raw ${own}`, d: way(line, x, y) }));
      this.svg.append(shape("path", { class: own, d: way(curve, x, y), ...style }));
      const lone = (index) => line.y[index - 1] == null && line.y[index + 1] == null;
      const all = line.x.length <= (line.mode === "val" ? 60 : 25);
      line.y.forEach((value, index) => {
        if (value === null) {
          const at = x(line.x[index]);
          const mark = shape("path", { class: `gone ${own}`, d: `M${at - 4} ${box.bottom}h8l-4 -7z` });
          mark.style.fill = several ? "currentColor" : "var(--bad)";
          mark.append(shape("title", {}, `not finite at iteration ${line.x[index]}`));
          this.svg.append(mark);
        } else if (all || lone(index)) {
          const dot = shape("circle", { class: own, cx: x(line.x[index]), cy: y(value), r: 2 });
          dot.style.fill = "currentColor";
          this.svg.append(dot);
        }
      });
      if (line.best !== null) {
        const [cx, cy] = [x(line.x[line.best]), y(line.y[line.best])];
        this.svg.append(shape("circle", { class: `bestmark ${own}`, cx, cy, r: 5.5 }));
      }
    }

    // ---- values under the pointer, or the arrow keys ---------------------------------
    point(event) {
      if (!this.scale) return;
      const at = event.clientX - this.svg.getBoundingClientRect().left;
      const { x } = this.scale;
      let best = null;
      for (const line of this.lines) {
        for (const place of line.x) {
          if (best === null || Math.abs(x(place) - at) < Math.abs(x(best) - at)) best = place;
        }
      }
      this.show(best);
    }

    step(event) {
      const way_ = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (event.key === "Escape") this.show(null);
      if (!way_ || !this.scale) return;
      event.preventDefault();
      const places = [...new Set(this.lines.flatMap((line) => line.x))].sort((a, b) => a - b);
      const index = this.at === null ? (way_ > 0 ? 0 : places.length - 1) : places.indexOf(this.at) + way_;
      this.show(places[Math.min(Math.max(index, 0), places.length - 1)]);
    }

    show(place) {
      this.at = place;
      for (const old of this.svg.querySelectorAll(".cursor, .hit")) old.remove();
      this.tip.hidden = place === null;
      if (place === null || !this.scale) return;
      const { x, y, box } = this.scale;
      const at = x(place);
      this.svg.append(shape("line", { class: "cursor", x1: at, x2: at, y1: box.top, y2: box.bottom }));
      this.tip.replaceChildren(element("div", { class: "muted" }, `iteration ${whole(place)}`));
      for (const line of this.lines) {
        const index = nearest(line.x, place);
        const value = line.y[index];
        const curve = this.drawn(line);
        const level = curve.y[nearest(curve.x, line.x[index])];
        if (level !== null) {
          const hit = shape("circle", { class: `hit ${colour(line)}`, cx: x(line.x[index]), cy: y(level), r: 4 });
          hit.style.fill = "var(--card)";
          this.svg.append(hit);
        }
        const elsewhere = line.x[index] === place ? "" : ` (at ${whole(line.x[index])})`;
        const row = element("div", {}, element("span", { class: `key ${colour(line)}` }));
        const name = several || this.lines.length > 1 ? `${nameOf(this.panel, line)}: ` : "";
        row.append(`${name}${number(value, this.panel.name)}${elsewhere}`);
        if (curve !== line && level !== null) {
          row.append(` (smoothed ${number(level, this.panel.name)})`);
        }
        this.tip.append(row);
      }
      const space = this.figure.clientWidth - this.tip.offsetWidth - 8;
      const beside = at + this.svg.offsetLeft + 12;
      const start = beside > space ? at + this.svg.offsetLeft - this.tip.offsetWidth - 12 : beside;
      this.tip.style.left = `${Math.max(8, Math.min(start, space))}px`;
      this.tip.style.top = `${this.svg.offsetTop + 8}px`;
    }

    fillTable(details) {
      const { lines, name } = this.panel;
      const head = element("tr", {}, element("th", { scope: "col" }, "iteration"));
      for (const line of lines) head.append(element("th", { scope: "col" }, nameOf(this.panel, line)));
      const rows = new Map();
      lines.forEach((line, column) => {
        line.x.forEach((place, index) => {
          if (!rows.has(place)) rows.set(place, lines.map(() => undefined));
          rows.get(place)[column] = line.y[index];
        });
      });
      const body = element("tbody");
      for (const [place, values] of [...rows].sort((a, b) => a[0] - b[0])) {
        const row = element("tr", {}, element("td", { class: "number" }, whole(place)));
        for (const value of values) {
          const known = value === undefined ? {} : { title: String(value) };
          const text = value === undefined ? "" : number(value, name);
          row.append(element("td", { class: "number", ...known }, text));
        }
        body.append(row);
      }
      const table = element("table", {}, element("thead", {}, head), body);
      const box = { class: "scroll tall", tabindex: "0", role: "region", "aria-label": `values of ${name}` };
      details.append(element("div", box, table));
      const gone = lines.reduce((sum, line) => sum + line.leftOut, 0);
      if (gone) details.append(element("p", { class: "muted" }, `${whole(gone)} points between are left out.`));
    }
  }

  function way(curve, x, y) {
    let text = "";
    let pen = "M";
    curve.x.forEach((place, index) => {
      if (curve.y[index] === null) {
        pen = "M";
        return;
      }
      text += `${pen}${x(place).toFixed(1)} ${y(curve.y[index]).toFixed(1)}`;
      pen = "L";
    });
    return text;
  }

  function nearest(places, wanted) {
    let [low, high] = [0, places.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (places[middle] < wanted) low = middle + 1;
      else high = middle;
    }
    return low > 0 && wanted - places[low - 1] < places[low] - wanted ? low - 1 : low;
  }

  // ---- the page --------------------------------------------------------------------
  const pictures = data.panels.map((panel) => new Picture(panel));
  document.getElementById("panels").append(...pictures.map((one) => one.figure));
  const draw = () => pictures.forEach((one) => one.draw());
  const slider = document.getElementById("smoothing");
  const logBox = document.getElementById("log");
  function change() {
    look.smoothing = Number(slider.value);
    look.log = logBox.checked;
    document.getElementById("smoothed").textContent = look.smoothing ? look.smoothing.toFixed(2) : "none";
    draw();
  }
  slider.addEventListener("input", change);
  logBox.addEventListener("change", change);
  document.querySelector(".controls").addEventListener("submit", (event) => event.preventDefault());
  for (const box of document.querySelectorAll("[data-run]")) {
    box.addEventListener("change", () => {
      shown[Number(box.dataset.run)] = box.checked;
      draw();
    });
  }
  const long = data.panels.some((panel) => panel.kind === "loss" && panel.lines.some((line) => line.x.length > 60));
  slider.value = long ? "0.6" : "0";
  change();
  new ResizeObserver(draw).observe(document.getElementById("panels"));
})();
