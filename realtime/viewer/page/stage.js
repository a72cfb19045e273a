// Holds the picture and the overlay canvas of a page, both of the size that the layout gives them.

import { fitFrame } from "./canvas.js";

/** Returns device pixels per layout pixel, at most 2: more costs time and is not visible. */
export function pixelRatio() {
  return Math.min(2, devicePixelRatio || 1);
}

/** Two canvases on top of each other: `picture` for the frame, `overlay` for mask and gaze. */
export class Stage {
  constructor(element, picture, overlay) {
    Object.assign(this, { element, picture, overlay });
    this.pictureContext = picture.getContext("2d", { alpha: false });
    this.overlayContext = overlay.getContext("2d");
    this.view = null; // {scale, x, y, width, height}: where the frame lies in the canvases; null for no frame
  }

  /** Resizes the canvases to the layout; true if their size has changed. */
  resize() {
    const { element, picture, overlay } = this, ratio = pixelRatio();
    const width = Math.round(element.clientWidth * ratio), height = Math.round(element.clientHeight * ratio);
    if (picture.width === width && picture.height === height) return false;
    for (const canvas of [picture, overlay]) Object.assign(canvas, { width, height });
    return true;
  }

  /** Clears the overlay. */
  clearOverlay() {
    this.overlayContext.setTransform(1, 0, 0, 1, 0, 0);
    this.overlayContext.clearRect(0, 0, this.overlay.width, this.overlay.height);
  }

  /** Clears the picture; no frame is shown. */
  clearPicture() {
    this.pictureContext.fillRect(0, 0, this.picture.width, this.picture.height);
    this.view = null;
  }

  /** Places a frame of width x height, and lets the overlay be drawn in pixels of the frame. */
  placeFrame(width, height) {
    const { scale, x, y } = fitFrame(this.picture, width, height);
    this.view = { scale, x, y, width, height };
    this.overlayContext.setTransform(scale, 0, 0, scale, x, y);
  }

  /** Draws an image where the frame was placed. */
  drawFrame(image) {
    const { scale, x, y, width, height } = this.view;
    this.pictureContext.fillRect(0, 0, this.picture.width, this.picture.height);
    this.pictureContext.drawImage(image, x, y, width * scale, height * scale);
  }

  /** Returns the size of a layout pixel in pixels of the frame. */
  framePixelSize() {
    return pixelRatio() / this.view.scale;
  }

  /** Returns [x, y] in 0..1 of the frame for a position on the page; null outside of the frame. */
  locate(clientX, clientY) {
    if (!this.view) return null;
    const box = this.element.getBoundingClientRect(), { scale, x, y, width, height } = this.view;
    const point = [
      (((clientX - box.left) * this.picture.width) / box.width - x) / (scale * width),
      (((clientY - box.top) * this.picture.height) / box.height - y) / (scale * height),
    ];
    return point.every((value) => value >= 0 && value <= 1) ? point : null;
  }
}
