// Draws the live picture with the mask and the gaze, and notes when each mask appears on the screen.

import { createMaskPath, drawGaze, drawMask } from "./canvas.js";
import { MotionCompensator } from "./motion_compensation.js";

const TRAIL_INTERVAL_MS = 30; // between redraws while only a trail fades
const MAX_AGE_MS = 700; // an older mask is not shown, an older picture is greyed

/** The live picture; it reads `state` and draws on the stage. */
export class LiveView {
  /** handlers: {onMaskDrawn(mask, captured time or null)}, called when a mask is on the screen for the first time. */
  constructor(stage, { state, localVideo, pointer, correction }, handlers) {
    Object.assign(this, { stage, state, localVideo, pointer, correction, handlers });
    this.compensator = new MotionCompensator();
    this.isChanged = true; // there is something new to draw
    this.drawnMs = -1e9;
    this.drawnSeq = -1;
    this.image = null; // in the picture canvas
    this.isFrozen = false; // the page's own camera or clip delivers nothing new
  }

  /** Draws what has changed; called with the screen's frames. True while it needs the next frame too. */
  update(now) {
    const { state, localVideo, pointer, stage } = this;
    pointer.update(now);
    const isFading = pointer.isFading(now);
    if (stage.resize()) [this.image, this.isChanged] = [null, true];
    if (state.latest && !state.latest.isOld && now - state.latest.arrivedMs > MAX_AGE_MS) {
      state.latest.isOld = this.isChanged = true;
    }
    const isFrozen = Boolean(localVideo.isRunning && localVideo.newest && now - localVideo.newest.ms > MAX_AGE_MS);
    if (isFrozen !== this.isFrozen) [this.isFrozen, this.isChanged] = [isFrozen, true];
    if (this.isChanged || (isFading && now - this.drawnMs > TRAIL_INTERVAL_MS)) this.draw(now);
    return pointer.isSending || isFading;
  }

  draw(now) {
    const { stage, state } = this;
    this.isChanged = false;
    this.drawnMs = now;
    const content = this.selectContent();
    const isStale = !content || (this.localVideo.isRunning ? this.isFrozen : Boolean(state.latest?.isOld));
    stage.element.classList.toggle("stale", isStale);
    stage.clearOverlay();
    if (!content) {
      stage.clearPicture();
      this.image = null;
      return;
    }
    const { image, mask } = content;
    stage.placeFrame(image.width, image.height);
    if (this.image !== image) { // otherwise only the gaze has moved
      this.image = image;
      stage.drawFrame(image);
    }
    if (mask && !content.isHidden) this.drawTarget(content);
    this.drawGaze(content, now);
    this.correction.draw(mask, mask ? image.width / mask.header.frame.width : 1);
    if (mask && mask.header.seq !== this.drawnSeq) {
      this.drawnSeq = mask.header.seq;
      this.handlers.onMaskDrawn(mask);
    }
  }

  /** Selects the image to show and the mask on it: {image, mask, motion, isHidden}; null without an image. */
  selectContent() {
    const { state, localVideo } = this;
    const latest = state.latest && !state.latest.isOld ? state.latest : null;
    if (!localVideo.isRunning) {
      const image = state.latest?.bitmap;
      return image ? { image, mask: latest, motion: null } : null;
    }
    const newest = localVideo.newest;
    if (!newest) return null;
    if (!latest?.frame || !localVideo.frames.includes(latest.frame)) return { image: newest.picture, mask: null, motion: null };
    if (state.mode === "exact") return { image: latest.frame.picture, mask: latest, motion: null };
    const needsMotion = state.mode === "compensated" && latest.frame !== newest && latest.contours.length > 0;
    const motion = needsMotion ? this.compensator.motion(latest, newest) : null;
    // A mask whose motion is unknown would be in the wrong place.
    return { image: newest.picture, mask: latest, motion, isHidden: needsMotion && motion === null };
  }

  drawTarget({ image, mask, motion }) {
    const target = mask.header.target, context = this.stage.overlayContext;
    if (!target || !mask.contours.length) return;
    mask.path ??= createMaskPath(mask.contours);
    context.save();
    if (motion) {
      const { a, b, x, y, cx, cy } = motion;
      context.transform(1 + a, b, -b, 1 + a, cx + x - (1 + a) * cx + b * cy, cy + y - b * cx - (1 + a) * cy);
    }
    const k = image.width / mask.header.frame.width; // the frame that was sent may be smaller than the one that is shown
    context.scale(k, k);
    drawMask(context, mask.path, target, this.stage.framePixelSize() / k);
    context.restore();
  }

  drawGaze({ image, mask }, now) {
    const k = mask ? image.width / mask.header.frame.width : 1;
    const target = mask?.header.target;
    const samples = this.pointer.isEnabled && this.pointer.position
      ? this.pointer.trailPx(image.width, image.height, now)
      : (mask?.header.gaze_trail ?? []).map(([x, y, age]) => [x * k, y * k, age]);
    drawGaze(this.stage.overlayContext, samples, target ? target.gaze[2] * k : 0, this.stage.framePixelSize());
  }
}
