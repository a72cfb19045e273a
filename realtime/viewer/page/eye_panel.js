// Gaze by webcam: starts the camera of the eyes, shows the targets of their calibration, and the error that it found.

import { EyeCamera } from "./eye_camera.js";
import { isHelpOpen } from "./help.js";
import { showNotice } from "./notice.js";
import { ScreenPosition } from "./screen_position.js";

const $ = (id) => document.getElementById(id);
const ERRORS = {
  NotAllowedError: "The browser blocks the camera; allow it in the address bar.",
  NotFoundError: "This device has no camera that films you; connect one.",
  NotReadableError: "The camera is in use; close the other program that uses it.",
};

/** The controls of gaze by webcam, and the page of its calibration. */
export class EyePanel {
  constructor(connection, stage) {
    Object.assign(this, { connection, stage });
    this.camera = new EyeCamera(connection, (reason) => this.onCameraStopped(reason));
    this.position = new ScreenPosition();
    this.owner = ""; // of the camera: "page", "server", or none
    this.eyes = null; // the last message about the eyes
    this.sentScreen = "";
    this.isCalibrating = false; // this page shows the targets
    this.isAsked = false; // the server has not begun yet
    $("eyes-camera").onclick = () => this.toggleCamera();
    $("eyes-calibrate").onclick = $("calibration-again").onclick = () => this.startCalibration();
    $("calibration-close").onclick = () => this.closeCalibration();
    addEventListener("keydown", (event) => this.onKey(event), { capture: true });
    document.addEventListener("fullscreenchange", () => {
      if (!document.fullscreenElement && !$("calibration").hidden) this.closeCalibration(); // by the browser's own Esc
    });
    // People look where they click: that corrects the gaze.
    stage.element.addEventListener("pointerdown", ({ screenX: x, screenY: y, target }) => {
      if (this.eyes?.result && !target.closest("button, a, input")) connection.send({ t: "click", x, y });
    });
    document.addEventListener("visibilitychange", () => this.sendScreen(0));
  }

  onHello({ eyes, eye_rate_hz: rateHz }) {
    this.owner = eyes;
    this.camera.rateHz = rateHz;
    this.sentScreen = "";
    this.camera.announce();
    this.refresh();
  }

  /** Handles a message about the eyes. */
  onMessage(eyes) {
    if (eyes.index !== null) this.camera.onAnswer(eyes.index);
    this.eyes = eyes;
    if (this.isCalibrating) this.showTarget(eyes);
    else this.refresh();
  }

  onClose() {
    this.eyes = null;
    this.sentScreen = "";
    if (!$("calibration").hidden) this.closeCalibration();
  }

  /** Reports to the server where the page is on the screen, if that has changed. frameWidth: of the frame shown, or 0. */
  sendScreen(frameWidth) {
    if (!this.owner) return;
    const message = this.position.describe(this.stage, frameWidth), text = JSON.stringify(message);
    if (text !== this.sentScreen && this.connection.send(message)) this.sentScreen = text;
  }

  refresh() {
    const { owner, camera, eyes } = this;
    $("eyes").hidden = !owner;
    if (!owner) return;
    const isOn = owner === "server" || camera.isRunning;
    $("eyes-camera").hidden = owner === "server";
    $("eyes-camera").classList.toggle("primary", !isOn);
    setText("eyes-camera", isOn ? "Stop the camera" : "Start the camera");
    $("eyes-calibrate").disabled = !isOn;
    $("eyes-calibrate").classList.toggle("primary", isOn && !eyes?.result);
    setText("eyes-state", !isOn ? "off" : !eyes ? "" : !eyes.face ? "no face" : eyes.closed ? "closed" : "face found");
    const drift = eyes?.drift_deg ? `, corrected by ${eyes.drift_deg}° where you clicked` : "";
    setText("eyes-error", eyes?.result ? `error ${describeError(eyes.result)}${drift}` : isOn ? "not calibrated for this screen" : "");
    setText("eyes-note", eyes?.note ?? "");
  }

  async toggleCamera() {
    if (this.camera.isRunning) this.camera.stop();
    else {
      try {
        await this.camera.start();
      } catch (error) {
        showNotice(ERRORS[error.name] ?? error.message);
      }
    }
    this.refresh();
  }

  onCameraStopped(reason) {
    if (reason) showNotice(reason);
    if (!$("calibration").hidden) this.closeCalibration();
    this.refresh();
  }

  onKey(event) {
    if (!this.owner || event.ctrlKey || event.metaKey || event.altKey || isHelpOpen() || event.target.matches?.("input")) return;
    const isOpen = !$("calibration").hidden;
    if (isOpen && event.key === "Escape") this.closeCalibration();
    else if (!isOpen && event.key.toLowerCase() === "e" && !event.repeat) {
      if ($("eyes-calibrate").disabled) showNotice("Start the camera of the eyes first.");
      else this.startCalibration();
    } else {
      if (isOpen && !["Enter", " ", "Tab"].includes(event.key)) event.stopImmediatePropagation();
      return;
    }
    event.preventDefault();
    event.stopImmediatePropagation();
  }

  // -- calibration -------------------------------------------------------------------------------------------------------

  /** Shows the targets on the whole screen; where the browser refuses that, in its window. */
  async startCalibration() {
    $("calibration").hidden = false;
    $("calibration-result").hidden = true;
    $("calibration-target").hidden = true;
    setText("calibration-hint", "Sit as you will work. Look at each dot until its ring is full; keep your head still.");
    try {
      if (!document.fullscreenElement) await $("calibration").requestFullscreen();
    } catch {
      // in the window then
    }
    if ($("calibration").hidden) return;
    this.isCalibrating = this.isAsked = true;
    this.sendScreen(0);
    this.connection.send({ t: "calibration", on: true });
  }

  showTarget({ calibrating, target, result, note }) {
    if (calibrating) this.isAsked = false;
    if (this.isAsked) return;
    if (!calibrating) {
      this.isCalibrating = false;
      this.showResult(result, note);
      return;
    }
    const dot = $("calibration-target");
    dot.hidden = !target;
    if (!target) return;
    dot.style.left = `${100 * target.x}%`;
    dot.style.top = `${100 * target.y}%`;
    dot.style.setProperty("--progress", target.progress);
    const what = target.role === "check" ? "measuring the error" : "calibrating";
    setText("calibration-hint", `${target.hint} · ${what}, ${target.done + 1} of ${target.total}`);
    $("calibration-hint").classList.toggle("low", target.y < 0.5); // never beside the dot
  }

  showResult(result, note) {
    $("calibration-target").hidden = true;
    setText("calibration-hint", "");
    $("calibration-result").hidden = false;
    const isFailed = note.startsWith("Calibration failed");
    setText("calibration-title", isFailed ? "Not calibrated" : result ? describeError(result) : "Not calibrated");
    setText("calibration-text", isFailed || !result ? note
      : `is the mean error at ${result.checks} dots that the calibration did not use, ${Math.round(result.distance_mm / 10)} cm from the `
        + `screen by the size of your irises; the gaze trembles by ${result.precision_deg}°. Objects within that radius are what may be meant. ${note}`);
    $("calibration-close").focus();
  }

  closeCalibration() {
    $("calibration").hidden = true;
    if (this.isCalibrating) this.connection.send({ t: "calibration", on: false });
    this.isCalibrating = false;
    if (document.fullscreenElement) document.exitFullscreen().catch(() => {});
    this.refresh();
  }
}

function describeError({ error_px: px, error_deg: degrees }) {
  return `${Math.round(px)} px, ${degrees.toFixed(1)}°`;
}

/** Sets a text if it is new: a screen reader reads it again each time. */
function setText(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}
