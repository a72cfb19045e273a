// Sends pictures of the camera that films the person, for gaze by webcam. They go to the server alone, and only
// as many as it evaluates.

import { packFrame } from "./connection.js";
import { isReadbackFalsified } from "./canvas_probe.js";

const SENT_SIDE = 640; // longest side, px: the network sees an eye as 64 px, which more would not fill
const QUALITY = 0.92;
const MAX_UNANSWERED = 2; // pictures on their way: one is encoded while the server evaluates the other
const ANSWER_MS = 1000; // after which a picture without an answer was lost

/** The camera of the eyes. */
export class EyeCamera {
  /** onChange(reason) is called when it has stopped; reason is empty if the user stopped it. */
  constructor(connection, onChange) {
    Object.assign(this, { connection, onChange });
    this.video = document.createElement("video");
    this.video.muted = this.video.playsInline = true;
    this.context = new OffscreenCanvas(1, 1).getContext("2d", { alpha: false });
    this.stream = null;
    this.rateHz = 30; // at most
    this.index = this.answered = 0; // numbers of the last picture that was sent, and of the last that was evaluated
    this.sentMs = -1e9;
    this.isEncoding = false;
  }

  get isRunning() {
    return this.stream !== null;
  }

  /** Starts it; throws an error whose name or message says why it cannot. */
  async start() {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error("Browsers allow the camera only over https, or on this machine; serve https (view.tls_cert).");
    }
    if (isReadbackFalsified()) throw new Error("This browser falsifies the pictures that a page reads; allow this page to extract canvas data.");
    const wanted = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 }, facingMode: { ideal: "user" } };
    const stream = await navigator.mediaDevices.getUserMedia({ video: wanted, audio: false });
    this.stop();
    stream.getVideoTracks()[0].onended = () => {
      if (this.stream === stream) this.stop("The camera of the eyes was disconnected.");
    };
    this.stream = this.video.srcObject = stream;
    try {
      await this.video.play();
    } catch (error) {
      this.stop();
      throw error;
    }
    const next = (now, meta) => {
      if (this.stream !== stream) return;
      this.capture(Math.min(now, meta.captureTime ?? now));
      this.video.requestVideoFrameCallback(next);
    };
    this.video.requestVideoFrameCallback(next);
    this.announce();
  }

  /** Announces this page as the one whose person looks; again after a reconnection. */
  announce() {
    if (!this.isRunning) return;
    this.answered = this.index;
    this.connection.send({ t: "eyes", on: true });
  }

  stop(reason = "") {
    if (!this.isRunning) return;
    this.stream.getTracks().forEach((track) => track.stop());
    this.stream = this.video.srcObject = null;
    this.connection.send({ t: "eyes", on: false });
    this.onChange(reason);
  }

  /** Notes that the server has evaluated a picture; the next one may be sent. */
  onAnswer(index) {
    this.answered = Math.max(this.answered, index);
  }

  /** Sends the current picture, unless the server is busy or the rate is reached. */
  async capture(ms) {
    const now = performance.now(), { videoWidth, videoHeight } = this.video;
    const isBusy = this.index - this.answered >= MAX_UNANSWERED && now - this.sentMs < ANSWER_MS;
    if (!videoWidth || this.isEncoding || isBusy || now - this.sentMs < 900 / this.rateHz) return;
    this.sentMs = now;
    this.isEncoding = true;
    try {
      const scale = Math.min(1, SENT_SIDE / Math.max(videoWidth, videoHeight)), { canvas } = this.context;
      const width = Math.round(videoWidth * scale), height = Math.round(videoHeight * scale);
      if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
      this.context.drawImage(this.video, 0, 0, width, height);
      const jpeg = await (await canvas.convertToBlob({ type: "image/jpeg", quality: QUALITY })).arrayBuffer();
      if (this.isRunning) this.connection.send(packFrame({ index: ++this.index, ms, eyes: true }, jpeg));
    } finally {
      this.isEncoding = false;
    }
  }
}
