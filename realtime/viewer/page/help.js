// The help dialog: opened by its button or the key "?".

const dialog = document.getElementById("help");

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
