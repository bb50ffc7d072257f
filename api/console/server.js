// The calls of the server, and the key that they show.

const KEY = "bigrain-key";

/** An answer that is a refusal. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export const key = {
  get: () => sessionStorage.getItem(KEY),
  set: (text) => (text ? sessionStorage.setItem(KEY, text) : sessionStorage.removeItem(KEY)),
};

// Numbers of ids are whole and may be larger than a double holds: they stay what the server wrote.
function revive(name, value, context) {
  const large = typeof value === "number" && !Number.isSafeInteger(value) && name === "id";
  return large && context?.source && JSON.rawJSON ? JSON.rawJSON(context.source) : value;
}

async function fetched(path, init = {}) {
  const headers = { ...init.headers };
  if (key.get()) headers.authorization = `Bearer ${key.get()}`;
  let response;
  try {
    response = await fetch(path, { ...init, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "the server does not answer");
  }
  if (response.ok) return response;
  const text = await response.text();
  let message = text;
  try {
    message = JSON.parse(text).error ?? text;
  } catch {
    // A proxy may answer in another shape.
  }
  throw new Refused(response.status, message || `the server answered ${response.status}`);
}

/** Asks the server; with a body, by POST. */
export async function ask(path, body, signal) {
  const init = { signal };
  if (body !== undefined) {
    init.method = "POST";
    init.headers = { "content-type": "application/json" };
    init.body = JSON.stringify(body);
  }
  const response = await fetched(`/api/v1${path}`, init);
  return JSON.parse(await response.text(), revive);
}

export const of = (collection, what) => `/collections/${encodeURIComponent(collection)}${what}`;

// Whether the server shows pictures at all; unknown until it refused or showed one.
let pictures = true;

/** The picture that a payload field of a point names, as an address for `img`; null if there is none. */
export async function picture(collection, id, field) {
  if (!pictures) return null;
  const path = `${of(collection, `/points/${encodeURIComponent(shownId(id))}/picture`)}?field=${encodeURIComponent(field)}`;
  try {
    const response = await fetched(`/api/v1${path}`);
    return URL.createObjectURL(await response.blob());
  } catch (error) {
    if (error.status === 400) pictures = false;
    return null;
  }
}

/** An id as people read it. */
export function shownId(id) {
  return typeof id === "object" && id !== null ? id.rawJSON : String(id);
}

/** What a person wrote as an id: digits are a number, and a text in quotes is a text. */
export function readId(text) {
  if (/^\d+$/.test(text)) {
    return Number.isSafeInteger(Number(text)) || !JSON.rawJSON ? Number(text) : JSON.rawJSON(text);
  }
  const quoted = /^"(.*)"$/.exec(text);
  return quoted ? quoted[1] : text;
}
