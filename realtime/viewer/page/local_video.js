// Captures the page's own camera or clip: shows its frames without delay, sends some to the server, and keeps the last
// ones, so that a mask can be matched with the frame it was computed for.

import { packFrame } from "./connection.js";

const MAX_FRAMES = 24; // that are kept: most of a second at 30 Hz
const MAX_IN_WORKER = 3; // frames in the worker; a slow machine skips further ones
const FALSIFIED =
  "This browser falsifies the pictures that a page reads (Firefox with resistFingerprinting, LibreWolf, Tor Browser). " +
  "Allow this page to extract canvas data, set privacy.resistFingerprinting to false, or use another browser.";

/** A camera or clip of the page as the source of frames. */
export class LocalVideo {
  /** handlers: {onFrame(), onEnd(reason)}; a frame is {index, ms, mediaS, picture, levels}, `ms` on the page's clock. */
  constructor(connection, handlers) {
    this.connection = connection;
    this.handlers = handlers;
    this.video = document.createElement("video");
    this.video.muted = this.video.playsInline = this.video.loop = true;
    this.stream = null; // of the camera
    this.worker = null;
    this.frames = [];
    this.inWorker = 0; // frames that the worker has
    this.isRunning = false;
    this.index = 0;
  }

  /** Starts the camera; throws an error whose name or message says why it cannot. */
  async startCamera() {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error("Browsers allow the camera only over https, or on this machine; serve https (view.tls_cert).");
    }
    const wanted = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 }, facingMode: { ideal: "environment" },
                     resizeMode: { ideal: "none" } }; // else a portrait camera's picture is cut to 16:9
    const stream = await navigator.mediaDevices.getUserMedia({ video: wanted, audio: false });
    const [track] = stream.getVideoTracks();
    track.onended = () => {
      if (this.stream === stream) this.stop("The camera was disconnected: it was unplugged, or its permission was revoked.");
    };
    this.stop();
    this.stream = stream;
    if (globalThis.MediaStreamTrackProcessor) {
      // The worker reads the frames itself, without waiting for this thread; some browsers do not support that.
      this.start("camera");
      const { readable } = new MediaStreamTrackProcessor({ track });
      this.worker.postMessage({ stream: readable }, [readable]);
    } else await this.play(() => { this.video.srcObject = stream; }, "camera");
  }

  /** Plays a video file again and again; throws if the browser cannot play it. */
  async playClip(file) {
    this.stop();
    await this.play(() => { this.video.src = URL.createObjectURL(file); }, file.name);
  }

  async play(attach, label) {
    attach();
    await this.video.play();
    this.start(label);
    const worker = this.worker;
    const next = (now, meta) => {
      if (this.worker !== worker) return;
      this.capture(Math.min(now, meta.captureTime ?? now), meta.mediaTime);
      this.video.requestVideoFrameCallback(next);
    };
    this.video.requestVideoFrameCallback(next);
  }

  start(label) {
    const worker = new Worker(new URL("frame_worker.js", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }) => {
      if (this.worker === worker) this.onWorkerMessage(data);
      else data.picture?.close();
    };
    worker.postMessage({ origin: performance.timeOrigin });
    this.worker = worker;
    this.inWorker = 0;
    this.isRunning = true;
    this.announce(label);
  }

  /** Announces this page as the source of frames; again after a reconnection. */
  announce(label) {
    if (!this.isRunning) return;
    this.index = 0;
    this.worker.postMessage({ reset: true });
    this.connection.requestFrames("masks");
    this.connection.send({ t: "source", on: true, label });
  }

  /** Stops the camera or clip. reason: shown to the user; empty if the user stopped it. */
  stop(reason = "") {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
    if (this.video.src) URL.revokeObjectURL(this.video.src);
    this.video.srcObject = null;
    this.video.removeAttribute("src");
    if (!this.isRunning) return;
    this.isRunning = false;
    this.worker.terminate();
    this.worker = null;
    this.frames.forEach((frame) => frame.picture.close());
    this.frames = [];
    this.connection.send({ t: "source", on: false });
    this.connection.requestFrames("frames");
    this.handlers.onEnd(reason);
  }

  /** Sends the video's current frame to the worker. */
  async capture(ms, mediaS) {
    const worker = this.worker;
    if (!this.video.videoWidth || this.inWorker >= MAX_IN_WORKER) return;
    this.inWorker++;
    const frame = globalThis.VideoFrame
      ? new VideoFrame(this.video, { timestamp: Math.round(ms * 1000) })
      : await createImageBitmap(this.video);
    if (this.worker === worker) worker.postMessage({ frame, ms, mediaS }, [frame]);
    else frame.close();
  }

  /** Receives a picture with its pyramid from the worker, and later, for some frames, the JPEG of the same frame. */
  onWorkerMessage({ ms, mediaS, picture, levels, jpeg, falsified }) {
    if (falsified) {
      this.stop(FALSIFIED);
      return;
    }
    if (jpeg) {
      const frame = this.frameAt(ms);
      const isSent = frame && this.connection.send(packFrame({ index: frame.index, ms }, jpeg));
      if (!isSent) this.worker.postMessage({ reset: true });
      return;
    }
    if (this.inWorker) this.inWorker--;
    this.worker.postMessage({ received: true });
    this.frames.push({ index: this.index++, ms, mediaS, picture, levels });
    while (this.frames.length > MAX_FRAMES) this.frames.shift().picture.close();
    this.handlers.onFrame();
  }

  /** Notes that the mask of the frame of `ms` has arrived; the next frame may be sent. */
  onAnswer(ms) {
    this.worker.postMessage({ answered: ms });
  }

  /** Returns the frame of `ms`; null if it is no longer kept. */
  frameAt(ms) {
    return this.frames.find((frame) => Math.abs(frame.ms - ms) < 0.5) ?? null;
  }

  /** The newest frame; null before the first. */
  get newest() {
    return this.frames[this.frames.length - 1] ?? null;
  }
}
