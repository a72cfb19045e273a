// Corrects the shown mask of a run: clicks and boxes on the picture, or at a crosshair, become commands to the server.

import { CorrectionTool } from "./correction_tool.js";
import { drawCorrection } from "./correction_marks.js";
import { showNotice } from "./notice.js";

const $ = (id) => document.getElementById(id);

/** The correction mode of the live page; the object is held while it is on. */
export class LiveCorrection {
  /** handlers: {onToggle(isOn), onChange()}. */
  constructor(stage, state, connection, handlers) {
    Object.assign(this, { stage, state, connection, handlers });
    this.tool = new CorrectionTool(stage, {
      onChange: () => this.refresh(),
      getTarget: () => this.target?.object ?? 0,
      send: (request) => connection.send({ ...request, n: state.latest?.header.frame.index ?? 0 }),
    }, ["add", "remove", "box"]);
    for (const tool of this.tool.tools) $(`correct-${tool}`).onclick = () => this.tool.choose(tool);
  }

  get isOn() {
    return this.tool.isOn;
  }

  /** The shown object; null where none is shown. */
  get target() {
    const { latest } = this.state, target = latest?.isOld ? null : latest?.header.target;
    return target && target.state !== "lost" && target.object ? target : null;
  }

  toggle(isOn = !this.isOn) {
    if (isOn === this.isOn) return;
    if (isOn && !this.target) {
      showNotice("No object is shown; look at one first.");
      return;
    }
    this.tool.toggle(isOn);
    this.handlers.onToggle(isOn);
  }

  refresh() {
    const { isOn, tool, tools } = this.tool;
    $("correction").hidden = !isOn;
    document.querySelector('[data-verb="correct"]').setAttribute("aria-pressed", String(isOn));
    for (const each of tools) $(`correct-${each}`).setAttribute("aria-pressed", String(each === tool));
    this.handlers.onChange();
  }

  /** Handles a key of the mode; false for another. */
  onKey(event) {
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (!this.isOn || key === "x") return false; // X ends the mode
    if (key === "Escape") this.toggle(false);
    else if (key === "d") this.tool.choose("box");
    else if (key === "u") this.connection.send({ t: "command", verb: "undo" });
    else return this.tool.onKey(key, event);
    return true;
  }

  /** Draws the clicks in force, and the crosshair. scale: pixels of the shown picture for one of the mask's frame. */
  draw(mask, scale) {
    const points = mask?.header.target?.corrected?.points ?? [];
    const corrected = { points: points.map(([x, y, label]) => [(x + 0.5) * scale - 0.5, (y + 0.5) * scale - 0.5, label]) };
    const context = this.stage.overlayContext, pixel = this.stage.framePixelSize();
    if (this.isOn) this.tool.draw(context, corrected, pixel);
    else drawCorrection(context, { corrected, pixel });
  }
}
