// The help dialog: opened by its button or the key "?".

const STATES = {
  preview: "the eyes have just come to it",
  locked: "they have rested on it for 0.6 s",
  held: "they are elsewhere or blink; the mask follows the object",
  lost: "nothing is followed",
};
const CONFIDENCE = "the probability that this object is meant";

const dialog = document.getElementById("help");
document.getElementById("object-legend").prepend(
  ...Object.entries(STATES).flatMap(([state, meaning]) => describe(state, meaning, `swatch ${state}`)),
  ...describe("confidence", CONFIDENCE),
);

function describe(term, meaning, className = "") {
  return [Object.assign(document.createElement("dt"), { textContent: term, className }),
          Object.assign(document.createElement("dd"), { textContent: meaning })];
}

/** Whether the dialog is open; keys are then for it alone. */
export function isHelpOpen() {
  return dialog.open;
}

/** Opens the dialog. */
export function openHelp() {
  if (!dialog.open) dialog.showModal();
}

document.getElementById("open-help").onclick = openHelp;
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close(); // beside it
});
