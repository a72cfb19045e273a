// Connects to the server by WebSocket: reconnects, synchronises the clocks, and passes on messages and frames.

const RETRY_MS = 700;

/** A WebSocket that reconnects by itself. */
export class Connection {
  /** handlers: {onText(message), onFrame(header, contours, jpeg), onClose(), onOpen()}. */
  constructor(handlers) {
    this.handlers = handlers;
    this.hostMs = null; // offset of the server's clock to performance.now(); null until it is known
    this.kind = "frames"; // frames to request when it opens; null for none
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
      this.handlers.onOpen();
      if (this.kind) this.requestFrames(this.kind);
    };
    socket.onmessage = (event) => {
      if (typeof event.data === "string") this.receive(JSON.parse(event.data));
      else this.handlers.onFrame(...unpackFrame(event.data));
    };
    socket.onclose = () => {
      this.socket = null;
      this.hostMs = null;
      this.handlers.onClose();
      setTimeout(() => this.connect(), RETRY_MS);
    };
  }

  receive(message) {
    if (message.t === "sync") this.send({ t: "sync", n: message.n, ms: performance.now() });
    else if (message.t === "clock") this.hostMs = message.host_ms;
    else this.handlers.onText(message);
  }

  /** Sends a map or bytes; false if it was dropped because the socket is closed or full. */
  send(message) {
    if (this.socket?.readyState !== WebSocket.OPEN || this.socket.bufferedAmount > 1e6) return false;
    this.socket.send(message instanceof ArrayBuffer ? message : JSON.stringify(message));
    return true;
  }

  /** Requests frames of a kind, "frames" or "masks", now and after each reconnection. */
  requestFrames(kind) {
    this.kind = kind;
    this.send({ t: "view", kind });
  }

  /** Converts a time of the server to the page's clock; null until the offset is known. */
  toPageTime(hostMs) {
    return this.hostMs === null ? null : hostMs - this.hostMs;
  }
}

/** Returns the URL of a resource of the server, with the page's token. */
export function resourceUrl(path, parameters = {}) {
  const query = new URLSearchParams(parameters);
  const token = new URLSearchParams(location.search).get("token");
  if (token) query.set("token", token);
  return `${path}?${query}`;
}

/** Unpacks a frame message into [header, contours, jpeg]; contours are Uint16Arrays of x, y pairs. */
export function unpackFrame(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  let at = 4 + length;
  const contours = header.outline.map((count) => {
    const points = new Uint16Array(buffer, at, 2 * count);
    at += 4 * count;
    return points;
  });
  return [header, contours, new Uint8Array(buffer, at)];
}

/** Packs a map and bytes as one message to the server. */
export function packFrame(header, bytes) {
  const text = new TextEncoder().encode(JSON.stringify(header));
  const out = new Uint8Array(4 + text.length + bytes.byteLength);
  new DataView(out.buffer).setUint32(0, text.length, true);
  out.set(text, 4);
  out.set(new Uint8Array(bytes), 4 + text.length);
  return out.buffer;
}
