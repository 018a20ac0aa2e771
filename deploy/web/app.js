// The page: photo in, likeliest classes out. All work goes through one queue, so that engines and
// answers never overtake one another.
import { addressOf, faultOf, probabilitiesOf, readBlob, readBytes, readGolden, readManifest,
  samePixels, topOf } from "./bundle.js";
import { ENGINES } from "./engines.js";
import { openPicture, pixelsOf } from "./pixels.js";

const SHOWN = 5;
const element = (id) => document.getElementById(id);
const state = { manifest: null, golden: null, usable: [], key: null, engine: null, model: null, photo: null };
let queue = Promise.resolve();

/** Does `work` after all that was asked before; a fault is told, and the next goes on. */
function enqueue(work) {
  document.body.setAttribute("aria-busy", "true");
  queue = queue.then(work).catch((fault) => {
    console.error(fault);
    tell(`That did not work: ${fault.message ?? fault}`, { fault: true });
  });
  const mine = queue;
  mine.then(() => mine === queue && document.body.removeAttribute("aria-busy"));
  return mine;
}

/** Tells everybody, or with `aloud` only those who listen: the answer itself is shown in bars. */
function tell(text, { fault = false, aloud = false } = {}) {
  element("status").textContent = text;
  element("status").className = fault ? "fault" : aloud ? "unseen" : "";
}

const milliseconds = (value) => `${value.toFixed(value < 10 ? 1 : 0)} ms`;
const percent = (value) => `${(100 * value).toFixed(1)} %`;

/** Uses an engine. Where it fails, the one before goes on, or else any that works. */
async function useEngine(key) {
  const faults = [];
  for (const candidate of new Set([key, state.key ?? key, ...state.usable])) {
    try {
      await openEngine(candidate);
      break;
    } catch (fault) {
      console.error(fault);
      faults.push(`${ENGINES[candidate].title} cannot be used (${fault.message ?? fault})`);
    }
  }
  if (!state.engine) throw new Error(`${faults.join("; ")}.`);
  element("engines").querySelector(`input[value="${state.key}"]`).checked = true;
  if (state.photo) await answer();
  else tell(`Ready: ${state.engine.name}.`);
  if (faults.length) throw new Error(`${faults[0]}; ${ENGINES[state.key].title} is used.`);
}

async function openEngine(key) {
  const { title, file, open } = ENGINES[key];
  tell(`Loading ${title}…`);
  setReady(false);
  state.engine?.close();
  state.engine = null;
  const { height, width } = state.manifest.pixels;
  const engine = await open(await readBytes(file), [1, height, width, 3]);
  await engine.run(new Uint8Array(3 * height * width)); // the first call is slower: not timed
  Object.assign(state, { engine, key });
  state.model = state.manifest.models.find((model) => model.file === file);
  setReady(true);
  element("checked").textContent = "";
}

/** Opens each engine once, so that all that it needs on this device is kept for use offline. */
async function keepAll() {
  const { key, usable } = state;
  element("kept").textContent = "Loading…";
  try {
    for (const other of usable) if (other !== key) await openEngine(other);
    element("kept").textContent = "Kept: this page works without a network on each of them.";
  } catch (fault) {
    element("kept").textContent = "";
    throw fault;
  } finally {
    await useEngine(key);
  }
}

function setReady(ready) {
  element("file").disabled = !ready;
  element("camera").disabled = !ready || !navigator.mediaDevices;
  element("check").disabled = !ready;
  element("keep").disabled = !ready;
  for (const button of element("pictures").querySelectorAll("button")) button.disabled = !ready;
}

/** Prepares a Blob, File or video and answers. */
async function take(photo, description) {
  tell("Working…");
  const begun = performance.now();
  const { height, width } = state.manifest.pixels;
  const isVideo = photo instanceof HTMLVideoElement;
  const picture = isVideo ? photo : await openPicture(photo).catch(() => {
    throw new Error(`${description} is not a picture that this browser can open.`);
  });
  const pixels = pixelsOf(picture, width, height);
  state.photo = { pixels, prepared: performance.now() - begun };
  show(picture, description);
  if (!isVideo) picture.close();
  await answer();
}

function show(picture, description) {
  const canvas = document.createElement("canvas");
  const [columns, rows] = [picture.videoWidth ?? picture.width, picture.videoHeight ?? picture.height];
  const scale = Math.min(1, 640 / Math.max(columns, rows));
  canvas.width = Math.max(1, Math.round(columns * scale));
  canvas.height = Math.max(1, Math.round(rows * scale));
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  element("preview").src = canvas.toDataURL("image/jpeg", 0.9);
  element("preview").alt = description;
  element("preview").hidden = false;
  element("hint").hidden = true;
}

async function answer() {
  const { engine, manifest, model, photo } = state;
  const begun = performance.now();
  const raw = await engine.run(photo.pixels);
  const took = performance.now() - begun;
  const probabilities = probabilitiesOf(raw, model);
  const rows = manifest.labels.map((label, index) => ({ label, share: probabilities[index] }));
  rows.sort((one, other) => other.share - one.share);
  element("classes").replaceChildren(...rows.slice(0, SHOWN).map(rowOf));
  element("times").textContent =
    `${milliseconds(took)} on ${engine.name}; photo prepared in ${milliseconds(photo.prepared)}.`;
  tell(`${rows[0].label}, ${percent(rows[0].share)}`, { aloud: true });
  element("answer").scrollIntoView({ block: "nearest" });
}

function rowOf({ label, share }) {
  const row = document.createElement("li");
  const [name, number, bar, length] = ["span", "span", "div", "span"].map((tag) =>
    document.createElement(tag),
  );
  name.textContent = label;
  number.textContent = percent(share);
  number.className = "share";
  bar.className = "bar";
  bar.setAttribute("aria-hidden", "true"); // the number says the same
  length.style.inlineSize = percent(share).replace(" ", "");
  bar.append(length);
  row.append(name, number, bar);
  return row;
}

/** Runs every golden picture and holds the answers against the known ones. */
async function checkGolden() {
  const { golden, engine, manifest, model } = state;
  const { height, width } = manifest.pixels;
  const told = element("checked");
  told.textContent = "Checking…";
  const found = [];
  for (const picture of golden.pictures) {
    const opened = await openPicture(await readBlob(`golden/${picture.file}`));
    const pixels = pixelsOf(opened, width, height);
    const raw = probabilitiesOf(await engine.run(pixels), model);
    const result = faultOf(raw, picture, model, golden);
    if (!(await samePixels(pixels, picture))) result.fault = `${picture.file} gives other pixels`;
    found.push(result);
  }
  const faults = found.map((result) => result.fault).filter(Boolean);
  const same = found.filter((result) => result.sameTop).length;
  const difference = Math.max(...found.map((result) => result.difference));
  told.classList.toggle("fault", faults.length > 0);
  told.textContent =
    `${faults.length ? `Not as it must be: ${faults[0]}. ` : "As it must be: "}` +
    `same top class on ${same} of ${found.length} pictures under ${engine.name}, largest difference ` +
    `${difference.toPrecision(2)} (at most ${golden.models[model.file].tolerance}).`;
}

function addEngines() {
  const files = new Set(state.manifest.models.map((model) => model.file));
  state.usable = Object.keys(ENGINES).filter((key) => files.has(ENGINES[key].file));
  for (const key of state.usable) {
    const [label, input] = [document.createElement("label"), document.createElement("input")];
    Object.assign(input, { type: "radio", name: "engine", value: key, checked: key === state.usable[0] });
    input.addEventListener("change", () => enqueue(() => useEngine(key)));
    label.append(input, ENGINES[key].title);
    element("engines").append(label);
  }
  element("keep").hidden = state.usable.length < 2 || !navigator.serviceWorker?.controller;
}

function addGolden() {
  state.golden.pictures.forEach((picture, index) => {
    const [item, button, image] = ["li", "button", "img"].map((tag) => document.createElement(tag));
    const description = `Golden picture ${index + 1}`;
    Object.assign(image, { src: addressOf(`golden/${picture.file}`), alt: description });
    Object.assign(button, { type: "button", disabled: true });
    button.addEventListener("click", () =>
      enqueue(async () => take(await readBlob(`golden/${picture.file}`), description)),
    );
    button.append(image);
    item.append(button);
    element("pictures").append(item);
  });
}

function takeFiles(list) {
  const file = [...(list ?? [])].find((item) => item.type.startsWith("image/")) ?? list?.[0];
  if (file && state.engine) enqueue(() => take(file, file.name || "The photo"));
}

function listen() {
  const [drop, file] = [element("drop"), element("file")];
  file.addEventListener("change", () => {
    takeFiles(file.files);
    file.value = ""; // so that the same photo can be chosen again
  });
  for (const kind of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", kind === "dragover");
    });
  }
  document.addEventListener("drop", (event) => takeFiles(event.dataTransfer.files));
  document.addEventListener("paste", (event) => takeFiles(event.clipboardData.files));
  element("camera").hidden = !navigator.mediaDevices;
  element("camera").addEventListener("click", toggleCamera);
  element("shoot").addEventListener("click", () =>
    enqueue(async () => {
      await take(element("video"), "Photo from the camera");
      stopCamera();
    }),
  );
  element("check").addEventListener("click", () => enqueue(checkGolden));
  element("keep").addEventListener("click", () => enqueue(keepAll));
}

async function toggleCamera() {
  if (element("video").srcObject) return stopCamera();
  return enqueue(async () => {
    const wanted = { video: { facingMode: "environment" } };
    const stream = await navigator.mediaDevices.getUserMedia(wanted).catch((fault) => {
      throw new Error(`the camera cannot be used (${fault.name}).`);
    });
    element("video").srcObject = stream;
    await element("video").play();
    showCamera(true);
    element("shoot").focus();
  });
}

function stopCamera() {
  for (const track of element("video").srcObject?.getTracks() ?? []) track.stop();
  element("video").srcObject = null;
  showCamera(false);
  element("camera").focus();
}

function showCamera(on) {
  element("video").hidden = element("shoot").hidden = !on;
  element("choose").hidden = on;
  element("preview").hidden = on || !element("preview").src;
  element("hint").hidden = on || Boolean(element("preview").src);
  element("camera").textContent = on ? "Stop the camera" : "Use the camera";
}

/** Waits until the service worker keeps what is loaded, so that the page works offline after. */
async function keepForOffline() {
  if (!navigator.serviceWorker) return;
  await navigator.serviceWorker.register("service-worker.js");
  if (navigator.serviceWorker.controller) return;
  await new Promise((resolve) => {
    navigator.serviceWorker.addEventListener("controllerchange", resolve, { once: true });
    setTimeout(resolve, 3_000); // a forced reload has no controller: then it goes on without
  });
}

async function begin() {
  await keepForOffline().catch((fault) => console.warn("no offline use:", fault));
  [state.manifest, state.golden] = await Promise.all([readManifest(), readGolden()]);
  const { name, version, labels } = state.manifest;
  document.title = `${name}: photo classifier`;
  element("title").textContent = name;
  element("about").textContent =
    `Version ${version}. Says which of ${labels.length} classes a photo shows. ` +
    "Photos stay on this device.";
  addGolden();
  listen();
  addEngines();
  await useEngine(state.usable[0]);
}

enqueue(begin);
