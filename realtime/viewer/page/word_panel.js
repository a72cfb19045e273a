// The word beside the gaze: typed, or spoken where the browser recognizes speech; what is known and found of it.

import { isHelpOpen } from "./help.js";
import { showNotice } from "./notice.js";

const $ = (id) => document.getElementById(id);
const ERRORS = {
  "not-allowed": "The browser blocks the microphone; allow it in the address bar, or type the word.",
  "service-not-allowed": "The browser blocks its speech recognition; allow it in its settings, or type the word.",
  "audio-capture": "This device has no microphone; connect one, or type the word.",
  "no-speech": "Nothing was heard; press Speak again and say the word.",
  network: "The browser's speech recognition cannot be reached; type the word.",
  "language-not-supported": "The browser does not recognize speech in this language; choose another one.",
};
const NO_WORD = { text: "", known: false, found: false, near: [], error: "" };

/** The controls of the word. */
export class WordPanel {
  constructor(connection) {
    Object.assign(this, { connection, word: NO_WORD, isEnabled: false, isWaiting: false, speech: null });
    this.Recognition = window.SpeechRecognition ?? window.webkitSpeechRecognition;
    $("word-form").onsubmit = (event) => {
      event.preventDefault();
      this.setWord($("word-text").value);
      $("word-text").blur();
    };
    $("word-text").onkeydown = (event) => {
      if (event.key === "Escape") $("word-text").blur();
    };
    $("word-clear").onclick = () => this.setWord("");
    $("word-speak").onclick = () => this.toggleSpeech();
    $("word-language").onkeydown = (event) => event.stopPropagation(); // letters choose a language there
    this.listLanguages();
  }

  /** Lists English, whose names recognizers know, and the browser's own languages. */
  listLanguages() {
    const names = new Intl.DisplayNames("en", { type: "language" });
    for (const tag of new Set(["en-US", ...navigator.languages])) $("word-language").add(new Option(names.of(tag), tag));
  }

  /** Handles a message about the word. */
  onMessage(word) {
    this.word = word;
    this.isWaiting = false;
    if (document.activeElement !== $("word-text")) $("word-text").value = word.text;
    if (word.error) showNotice(word.error);
    this.refresh();
  }

  onClose() {
    this.isWaiting = false;
    this.speech?.abort();
    this.refresh();
  }

  /** isEnabled: the run can search for words now. */
  enable(isEnabled) {
    if (isEnabled === this.isEnabled) return;
    this.isEnabled = isEnabled;
    this.refresh();
  }

  setWord(text) {
    $("word-text").value = text.trim();
    this.isWaiting = this.connection.send({ t: "word", text: text.trim() });
    this.refresh();
  }

  /** Handles a key; true for one of its own. */
  onKey(key) {
    if (key === "/") $("word-text").select();
    else if (key === "v" && this.Recognition) this.toggleSpeech();
    else if (key === "v") showNotice("This browser does not recognize speech; press / and type the word.");
    else return false;
    if (!this.isEnabled) showNotice("A word can be set as soon as the engine is ready.");
    return true;
  }

  refresh() {
    const { word, isEnabled, isWaiting } = this;
    for (const id of ["word-text", "word-speak", "word-language"]) $(id).disabled = !isEnabled;
    $("word-speak").hidden = $("word-language").hidden = $("word-speech-note").hidden = !this.Recognition;
    $("word-speak").setAttribute("aria-pressed", String(Boolean(this.speech)));
    $("word-clear").hidden = !word.text;
    const state = this.describe();
    if ($("word-state").textContent !== state) $("word-state").textContent = state;
    $("word").dataset.state = isWaiting || !word.text ? "none" : word.found ? "found" : word.known ? "absent" : "unknown";
    const near = isWaiting ? [] : word.near;
    if ($("word-near").dataset.names === near.join()) return;
    $("word-near").dataset.names = near.join();
    $("word-near").replaceChildren(...near.map((name) => Object.assign(document.createElement("button"), {
      type: "button", textContent: name, onclick: () => this.setWord(name),
    })));
  }

  describe() {
    const { word, isEnabled, isWaiting, speech } = this;
    if (speech) return "Listening; say what you look at.";
    if (isWaiting) return "Preparing the word…";
    if (word.error) return word.error;
    if (!isEnabled || !word.text) return "Name what you look at: the mask keeps to it where the gaze is off, or away.";
    if (!word.known) return `“${word.text}” is not known and changes nothing.${word.near.length ? " Known are:" : " Try an English name, such as cup."}`;
    return word.found ? `“${word.text}” is found.` : `“${word.text}” is not in the picture now.`;
  }

  // -- speech ------------------------------------------------------------------------------------------------------------

  toggleSpeech() {
    if (isHelpOpen() || !this.isEnabled) return;
    if (this.speech) {
      this.speech.stop();
      return;
    }
    const speech = Object.assign(new this.Recognition(), { lang: $("word-language").value, interimResults: false });
    speech.onresult = ({ results }) => this.setWord(results[0][0].transcript.toLowerCase().replace(/[.,!?]+\s*$/, ""));
    speech.onerror = ({ error }) => {
      if (error !== "aborted") showNotice(ERRORS[error] ?? `The browser did not recognize speech (${error}); type the word.`);
    };
    speech.onend = () => {
      this.speech = null;
      this.refresh();
    };
    try {
      speech.start();
      this.speech = speech;
    } catch (error) {
      showNotice(`The browser cannot listen (${error.message}); type the word.`);
    }
    this.refresh();
  }
}
