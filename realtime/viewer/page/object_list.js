// The list of objects: a picture of each, its name, and whether it is kept.

import { inkOf } from "./timeline.js";

export class Things {
  /**
   * handlers: {see(thing), say(object, text, keep)}; see is null where there is nothing to see. thumbnail(thing) gives a
   * picture's address, or null for none. newest: the newest comes first.
   */
  constructor(list, names, handlers, thumbnail, newest = false) {
    this.list = list;
    this.newest = newest;
    this.names = names;
    this.handlers = handlers;
    this.thumbnail = thumbnail;
    this.rows = new Map();
    this.labels = new Map(); // object: [text, keep]
  }

  label(object) {
    const [text, keep] = this.labels.get(object) ?? ["", true];
    return { text, keep };
  }

  name(object) {
    return this.label(object).text || `object ${object}`;
  }

  /** The objects as they are known now: [{object, says, version}]. */
  show(things) {
    for (const thing of things) {
      const row = this.rows.get(thing.object) ?? this.add(thing);
      row.thing = thing;
      if (row.says.textContent !== thing.says) row.says.textContent = thing.says;
      const address = this.thumbnail(thing);
      row.image.hidden = !address;
      if (address && row.image.getAttribute("src") !== address) row.image.src = address;
    }
    const known = new Set(things.map(({ object }) => object));
    for (const [object, row] of this.rows) {
      if (known.has(object)) continue;
      row.item.remove();
      this.rows.delete(object);
    }
    this.write();
  }

  add(thing) {
    const make = (tag, more) => Object.assign(document.createElement(tag), more);
    const { object } = thing, item = make("li");
    item.style.setProperty("--ink-of", inkOf(object));
    item.dataset.object = object;
    const see = make(this.handlers.see ? "button" : "div", { className: "see" });
    if (this.handlers.see) {
      Object.assign(see, { type: "button", title: "Its best moment", onclick: () => this.handlers.see(row.thing) });
      see.setAttribute("aria-label", `See object ${object} at its best`);
    }
    const image = make("img", { alt: "", loading: "lazy", decoding: "async" });
    see.append(image, make("span", { textContent: `${object}` }));
    const input = make("input", { maxLength: 80, placeholder: `object ${object}`, autocomplete: "off", enterKeyHint: "done" });
    input.setAttribute("list", this.names.id);
    input.setAttribute("aria-label", `Name of object ${object}`);
    const keep = make("button", { type: "button", className: "keep" }), says = make("small");
    item.append(see, input, keep, says);
    const row = { thing, item, image, input, keep, says };
    input.onchange = () => this.handlers.say(object, input.value, this.label(object).keep);
    input.onkeydown = (event) => {
      if (event.key === "Escape") input.value = this.label(object).text;
      if (event.key === "Enter" || event.key === "Escape") input.blur();
    };
    keep.onclick = () => this.toggle(object);
    this.rows.set(object, row);
    if (this.newest) this.list.prepend(item);
    else this.list.append(item);
    return row;
  }

  toggle(object) {
    const { text, keep } = this.label(object);
    if (this.rows.has(object)) this.handlers.say(object, text, !keep);
  }

  /** Have somebody type the name of an object. */
  ask(object) {
    const row = this.rows.get(object);
    row?.item.scrollIntoView({ block: "nearest" });
    row?.input.select();
  }

  /** What is said of the objects: {object: [text, keep]}. */
  said(labels) {
    this.labels = new Map(Object.entries(labels).map(([object, said]) => [Number(object), said]));
    this.write();
  }

  write() {
    for (const [object, row] of this.rows) {
      const { text, keep } = this.label(object);
      if (row.input !== document.activeElement) row.input.value = text;
      row.item.classList.toggle("dropped", !keep);
      row.keep.textContent = keep ? "Drop" : "Keep";
      row.keep.title = keep ? "Leave it out of exports (K)" : "Have it in exports again (K)";
    }
    const names = [...new Set([...this.labels.values()].map(([text]) => text).filter(Boolean))].sort();
    if (names.join("\n") !== this.named) {
      this.named = names.join("\n");
      this.names.replaceChildren(...names.map((value) => Object.assign(document.createElement("option"), { value })));
    }
  }

  /** Which object is chosen, and which is on show. */
  mark(selected, shown) {
    for (const [object, { item }] of this.rows) {
      item.classList.toggle("selected", object === selected);
      item.classList.toggle("shown", object === shown);
    }
  }

  /** The object before or after one. */
  beside(object, step) {
    const all = [...this.rows.keys()], at = all.indexOf(object);
    return all[at < 0 ? 0 : Math.min(all.length - 1, Math.max(0, at + step))] ?? null;
  }
}
