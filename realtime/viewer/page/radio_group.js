// Makes buttons with role="radio" a group as screen readers expect it: one tab stop, and arrow keys that choose.

const STEPS = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 };

/** Binds the buttons of a group. choose(button) is called for the one that the user chooses. */
export function bindRadioGroup(buttons, choose) {
  buttons.forEach((button, index) => {
    button.onclick = (event) => {
      choose(button);
      if (event.detail) button.blur(); // a click of the mouse leaves the arrow keys to the picture
    };
    button.addEventListener("keydown", (event) => {
      if (!STEPS[event.key]) return;
      event.preventDefault(); // which also keeps the key from the page's own handler
      const next = buttons[(index + STEPS[event.key] + buttons.length) % buttons.length];
      next.focus();
      choose(next);
    });
  });
}

/** Marks the button for which isChosen(button) is true. */
export function markRadio(buttons, isChosen) {
  for (const button of buttons) {
    const isOn = isChosen(button);
    button.setAttribute("aria-checked", String(isOn));
    button.tabIndex = isOn ? 0 : -1;
  }
}
