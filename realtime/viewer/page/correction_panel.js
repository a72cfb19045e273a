// Connects the correction mode with its buttons and keys, the server's messages, and the list of what needs an answer.

import { CorrectionTool } from "./correction_tool.js";
import { showNotice } from "./notice.js";
import { bindRadioGroup, markRadio } from "./radio_group.js";

const $ = (id) => document.getElementById(id);
const HINTS = {
  add: "Click on what belongs to the object, right-click on what does not; drag a box to begin anew.",
  remove: "Click on what does not belong to the object.",
  box: "Drag a box round the object.",
  paint: "Paint over what belongs to the object; [ and ] change the brush.",
  erase: "Paint over what does not belong to the object; [ and ] change the brush.",
};

/** The corrections of a review page. */
export class CorrectionPanel {
  /** handlers: {onSelect(object), onChange()}; parts: {state, connection, player, stage, objects}. */
  constructor(parts, handlers) {
    Object.assign(this, { parts, handlers });
    this.edits = { undo: 0, redo: 0, version: -1 };
    this.tasks = []; // [kind, frame, object, confidence]: what needs an answer
    this.isWaiting = false; // whether an answer of the server is due
    this.preparedFrame = -1;
    this.tool = new CorrectionTool(parts.stage, {
      onChange: () => { parts.player.isChanged = true; handlers.onChange(); },
      getTarget: () => this.target(),
      send: (request) => this.send(request),
    });
    this.bindButtons();
  }

  bindButtons() {
    $("correct").onclick = () => this.toggle();
    this.tools = [...document.querySelectorAll("[data-tool]")];
    bindRadioGroup(this.tools, (button) => this.tool.choose(button.dataset.tool));
    for (const button of document.querySelectorAll("[data-step]")) button.onclick = () => this.step(button.dataset.step);
    $("new-object").onclick = () => this.tool.beginObject();
    $("accept").onclick = () => this.accept();
    $("next-task").onclick = () => this.nextTask();
    $("redo").onclick = () => this.redo();
  }

  /** Returns the object in the picture, else the selected one, else 0: a new one. */
  target() {
    const { header } = this.parts.player.shown ?? {};
    const shown = header?.corrected?.object ?? (header?.target?.state === "lost" ? 0 : header?.target?.object);
    return shown || this.parts.state.selected || 0;
  }

  toggle(isOn) {
    this.parts.player.pause();
    this.tool.toggle(isOn);
    this.prepare();
  }

  /** Has the shown frame encoded before the first click. */
  prepare() {
    const n = this.parts.player.shown?.header.n ?? -1;
    if (!this.tool.isOn || n === this.preparedFrame || this.parts.player.isPlaying) return;
    this.preparedFrame = n;
    this.parts.connection.send({ t: "prepare", n });
  }

  send(request) {
    const { player, connection } = this.parts;
    if (!player.shown) return;
    player.pause();
    this.isWaiting = connection.send({ ...request, n: player.shown.header.n });
    if (!this.isWaiting) showNotice("Not connected; gazecast has stopped or cannot be reached.");
    this.handlers.onChange();
  }

  step(step) {
    if (this.target()) this.tool.send({ kind: "step", step });
    else showNotice("No object is in the picture.");
  }

  accept() {
    if (!this.target()) return showNotice("No object is in the picture.");
    this.tool.send({ kind: "accept" });
    this.nextTask();
  }

  /** Goes to the next place that needs an answer, and begins to correct there. */
  nextTask() {
    const { player } = this.parts, shown = player.shown?.header.n ?? -1;
    const others = this.tasks.filter(([, n, object]) => n !== shown || object !== this.target());
    if (!others.length) return showNotice("Everything else is confident or answered.");
    const [kind, n, object] = others[0];
    this.tasks = [...this.tasks.filter((task) => task !== others[0]), others[0]]; // the next press goes to another
    player.pause();
    this.handlers.onSelect(object || null);
    player.object = object;
    player.request({ n });
    this.tool.toggle(true);
    if (kind === "missing") showNotice("The eyes were here, and there is no mask: click on what was looked at.");
  }

  undo() {
    if (this.edits.undo) this.parts.connection.send({ t: "undo" });
    else showNotice("There is no change to undo.");
  }

  redo() {
    if (this.edits.redo) this.parts.connection.send({ t: "redo" });
    else showNotice("There is no change to redo.");
  }

  /** Handles a message; "edits" where the recording's objects have changed, false for a message of another kind. */
  onMessage(message) {
    if (message.t === "edits") {
      const isChanged = this.edits.version !== message.version;
      this.edits = message;
      this.isWaiting = false;
      if (!isChanged) return true;
      this.parts.player.reload();
      return "edits";
    }
    if (message.t === "progress") $("progress").textContent = message.text;
    else if (message.t === "corrected") {
      if (this.isWaiting && message.action !== "accept") {
        this.parts.player.object = message.object;
        this.handlers.onSelect(message.object);
      }
    } else return false;
    return true;
  }

  /** Handles a key; false for another. */
  onKey(key, event) {
    if (this.tool.onKey(key, event)) return true;
    const keys = {
      c: () => this.toggle(), p: () => this.step("part"), w: () => this.step("whole"), a: () => this.step("next"),
      b: () => this.step("previous"), y: () => this.accept(), j: () => this.nextTask(), z: () => this.redo(),
      Escape: this.tool.isOn ? () => this.toggle(false) : null,
    };
    if (!keys[key]) return false;
    keys[key]();
    return true;
  }

  refresh() {
    const { tool, tasks, parts: { player, state, objects } } = this, isOpen = player.isOpen && state.timeline.frames > 0;
    $("correct").setAttribute("aria-pressed", String(tool.isOn));
    $("correct").disabled = !isOpen;
    $("correction").hidden = !tool.isOn;
    markRadio(this.tools, (button) => button.dataset.tool === tool.tool);
    $("new-object").setAttribute("aria-pressed", String(tool.isNew));
    $("redo").disabled = !player.isOpen || !this.edits.redo;
    $("next-task").disabled = !isOpen || !tasks.length;
    const doubtful = tasks.filter(([kind]) => kind === "doubtful").length, missing = tasks.length - doubtful;
    $("next-task").textContent = tasks.length ? `Next of ${doubtful} in doubt, ${missing} missing` : "Nothing in doubt";
    const target = tool.isNew ? 0 : this.target();
    $("correction-target").textContent = target ? objects.name(target) : "a new object";
    $("correction-hint").textContent = HINTS[tool.tool];
    this.prepare();
  }
}
