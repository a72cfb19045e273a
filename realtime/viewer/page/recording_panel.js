// Shows a running recording: a red mark, and the recording's objects, which the user names and drops meanwhile.

import { stateColour } from "./canvas.js";
import { showNotice } from "./notice.js";
import { ObjectList } from "./object_list.js";
import { formatTime } from "./timeline.js";

const WIDTH = 128, HEIGHT = 96; // of a thumbnail, px
const MARGIN = 1.3; // of a thumbnail's width to the object's
const THUMBNAIL_INTERVAL_MS = 1000; // between two thumbnails of the same object
const MIN_IMPROVEMENT = 0.03; // of the quality of a new thumbnail
const $ = (id) => document.getElementById(id);

/** The recording mark and the list of the recording's objects. */
export class RecordingPanel {
  constructor(connection) {
    this.connection = connection;
    this.isOn = false;
    this.file = "";
    this.sinceMs = 0;
    this.shownObject = null;
    this.seconds = new Map(); // by object
    this.thumbnails = new Map(); // object: {url, quality, ms}
    this.context = new OffscreenCanvas(WIDTH, HEIGHT).getContext("2d", { alpha: false });
    const onLabel = (object, text, keep) => connection.send({ t: "label", object, text, keep });
    const thumbnail = ({ object }) => this.thumbnails.get(object)?.url;
    this.objects = new ObjectList($("objects"), $("names"), { onSelect: null, onLabel }, thumbnail, true);
    $("undo").onclick = () => this.undo();
  }

  /** Handles a message; false if it does not concern the recording. */
  onMessage(message) {
    if (message.t === "recording") this.setState(message);
    else if (message.t === "objects") {
      for (const [object, seconds] of message.objects) this.seconds.set(object, seconds);
      this.showObjects();
    } else if (message.t === "labels") {
      this.objects.setLabels(message.labels);
      $("undo").disabled = !message.undo;
    } else if (message.t === "refused") showNotice(message.reason);
    else return false;
    return true;
  }

  setState({ on, file, s }) {
    if (file !== this.file) {
      this.seconds.clear();
      this.thumbnails.clear();
      this.showObjects();
    }
    Object.assign(this, { isOn: on, file, sinceMs: performance.now() - 1000 * s });
    $("record-mark").hidden = !on;
    $("record-file").textContent = file;
    $("recorded").hidden = !file;
    $("recorded-title").textContent = on ? "In this recording" : `Recorded: ${file}`;
    $("recorded-title").title = on ? file : `gazecast review ${file} plays it`;
    this.update(null);
  }

  showObjects() {
    this.objects.setObjects([...this.seconds].map(([object, seconds]) => ({ object, details: `${seconds.toFixed(1)} s` })));
  }

  /** Updates time and marks; called a few times a second. target: the mask that is shown, null for none. */
  update(target) {
    if (this.isOn) $("record-time").textContent = formatTime(performance.now() - this.sinceMs).slice(0, -2);
    this.shownObject = target && target.state !== "lost" && this.seconds.has(target.object) ? target.object : null;
    this.objects.mark(null, this.shownObject);
  }

  /** Takes a thumbnail of the shown object if it is better than the last.
   *
   * image: the frame, scaled by any factor. path, contours: of the mask, px of the frame.
   */
  updateThumbnail({ target, frame }, image, path, contours) {
    const last = this.thumbnails.get(target.object), now = performance.now();
    const quality = target.confidence + (target.state === "locked"); // a mask moved by motion alone fits less well
    if (!this.isOn || target.state === "held" || !this.seconds.has(target.object)) return;
    if (last && (now - last.ms < THUMBNAIL_INTERVAL_MS || quality < last.quality + MIN_IMPROVEMENT)) return;
    this.drawThumbnail(frame, image, path, contours, stateColour(target.state));
    this.thumbnails.set(target.object, { url: last?.url, quality, ms: now });
    const blob = this.context.canvas.convertToBlob({ type: "image/jpeg", quality: 0.8 });
    this.setThumbnail(target.object, this.file, blob);
  }

  drawThumbnail(frame, image, path, contours, colour) {
    const { context } = this, k = image.width / frame.width, [x0, y0, x1, y1] = boundingBox(contours);
    const objectWidth = Math.max(MARGIN * (x1 - x0), (MARGIN * (y1 - y0) * WIDTH) / HEIGHT, 48);
    const width = Math.min(frame.width, (frame.height * WIDTH) / HEIGHT, objectWidth);
    const height = (width * HEIGHT) / WIDTH, scale = WIDTH / width;
    const x = Math.min(frame.width - width, Math.max(0, (x0 + x1 - width) / 2));
    const y = Math.min(frame.height - height, Math.max(0, (y0 + y1 - height) / 2));
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.drawImage(image, x * k, y * k, width * k, height * k, 0, 0, WIDTH, HEIGHT);
    context.setTransform(scale, 0, 0, scale, -x * scale, -y * scale);
    context.strokeStyle = colour;
    context.lineWidth = 2 / scale;
    context.stroke(path);
  }

  async setThumbnail(object, file, blob) {
    const url = URL.createObjectURL(await blob), thumbnail = this.thumbnails.get(object);
    if (!thumbnail || this.file !== file) return URL.revokeObjectURL(url);
    if (thumbnail.url) URL.revokeObjectURL(thumbnail.url);
    thumbnail.url = url;
    this.showObjects();
  }

  /** Handles the keys N, K and U; false for another. */
  onKey(key) {
    if (!this.file) return false;
    if (key === "n") this.objects.editName(this.shownObject);
    else if (key === "k") this.objects.toggleKeep(this.shownObject);
    else if (key === "u") this.undo();
    else return false;
    return true;
  }

  undo() {
    this.connection.send({ t: "undo" });
  }
}

/** Returns [x0, y0, x1, y1] of contours, px. */
function boundingBox(contours) {
  let x0 = Infinity, y0 = Infinity, x1 = -Infinity, y1 = -Infinity;
  for (const points of contours) {
    for (let i = 0; i < points.length; i += 2) {
      x0 = Math.min(x0, points[i]); x1 = Math.max(x1, points[i] + 1);
      y0 = Math.min(y0, points[i + 1]); y1 = Math.max(y1, points[i + 1] + 1);
    }
  }
  return [x0, y0, x1, y1];
}
