// Shows a recording's metadata, its state, the transport buttons and the card of the shown object.

import { stateColour } from "./canvas.js";
import { markRadio } from "./radio_group.js";

const $ = (id) => document.getElementById(id);

/** Shows everything around the picture; called after each change. */
export function refresh({ state, player, objects, edits }) {
  const { hello, timeline } = state;
  showConnection(hello, timeline, player.isOpen);
  if (hello) showMetadata(hello, timeline);
  const isReading = timeline.share < 1;
  $("reading").hidden = !isReading;
  $("reading").textContent = `reading ${Math.round(100 * timeline.share)} %`;
  showTransport(player, timeline);
  $("undo").disabled = !player.isOpen || !edits.undo;
  const dropped = state.objects.filter(({ object }) => !objects.label(object).keep).length;
  $("count").textContent = state.objects.length ? `${state.objects.length}${dropped ? `, ${dropped} dropped` : ""}` : "";
  $("no-objects").hidden = isReading || state.objects.length > 0;
  const header = player.shown?.header, target = header?.target;
  showCard(header, objects);
  objects.mark(state.selected, header?.corrected?.object ?? (target && target.state !== "lost" ? target.object : null));
}

function showConnection(hello, timeline, isOpen) {
  const pill = $("state"), isWhole = hello?.complete && !timeline.damaged && !timeline.error;
  pill.dataset.state = !hello ? "connecting" : !isOpen ? "disconnected" : isWhole ? "recording" : "cut off";
  pill.textContent = pill.dataset.state === "cut off" && hello.complete ? "damaged" : pill.dataset.state;
  $("warning").hidden = isOpen || !hello;
  $("warning").textContent = "Connection lost; reconnecting…";
}

function showMetadata(hello, timeline) {
  $("file").textContent = hello.file;
  document.title = `${hello.file} – gazecast`;
  const date = hello.started.slice(0, 19).replace("T", " ");
  $("about").textContent = [hello.source, date, hello.engine].filter(Boolean).join(" · ");
  $("about").title = $("about").textContent;
  const problems = [];
  if (hello.pictures === false) problems.push("This recording has no pictures: masks are shown on grey.");
  if (!hello.complete) problems.push("This recording was cut off, or is still being written. Everything up to that point is shown.");
  if (timeline.damaged) {
    const verb = timeline.damaged === 1 ? "is" : "are";
    problems.push(`${formatCount(timeline.damaged, "piece")} of half a second cannot be read and ${verb} missing.`);
  }
  if (timeline.error) problems.push(`Reading stopped here: ${timeline.error}`);
  $("problems").hidden = !problems.length;
  $("problems").textContent = problems.join(" ");
}

function showTransport(player, timeline) {
  $("play").textContent = player.isPlaying ? "❚❚" : "▶";
  $("play").setAttribute("aria-label", player.isPlaying ? "Pause" : "Play");
  for (const button of document.querySelectorAll("#transport button")) button.disabled = !player.isOpen || !timeline.frames;
  markRadio([...document.querySelectorAll("[data-speed]")], (button) => Number(button.dataset.speed) === player.speed);
  if (player.shown) $("number").textContent = `frame ${player.shown.header.n + 1} of ${timeline.frames}`;
}

function showCard(header, objects) {
  const target = header?.target, corrected = header?.corrected;
  $("card").hidden = !target && !corrected;
  if (corrected) return showCorrectedCard(corrected, objects);
  if (!target) return;
  const { keep } = objects.label(target.object);
  $("card").style.setProperty("--target", keep ? stateColour(target.state) : stateColour("lost"));
  $("card-object").textContent = target.object ? objects.name(target.object, target.label) : target.state === "preview" ? "a first guess" : "no object yet";
  $("card-state").textContent = keep ? target.state : "dropped";
  $("card-details").textContent = [
    target.confirmed ? `confirmed by ${target.confirmed.by}` : "",
    target.state === "lost" || !keep ? "" : `confidence ${Math.round(100 * target.confidence)} %`,
    header.own_mask || !keep ? "" : "mask of the frame before",
  ].filter(Boolean).join(" · ");
}

function showCorrectedCard(corrected, objects) {
  const { keep } = objects.label(corrected.object);
  $("card").style.setProperty("--target", stateColour(keep ? "corrected" : "lost"));
  $("card-object").textContent = objects.name(corrected.object);
  $("card-state").textContent = !keep ? "dropped" : corrected.carried ? "carried from a correction" : "corrected";
  $("card-details").textContent = corrected.candidate >= 0 ? `mask ${corrected.candidate + 1} of ${corrected.candidates}` : "";
}

/** Shows the colours of the mask states below the timeline. */
export function showLegend() {
  for (const name of ["preview", "locked", "held", "lost", "corrected"]) {
    const item = Object.assign(document.createElement("li"), { textContent: name });
    item.style.setProperty("--swatch", stateColour(name));
    $("states").append(item);
  }
}

/** Formats a count with its noun, such as "2 masks". */
export function formatCount(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
