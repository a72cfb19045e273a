// While it records: a red mark, and the objects of the recording, to be named and dropped as they are looked at.

import { clock } from "./timeline.js";
import { rgb } from "./canvas.js";
import { Things } from "./object_list.js";

const WIDTH = 128, HEIGHT = 96; // of a thumbnail, px
const ROOM = 1.3; // of it, round the thing
const AGAIN_MS = 1000; // between two thumbnails of the same object
const SURER = 0.03;
const $ = (id) => document.getElementById(id);

export class Recording {
  /** notice(text) says something for some seconds. */
  constructor(link, notice) {
    this.link = link;
    this.notice = notice;
    this.on = false;
    this.file = "";
    this.sinceMs = 0;
    this.onShow = null;
    this.seconds = new Map();
    this.pictures = new Map(); // object: {address, sure, ms}
    this.canvas = new OffscreenCanvas(WIDTH, HEIGHT).getContext("2d", { alpha: false });
    const say = (object, text, keep) => link.say({ t: "label", object, text, keep });
    this.things = new Things($("things"), $("names"), { see: null, say }, ({ object }) => this.pictures.get(object)?.address, true);
    $("undo").onclick = () => this.undo();
  }

  /** Whether a message was for this. */
  hear(message) {
    if (message.t === "recording") this.turned(message);
    else if (message.t === "objects") {
      for (const [object, seconds] of message.objects) this.seconds.set(object, seconds);
      this.list();
    } else if (message.t === "labels") {
      this.things.said(message.labels);
      $("undo").disabled = !message.undo;
    } else if (message.t === "refused") this.notice(message.reason);
    else return false;
    return true;
  }

  turned({ on, file, s }) {
    if (file !== this.file) {
      this.seconds.clear();
      this.pictures.clear();
      this.list();
    }
    Object.assign(this, { on, file, sinceMs: performance.now() - 1000 * s });
    $("record-mark").hidden = !on;
    $("record-file").textContent = file;
    $("said").hidden = !file;
    $("said-of").textContent = on ? "In this recording" : `Recorded: ${file}`;
    $("said-of").title = on ? file : `gazecast review ${file} plays it`;
    this.tick(null);
  }

  list() {
    this.things.show([...this.seconds].map(([object, seconds]) => ({ object, says: `${seconds.toFixed(1)} s` })));
  }

  /** Now and then. target: what is on show, null for nothing. */
  tick(target) {
    if (this.on) $("record-time").textContent = clock(performance.now() - this.sinceMs).slice(0, -2);
    this.onShow = target && target.state !== "lost" && this.seconds.has(target.object) ? target.object : null;
    this.things.mark(null, this.onShow);
  }

  /** A picture of what is on show: image of width `frame.width` times k, the mask as a path and its outlines. */
  see({ target, frame }, image, path, outlines) {
    const last = this.pictures.get(target.object), now = performance.now();
    const sure = target.confidence + (target.state === "locked"); // a mask that is only carried along shows it less well
    if (!this.on || target.state === "held" || !this.seconds.has(target.object)) return;
    if (last && (now - last.ms < AGAIN_MS || sure < last.sure + SURER)) return;
    const { canvas } = this, k = image.width / frame.width, [x0, y0, x1, y1] = boxOf(outlines);
    const wide = Math.min(frame.width, (frame.height * WIDTH) / HEIGHT, Math.max(ROOM * (x1 - x0), (ROOM * (y1 - y0) * WIDTH) / HEIGHT, 48));
    const high = (wide * HEIGHT) / WIDTH, scale = WIDTH / wide;
    const x = Math.min(frame.width - wide, Math.max(0, (x0 + x1 - wide) / 2));
    const y = Math.min(frame.height - high, Math.max(0, (y0 + y1 - high) / 2));
    canvas.setTransform(1, 0, 0, 1, 0, 0);
    canvas.drawImage(image, x * k, y * k, wide * k, high * k, 0, 0, WIDTH, HEIGHT);
    canvas.setTransform(scale, 0, 0, scale, -x * scale, -y * scale);
    canvas.strokeStyle = rgb(target.state);
    canvas.lineWidth = 2 / scale;
    canvas.stroke(path);
    this.pictures.set(target.object, { address: last?.address, sure, ms: now });
    this.keep(target.object, this.file, canvas.canvas.convertToBlob({ type: "image/jpeg", quality: 0.8 }));
  }

  async keep(object, file, made) {
    const address = URL.createObjectURL(await made), picture = this.pictures.get(object);
    if (!picture || this.file !== file) return URL.revokeObjectURL(address);
    if (picture.address) URL.revokeObjectURL(picture.address);
    picture.address = address;
    this.list();
  }

  /** What the keys N, K and U do; false for another. */
  key(key) {
    if (!this.file) return false;
    if (key === "n") this.things.ask(this.onShow);
    else if (key === "k") this.things.toggle(this.onShow);
    else if (key === "u") this.undo();
    else return false;
    return true;
  }

  undo() {
    this.link.say({ t: "undo" });
  }
}

function boxOf(outlines) {
  let x0 = Infinity, y0 = Infinity, x1 = -Infinity, y1 = -Infinity;
  for (const points of outlines) {
    for (let i = 0; i < points.length; i += 2) {
      x0 = Math.min(x0, points[i]); x1 = Math.max(x1, points[i] + 1);
      y0 = Math.min(y0, points[i + 1]); y1 = Math.max(y1, points[i + 1] + 1);
    }
  }
  return [x0, y0, x1, y1];
}
