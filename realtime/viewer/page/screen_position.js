// Finds where the page and its picture are on the screen, in CSS px: eyes look at places of a screen, not of a page.

/** Follows the place of the page's contents on the screen. */
export class ScreenPosition {
  constructor() {
    this.measured = null; // {at, offset}: by the last pointer event, which knows both its places exactly
    addEventListener("pointermove", ({ screenX, screenY, clientX, clientY }) => {
      this.measured = { at: windowPlace(), offset: [screenX - clientX, screenY - clientY] };
    }, { capture: true, passive: true });
  }

  /** Returns [x, y] of the page's upper left corner; without a pointer event since the window moved, an estimate. */
  offset() {
    if (this.measured?.at === windowPlace()) return this.measured.offset;
    if (document.fullscreenElement) return [screenX, screenY];
    const border = Math.max(0, (outerWidth - innerWidth) / 2);
    return [screenX + border, screenY + Math.max(0, outerHeight - innerHeight - border)]; // bars are above the page
  }

  /** Returns the server's message about the screen. frameWidth: of the frame that the stage shows, 0 without one. */
  describe(stage, frameWidth) {
    const [x, y] = this.offset();
    const picture = frameWidth && !document.hidden ? pictureRectangle(stage) : null;
    return {
      t: "screen",
      size: [Math.max(screen.width, innerWidth), Math.max(screen.height, innerHeight)],
      page: [x, y, innerWidth, innerHeight],
      picture: picture && [x + picture[0], y + picture[1], picture[2], picture[3]],
      frame_width: frameWidth,
    };
  }
}

function windowPlace() {
  return [screenX, screenY, outerWidth, outerHeight, innerWidth, innerHeight].join();
}

/** Returns [x, y, width, height] of the letterboxed frame on the page; null where none is shown. */
function pictureRectangle({ view, element, picture }) {
  const box = element.getBoundingClientRect(), scale = box.width / picture.width;
  if (!view || !(scale > 0)) return null;
  const width = view.width * view.scale * scale, height = view.height * view.scale * scale;
  return width >= 1 && height >= 1 ? [box.left + view.x * scale, box.top + view.y * scale, width, height] : null;
}
