// The WebSocket: opens it again when it is lost, answers for the clock, and gives whoever listens maps and pictures.

const RETRY_MS = 700;

export class Link {
  /** handlers: {text(message), picture(head, outlines, jpeg), gone(), open()}. */
  constructor(handlers) {
    this.handlers = handlers;
    this.hostMs = null; // what to add to performance.now() for the server's clock
    this.kind = "frames"; // what to ask for when it opens; null for nothing
    this.socket = null;
    this.connect();
  }

  connect() {
    const address = new URL("ws" + location.search, location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.socket = socket;
      this.handlers.open();
      if (this.kind) this.want(this.kind);
    };
    socket.onmessage = (event) => {
      if (typeof event.data === "string") this.hear(JSON.parse(event.data));
      else this.handlers.picture(...unpack(event.data));
    };
    socket.onclose = () => {
      this.socket = null;
      this.hostMs = null;
      this.handlers.gone();
      setTimeout(() => this.connect(), RETRY_MS);
    };
  }

  hear(message) {
    if (message.t === "sync") this.say({ t: "sync", n: message.n, ms: performance.now() });
    else if (message.t === "clock") this.hostMs = message.host_ms;
    else this.handlers.text(message);
  }

  /** Send a map, or bytes; what finds no open socket, or one that is full, is lost. */
  say(message) {
    if (this.socket?.readyState !== WebSocket.OPEN || this.socket.bufferedAmount > 1e6) return false;
    this.socket.send(message instanceof ArrayBuffer ? message : JSON.stringify(message));
    return true;
  }

  want(kind) {
    this.kind = kind;
    this.say({ t: "view", kind });
  }

  /** The page's clock for a time of the server's; null until it is known. */
  here(hostMs) {
    return this.hostMs === null ? null : hostMs - this.hostMs;
  }
}

/** [head, outlines, jpeg] of one picture; outlines are Uint16Arrays of x, y pairs. */
export function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  let at = 4 + length;
  const outlines = head.outline.map((count) => {
    const points = new Uint16Array(buffer, at, 2 * count);
    at += 4 * count;
    return points;
  });
  return [head, outlines, new Uint8Array(buffer, at)];
}

/** A map and bytes as one message to the server. */
export function pack(head, bytes) {
  const text = new TextEncoder().encode(JSON.stringify(head));
  const out = new Uint8Array(4 + text.length + bytes.byteLength);
  new DataView(out.buffer).setUint32(0, text.length, true);
  out.set(text, 4);
  out.set(new Uint8Array(bytes), 4 + text.length);
  return out.buffer;
}
