// Gives the canvases the colours of the style sheet, which follow the light or dark scheme of the system.

const scheme = matchMedia("(prefers-color-scheme: light)");
const colours = new Map();

/** Returns the colour of a custom property, such as "--muted". */
export function themeColour(name) {
  if (!colours.has(name)) colours.set(name, getComputedStyle(document.documentElement).getPropertyValue(name).trim());
  return colours.get(name);
}

/** Calls handler() when the scheme has changed. */
export function onThemeChange(handler) {
  scheme.addEventListener("change", () => {
    colours.clear();
    handler();
  });
}
