"use strict";
// The page is whole without this: it draws charts, sorts and copies tables, and filters variants.

const charts = []; // drawn pictures of F1 against latency: {view, name, points}

// Charts: `ast` keeps the expressions out of eval().
async function draw(holder) {
  const spec = JSON.parse(document.getElementById(holder.dataset.spec).textContent);
  const options = {
    actions: false,
    ast: true,
    defaultStyle: false,
    renderer: "svg",
    tooltip: { disableDefaultStyle: true },
  };
  try {
    const { view } = await window.vegaEmbed(holder, spec, options);
    for (const [name, points] of Object.entries(spec.datasets ?? {})) {
      if (points.length && "technique" in points[0]) charts.push({ view, name, points });
    }
  } catch (error) {
    holder.textContent = `This picture could not be drawn: ${error.message}`;
  }
}

function drawWithin(place) {
  for (const holder of place.querySelectorAll(".chart:not([data-drawn])")) {
    if (holder.closest("details:not([open])")) continue; // it has no width yet
    holder.dataset.drawn = "yes";
    draw(holder);
  }
}

// Sorting: upwards, downwards, and back to the order of the report.
function valueOf(cell, isNumber) {
  const text = cell.textContent.trim();
  if (!isNumber) return text;
  const found = text.replaceAll("\u2212", "-").replaceAll(",", "").match(/[-+]?\d+(\.\d+)?(e[-+]?\d+)?/i);
  return found ? Number(found[0]) : NaN;
}

function compare(a, b) {
  if (typeof a === "string") return a.localeCompare(b, "en", { numeric: true });
  return a - b;
}

function sort(table, header, column) {
  const next = { none: "ascending", ascending: "descending", descending: "none" };
  const direction = next[header.getAttribute("aria-sort")];
  for (const other of table.tHead.rows[0].cells) other.setAttribute("aria-sort", "none");
  header.setAttribute("aria-sort", direction);
  const isNumber = column >= Number(table.dataset.words);
  const sign = direction === "descending" ? -1 : 1;
  const rows = table.originalRows.map((row) => [valueOf(row.cells[column], isNumber), row]);
  if (direction !== "none") {
    // What was not measured stays at the end, whichever way.
    rows.sort(([a], [b]) => Number.isNaN(a) - Number.isNaN(b) || sign * compare(a, b) || 0);
  }
  table.tBodies[0].append(...rows.map(([, row]) => row));
}

function asText(table) {
  const rows = [...table.rows].filter((row) => !row.hidden);
  return rows
    .map((row) => [...row.cells].map((cell) => cell.textContent.trim().replace(/\s+/g, " ")).join("\t"))
    .join("\n");
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = document.createElement("textarea"); // where there is no clipboard to write to
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
  return true;
}

function equip(table) {
  table.originalRows = [...table.tBodies[0].rows];
  [...table.tHead.rows[0].cells].forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...header.childNodes);
    header.append(button);
    header.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => sort(table, header, column));
  });
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.setAttribute("aria-label", `Copy the table: ${table.caption.textContent}`);
  button.addEventListener("click", async () => {
    button.textContent = (await copy(asText(table))) ? "Copied" : "Not copied";
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });
  table.caption.firstElementChild.append(button);
}

// Filtering: within a heading any of the pressed values, across headings all; none pressed is all.
function filter() {
  const wanted = new Map();
  for (const chip of document.querySelectorAll('.chip[aria-pressed="true"]')) {
    const values = wanted.get(chip.dataset.column) ?? new Set();
    wanted.set(chip.dataset.column, values.add(chip.dataset.value));
  }
  const fits = (tags) => [...wanted].every(([column, values]) => values.has(tags[column]));
  let shown = 0;
  let all = 0;
  for (const { view, name, points } of charts) {
    const tags = (one) => [one.network, one.technique, one.runtime, one.precision];
    const kept = points.filter((one) => fits(tags(one)));
    shown += kept.length;
    all += points.length;
    view.data(name, kept).runAsync();
  }
  for (const row of document.querySelectorAll("tr[data-tags]")) {
    row.hidden = !fits(JSON.parse(row.dataset.tags));
  }
  document.getElementById("shown").textContent = `${shown} of ${all} marks shown`;
}

const filters = document.querySelector(".filters");
if (filters) {
  filters.hidden = false;
  for (const chip of filters.querySelectorAll(".chip[data-value]")) {
    chip.addEventListener("click", () => {
      chip.setAttribute("aria-pressed", chip.getAttribute("aria-pressed") !== "true");
      filter();
    });
  }
  document.getElementById("everything").addEventListener("click", () => {
    for (const chip of filters.querySelectorAll(".chip[data-value]")) chip.setAttribute("aria-pressed", "false");
    filter();
  });
}
for (const table of document.querySelectorAll(".scroll > table")) equip(table);
for (const details of document.querySelectorAll("details")) {
  details.addEventListener("toggle", () => drawWithin(details));
}
drawWithin(document);
