// Lists objects: a picture of each, its name, and whether it is kept in exports.

import { objectColour } from "./timeline.js";

/** A list of objects that the user names, drops and selects. */
export class ObjectList {
  /**
   * handlers: {onSelect(object), onLabel(number, text, keep)}; onSelect is null where objects cannot be selected.
   * thumbnail(object) returns the URL of a picture, or null. isNewestFirst: new objects are put at the top.
   */
  constructor(list, names, handlers, thumbnail, isNewestFirst = false) {
    Object.assign(this, { list, names, handlers, thumbnail, isNewestFirst });
    this.rows = new Map();
    this.labels = new Map(); // number: [text, keep]
    this.knownNames = "";
  }

  /** Returns the label of an object: {text, keep}. */
  label(number) {
    const [text, keep] = this.labels.get(number) ?? ["", true];
    return { text, keep };
  }

  /** Returns the name that the user gave an object, else what it was recognized as, else its number. */
  name(number, recognized = "") {
    return this.label(number).text || (recognized ? `${recognized} (${number})` : `object ${number}`);
  }

  /** Shows these objects: [{object, details, ...}], where `object` is the number. */
  setObjects(objects) {
    for (const each of objects) {
      const row = this.rows.get(each.object) ?? this.addRow(each.object);
      row.object = each;
      row.input.placeholder = each.name ? `${each.name} (${each.object})` : `object ${each.object}`;
      if (row.details.textContent !== each.details) row.details.textContent = each.details;
      const url = this.thumbnail(each);
      row.image.hidden = !url;
      if (url && row.image.getAttribute("src") !== url) row.image.src = url;
    }
    const numbers = new Set(objects.map(({ object }) => object));
    for (const [number, row] of this.rows) {
      if (numbers.has(number)) continue;
      row.item.remove();
      this.rows.delete(number);
    }
    this.showLabels();
  }

  addRow(number) {
    const create = (tag, properties) => Object.assign(document.createElement(tag), properties);
    const item = create("li");
    item.style.setProperty("--object-colour", objectColour(number));
    item.dataset.object = number;
    const frame = create(this.handlers.onSelect ? "button" : "div", { className: "thumbnail" });
    if (this.handlers.onSelect) {
      Object.assign(frame, { type: "button", title: "Show its best moment", onclick: () => this.handlers.onSelect(row.object) });
      frame.setAttribute("aria-label", `Show the best moment of object ${number}`);
    }
    const image = create("img", { alt: "", loading: "lazy", decoding: "async" });
    frame.append(image, create("span", { textContent: `${number}` }));
    const input = this.createInput(number);
    const keep = create("button", { type: "button", className: "keep", onclick: () => this.toggleKeep(number) });
    const details = create("small");
    item.append(frame, input, keep, details);
    const row = { object: null, item, image, input, keep, details };
    this.rows.set(number, row);
    if (this.isNewestFirst) this.list.prepend(item);
    else this.list.append(item);
    return row;
  }

  createInput(number) {
    const input = Object.assign(document.createElement("input"), {
      maxLength: 80, placeholder: `object ${number}`, autocomplete: "off", enterKeyHint: "done",
      onchange: () => this.handlers.onLabel(number, input.value, this.label(number).keep),
      onkeydown: (event) => {
        if (event.key === "Escape") input.value = this.label(number).text;
        if (event.key === "Enter" || event.key === "Escape") input.blur();
      },
    });
    input.setAttribute("list", this.names.id);
    input.setAttribute("aria-label", `Name of object ${number}`);
    return input;
  }

  /** Drops an object, or keeps it again. */
  toggleKeep(number) {
    const { text, keep } = this.label(number);
    if (this.rows.has(number)) this.handlers.onLabel(number, text, !keep);
  }

  /** Puts the cursor into the name of an object. */
  editName(number) {
    const row = this.rows.get(number);
    row?.item.scrollIntoView({ block: "nearest" });
    row?.input.select();
  }

  /** Replaces the labels of all objects: {number: [text, keep]}. */
  setLabels(labels) {
    this.labels = new Map(Object.entries(labels).map(([number, label]) => [Number(number), label]));
    this.showLabels();
  }

  showLabels() {
    for (const [number, row] of this.rows) {
      const { text, keep } = this.label(number);
      if (row.input !== document.activeElement) row.input.value = text;
      row.item.classList.toggle("dropped", !keep);
      row.keep.textContent = keep ? "Drop" : "Keep";
      row.keep.title = keep ? "Leave it out of exports (K)" : "Include it in exports again (K)";
    }
    const names = [...new Set([...this.labels.values()].map(([text]) => text).filter(Boolean))].sort();
    if (names.join("\n") === this.knownNames) return;
    this.knownNames = names.join("\n");
    this.names.replaceChildren(...names.map((value) => Object.assign(document.createElement("option"), { value })));
  }

  /** Marks the selected object and the one in the picture; null for none. */
  mark(selected, shown) {
    for (const [number, { item }] of this.rows) {
      item.classList.toggle("selected", number === selected);
      item.classList.toggle("shown", number === shown);
    }
  }

  /** Selects the object `step` rows after an object, or the first row. */
  selectBeside(number, step) {
    const rows = [...this.rows.values()], index = rows.findIndex((row) => row.object.object === number);
    const row = rows[index < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, index + step))];
    if (!row) return;
    row.item.scrollIntoView({ block: "nearest" });
    this.handlers.onSelect(row.object);
  }
}
