// Finds browsers that falsify what a page reads back from a canvas, as Firefox does with privacy.resistFingerprinting,
// and with it LibreWolf and Tor Browser: stripes or noise in place of the picture.

const SIDE = 32, COLOURS = [[200, 30, 60], [20, 180, 90], [40, 70, 220], [128, 128, 128]];
const MAX_DIFFERENCE = 24; // of a channel; protection against tracking alone changes the lowest bits
const MAX_WRONG = 0.05; // of the pixels

/** Returns whether pixels that were drawn are read back as others. */
export function isReadbackFalsified() {
  const context = new OffscreenCanvas(SIDE, SIDE).getContext("2d", { willReadFrequently: true, alpha: false });
  const band = SIDE / COLOURS.length;
  COLOURS.forEach(([r, g, b], index) => {
    context.fillStyle = `rgb(${r} ${g} ${b})`;
    context.fillRect(0, index * band, SIDE, band);
  });
  const { data } = context.getImageData(0, 0, SIDE, SIDE);
  let wrong = 0;
  for (let at = 0; at < data.length; at += 4) {
    const colour = COLOURS[Math.floor(at / 4 / SIDE / band)];
    if (colour.some((value, channel) => Math.abs(data[at + channel] - value) > MAX_DIFFERENCE)) wrong++;
  }
  return wrong > MAX_WRONG * SIDE * SIDE;
}
