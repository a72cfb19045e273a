// Schedules drawing for the screen's next frame, and only when requested: a page on which nothing changes is idle.

/** Returns a function that requests a call of draw(now) with the next frame, once however often it is called. */
export function createDrawScheduler(draw) {
  let isScheduled = false;
  const run = (now) => {
    isScheduled = false;
    draw(now);
  };
  return () => {
    if (!isScheduled) requestAnimationFrame(run);
    isScheduled = true;
  };
}
