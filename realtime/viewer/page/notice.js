// Shows short texts over the picture for some seconds.

const NOTICE_MS = 4000;
const element = document.getElementById("notice");
let hideAtMs = 0;

/** Shows a text for some seconds. */
export function showNotice(text) {
  element.textContent = text;
  element.hidden = false;
  hideAtMs = performance.now() + NOTICE_MS;
}

/** Hides a notice whose time is over; called again and again. */
export function hideOldNotice(now) {
  if (now > hideAtMs) element.hidden = true;
}
