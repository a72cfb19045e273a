// Drawing with the screen's next frame, when something asks for it; a page on which nothing happens rests.

/** draw(now) is called with the next frame, however often the function that this gives is called before. */
export function withNextFrame(draw) {
  let asked = false;
  const next = (now) => {
    asked = false;
    draw(now);
  };
  return () => {
    if (!asked) requestAnimationFrame(next);
    asked = true;
  };
}
