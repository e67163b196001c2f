// Pictures in the browser: read upright, and made smaller before they are sent.

const OPAQUE = ["image/jpeg", "image/bmp"];
const SENT_AS_IS = ["image/jpeg", "image/png", "image/webp"];
const JPEG_QUALITY = 0.92;
const MAX_BYTES_AS_IS = 4e6;

/**
 * Return a picture of a file: { file, name, bitmap, width, height }.
 *
 * What the browser cannot read (a TIFF, a text) has no bitmap: the server will show or refuse it.
 */
export async function readPicture(file, name = file.name || "picture") {
  const stem = name.replace(/\.[^.]*$/, "") || "picture";
  try {
    const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
    return { file, name, stem, bitmap, width: bitmap.width, height: bitmap.height };
  } catch {
    return { file, name, stem, bitmap: null, width: 0, height: 0 };
  }
}

/** Return a file with the longest side at most `longest`: the picture's own where it is so. */
export const shrinkLongest = (picture, longest) =>
  shrink(picture, longest / Math.max(picture.width, picture.height));

/** Return a file with the shortest side at most `shortest`: the picture's own where it is so. */
export const shrinkShortest = (picture, shortest) =>
  shrink(picture, shortest / Math.min(picture.width, picture.height));

async function shrink({ file, bitmap, width, height }, factor) {
  if (!bitmap) return file;
  const small = factor >= 1 && file.size <= MAX_BYTES_AS_IS;
  if (small && SENT_AS_IS.includes(file.type)) return file;
  const scale = Math.min(1, factor);
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return toBlob(canvas, OPAQUE.includes(file.type) ? "image/jpeg" : "image/png", JPEG_QUALITY);
}

/** Return a canvas as a file; one that the browser cannot write comes out as PNG. */
export const toBlob = (canvas, type, quality) =>
  new Promise((resolve) => canvas.toBlob(resolve, type, quality));

/** Return a file (a picture that the browser can read) in another format. */
export async function convert(blob, type, quality = JPEG_QUALITY) {
  if (blob.type === type) return blob;
  const bitmap = await createImageBitmap(blob);
  const canvas = document.createElement("canvas");
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  const context = canvas.getContext("2d");
  if (type === "image/jpeg") {
    context.fillStyle = "white"; // JPEG has no transparency
    context.fillRect(0, 0, canvas.width, canvas.height);
  }
  context.drawImage(bitmap, 0, 0);
  const converted = await toBlob(canvas, type, quality);
  if (converted.type !== type) throw new Error(`this browser cannot write ${type}`);
  return converted;
}
