// Shows a running recording: a red mark, and the recording's objects, which the user names and drops meanwhile.

import { resourceUrl } from "./connection.js";
import { showNotice } from "./notice.js";
import { ObjectList } from "./object_list.js";
import { formatTime } from "./timeline.js";

const $ = (id) => document.getElementById(id);

/** The recording mark and the list of the recording's objects. */
export class RecordingPanel {
  constructor(connection) {
    this.connection = connection;
    this.isOn = false;
    this.file = "";
    this.sinceMs = 0;
    this.shownObject = null;
    this.shown = new Map(); // object: {seconds, version}, version 0 while there is no thumbnail
    const onLabel = (object, text, keep) => connection.send({ t: "label", object, text, keep });
    const thumbnail = ({ object, version }) => version && resourceUrl("thumbnail.jpg", { object, version });
    this.objects = new ObjectList($("objects"), $("names"), { onSelect: null, onLabel }, thumbnail, true);
    $("undo").onclick = () => this.undo();
    $("export").onclick = () => this.showExport($("export-command").hidden);
    $("copy").onclick = () => this.copyCommand();
  }

  /** Handles a message; false if it does not concern the recording. */
  onMessage(message) {
    if (message.t === "recording") this.setState(message);
    else if (message.t === "objects") {
      for (const [object, seconds, version] of message.objects) this.shown.set(object, { seconds, version });
      this.showObjects();
    } else if (message.t === "labels") {
      this.objects.setLabels(message.labels);
      $("undo").disabled = !message.undo;
    } else if (message.t === "refused") showNotice(message.reason);
    else return false;
    return true;
  }

  setState({ on, file, s, commands }) {
    if (file !== this.file) {
      this.shown.clear();
      this.showObjects();
    }
    Object.assign(this, { isOn: on, file, sinceMs: performance.now() - 1000 * s });
    $("record-mark").hidden = !on;
    $("record-file").textContent = file;
    $("recorded").hidden = !file;
    $("recorded-title").textContent = on ? "In this recording" : `Recorded: ${file}`;
    $("recorded-title").title = file;
    $("recorded-next").hidden = !commands.length;
    if (commands.length) {
      [$("review").title, $("export-text").textContent] = commands;
      $("review").href = resourceUrl(`review/${encodeURIComponent(file)}/`);
    }
    this.showExport(false);
    this.update(null);
  }

  showObjects() {
    const rows = [...this.shown].map(([object, { seconds, version }]) => ({ object, version, details: `${seconds.toFixed(1)} s` }));
    this.objects.setObjects(rows);
  }

  showExport(isShown) {
    $("export-command").hidden = !isShown;
    $("export").setAttribute("aria-expanded", String(isShown));
  }

  async copyCommand() {
    try {
      await navigator.clipboard.writeText($("export-text").textContent);
      showNotice("The command is in the clipboard.");
    } catch { // browsers have a clipboard only over https, or on this machine
      getSelection().selectAllChildren($("export-text"));
      showNotice("The command is selected; copy it with Ctrl-C.");
    }
  }

  /** Updates time and marks; called a few times a second. target: the mask that is shown, null for none. */
  update(target) {
    if (this.isOn) $("record-time").textContent = formatTime(performance.now() - this.sinceMs).slice(0, -2);
    this.shownObject = target && target.state !== "lost" && this.shown.has(target.object) ? target.object : null;
    this.objects.mark(null, this.shownObject);
  }

  /** Handles the keys N, K and U; false for another. */
  onKey(key) {
    if (!"nku".includes(key)) return false;
    if (!this.file) showNotice("Nothing was recorded yet; R starts a recording.");
    else if (key === "u") this.undo();
    else if (this.shownObject === null) showNotice("No object of this recording is shown now.");
    else if (key === "n") this.objects.editName(this.shownObject);
    else this.objects.toggleKeep(this.shownObject);
    return true;
  }

  undo() {
    if ($("undo").disabled) showNotice("There is no change to undo.");
    else this.connection.send({ t: "undo" });
  }
}
