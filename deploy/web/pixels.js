// From a photo to the bytes that the model takes: upright, RGB, the whole picture stretched by the
// same antialiased triangle filter as in training. Browsers' own scaling differs between them, so
// that it is done here, in the integers of Pillow's `Image.resize(..., BILINEAR)`.

const PRECISION = 22; // bits behind the point of a weight
const MAX_PIXELS = 16_000_000; // what a phone's canvas holds; larger photos are halved before

/** Opens a Blob or File, turned upright, its colours as they are in the file. */
export async function openPicture(photo) {
  const options = { imageOrientation: "from-image", colorSpaceConversion: "none" };
  const whole = await createImageBitmap(photo, options);
  const excess = Math.sqrt((whole.width * whole.height) / MAX_PIXELS);
  if (excess <= 1) return whole;
  return createImageBitmap(whole, {
    resizeWidth: Math.floor(whole.width / excess),
    resizeHeight: Math.floor(whole.height / excess),
    resizeQuality: "high",
  });
}

/** RGB bytes, row by row, of an ImageBitmap or video at `width` x `height`; transparency on white. */
export function pixelsOf(picture, width, height) {
  const columns = picture.videoWidth ?? picture.width;
  const rows = picture.videoHeight ?? picture.height;
  const canvas = new OffscreenCanvas(columns, rows);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#fff";
  context.fillRect(0, 0, columns, rows);
  context.drawImage(picture, 0, 0);
  const rgba = context.getImageData(0, 0, columns, rows).data;
  const narrow = alongRows(rgba, columns, rows, width);
  return alongColumns(narrow, width, rows, height);
}

/** For each of `size` outputs: the first of `source` inputs that it sees, and their weights. */
export function weightsOf(source, size) {
  const scale = source / size;
  const support = Math.max(scale, 1);
  return Array.from({ length: size }, (_, index) => {
    const centre = (index + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const last = Math.min(source, Math.trunc(centre + support + 0.5));
    const raw = Array.from({ length: last - first }, (_, step) =>
      Math.max(0, 1 - Math.abs((step + first - centre + 0.5) * (1 / support))),
    );
    const total = raw.reduce((sum, weight) => sum + weight, 0);
    const weights = raw.map((weight) => Math.trunc(0.5 + (weight / total) * 2 ** PRECISION));
    return { first, weights: Int32Array.from(weights) };
  });
}

/** RGBA bytes of `columns` x `rows` made `width` wide; RGB bytes come out. */
function alongRows(rgba, columns, rows, width) {
  const found = new Uint8Array(3 * width * rows);
  const windows = weightsOf(columns, width);
  let target = 0;
  for (let row = 0; row < rows; row++) {
    for (const { first, weights } of windows) {
      for (let channel = 0; channel < 3; channel++) {
        let place = (row * columns + first) * 4 + channel;
        let sum = 1 << (PRECISION - 1);
        for (let step = 0; step < weights.length; step++, place += 4) {
          sum += rgba[place] * weights[step];
        }
        found[target++] = sum >> PRECISION;
      }
    }
  }
  return found;
}

/** RGB bytes of `width` x `rows` made `height` high. */
function alongColumns(rgb, width, rows, height) {
  const stride = 3 * width;
  const found = new Uint8Array(stride * height);
  weightsOf(rows, height).forEach(({ first, weights }, row) => {
    for (let column = 0; column < stride; column++) {
      let sum = 1 << (PRECISION - 1);
      for (let step = 0; step < weights.length; step++) {
        sum += rgb[(first + step) * stride + column] * weights[step];
      }
      found[row * stride + column] = sum >> PRECISION;
    }
  });
  return found;
}
