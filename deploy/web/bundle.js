// What the page reads of the bundle that it lies in: manifest, model files, golden pictures.

const FOLDER = new URL("../", import.meta.url);

async function fetched(name) {
  const answer = await fetch(new URL(name, FOLDER)).catch(() => {
    throw new Error(`${name} is not kept on this device, and the network does not answer`);
  });
  if (!answer.ok) throw new Error(`${name} cannot be loaded (status ${answer.status})`);
  return answer;
}

export const addressOf = (name) => new URL(name, FOLDER).href;
export const readManifest = async () => (await fetched("manifest.json")).json();
export const readGolden = async () => (await fetched("golden/golden.json")).json();
export const readBlob = async (name) => (await fetched(name)).blob();
export const readBytes = async (name) => new Uint8Array(await (await fetched(name)).arrayBuffer());

/** Probabilities of a raw output of `model`, a line of the manifest's `models`. */
export function probabilitiesOf(raw, model) {
  const { scale, zero_point: zero } = model.output_quantization ?? { scale: 1, zero_point: 0 };
  return Array.from(raw, (value) => (value - zero) * scale);
}

/** Number of the greatest value; the first of equal ones. */
export function topOf(values) {
  return values.indexOf(Math.max(...values));
}

/** Whether `pixels` are the bytes that a golden picture must give. */
export async function samePixels(pixels, picture) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", pixels));
  const text = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return text === picture.input_sha256;
}

/** What is wrong with the probabilities for a golden picture; empty where nothing is. */
export function faultOf(probabilities, picture, model, golden) {
  const output = picture.outputs[model.file];
  const wanted = probabilitiesOf(output.raw, model);
  const difference = Math.max(...wanted.map((value, index) => Math.abs(value - probabilities[index])));
  const top = topOf(probabilities);
  const other = output.decisive && top !== output.top;
  const within = difference <= golden.models[model.file].tolerance; // false for NaN too
  const fault = other || !within ? `${picture.file} gives class ${top}, must give ${output.top}` : "";
  return { fault, difference, sameTop: top === output.top };
}
