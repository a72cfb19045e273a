// Draws what the user does in the correction mode, in pixels of the frame.

const ADD = "rgb(70 215 120)", REMOVE = "rgb(255 90 80)";

/** Draws the prompt of a corrected mask, the crosshair, and the box or stroke that is being drawn. */
export function drawCorrection(ctx, { corrected, cursor, corner, drag, radius, tool, width, height, pixel }) {
  const toPx = ([x, y]) => [x * width, y * height];
  for (const [x, y, label] of corrected?.points ?? []) drawClick(ctx, x + 0.5, y + 0.5, label === 1, pixel);
  if (corrected?.box) {
    const [x0, y0, x1, y1] = corrected.box;
    drawBox(ctx, [x0 + 0.5, y0 + 0.5], [x1 + 0.5, y1 + 0.5], pixel);
  }
  if (drag?.kind === "brush") drawStroke(ctx, drag.places.map(toPx), radius, drag.on);
  else if (drag?.isBox && drag.places[1]) drawBox(ctx, ...drag.places.map(toPx), pixel);
  if (!cursor) return;
  if (corner) drawBox(ctx, toPx(corner), toPx(cursor), pixel);
  drawCrosshair(ctx, toPx(cursor), tool === "paint" || tool === "erase" ? radius : 0, pixel);
}

function drawClick(ctx, x, y, isAdded, pixel) {
  ctx.beginPath();
  ctx.arc(x, y, 7 * pixel, 0, 2 * Math.PI);
  ctx.fillStyle = isAdded ? ADD : REMOVE;
  ctx.fill();
  ctx.lineWidth = 1.5 * pixel;
  ctx.strokeStyle = "#fff";
  ctx.stroke();
  ctx.lineWidth = 2 * pixel;
  ctx.beginPath(); // a plus or a minus, for users who cannot tell the colours apart
  ctx.moveTo(x - 3.5 * pixel, y);
  ctx.lineTo(x + 3.5 * pixel, y);
  if (isAdded) {
    ctx.moveTo(x, y - 3.5 * pixel);
    ctx.lineTo(x, y + 3.5 * pixel);
  }
  ctx.stroke();
}

function drawBox(ctx, [x0, y0], [x1, y1], pixel) {
  ctx.setLineDash([6 * pixel, 4 * pixel]);
  ctx.lineWidth = 2 * pixel;
  ctx.strokeStyle = "#fff";
  ctx.strokeRect(Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0));
  ctx.setLineDash([]);
}

function drawStroke(ctx, places, radius, on) {
  ctx.globalAlpha = 0.5;
  ctx.lineCap = ctx.lineJoin = "round";
  ctx.lineWidth = 2 * radius;
  ctx.strokeStyle = on ? ADD : REMOVE;
  ctx.beginPath();
  ctx.moveTo(...places[0]);
  for (const place of places) ctx.lineTo(...place);
  ctx.stroke();
  ctx.globalAlpha = 1;
}

function drawCrosshair(ctx, [x, y], radius, pixel) {
  for (const [width, colour] of [[4, "rgb(0 0 0 / 0.6)"], [1.6, "#fff"]]) {
    ctx.lineWidth = width * pixel;
    ctx.strokeStyle = colour;
    ctx.beginPath();
    ctx.moveTo(x - 12 * pixel, y);
    ctx.lineTo(x + 12 * pixel, y);
    ctx.moveTo(x, y - 12 * pixel);
    ctx.lineTo(x, y + 12 * pixel);
    if (radius) {
      ctx.moveTo(x + radius, y);
      ctx.arc(x, y, radius, 0, 2 * Math.PI);
    }
    ctx.stroke();
  }
}
