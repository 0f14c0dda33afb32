// The server's HTTP API: calls that throw its own sentences, uploads, and the stream of events.
import { T } from "./texts.js";

const BASE = "/api/v1";

/** What went wrong: `errors` as the server says them, each {message, knob}. */
export class ApiError extends Error {
  constructor(errors, status) {
    super(errors[0]?.message ?? T.connection.unknown);
    this.errors = errors;
    this.status = status;
  }
}

async function answerOf(path, options) {
  let answer;
  try {
    answer = await fetch(BASE + path, { credentials: "same-origin", ...options });
  } catch (fault) {
    if (fault.name === "AbortError") throw fault;
    throw new ApiError([{ message: T.connection.gone, knob: null }], 0);
  }
  if (answer.status === 401) {
    location.assign("/login");
    throw new ApiError([{ message: T.connection.login, knob: null }], 401);
  }
  if (answer.status === 204) return null;
  const body = await answer.json().catch(() => null);
  if (answer.ok) return body;
  const errors = Array.isArray(body?.errors)
    ? body.errors
    : [{ message: T.connection.status(answer.status), knob: null }];
  throw new ApiError(errors, answer.status);
}

const withBody = (method) => (path, body, options) =>
  answerOf(path, {
    method,
    headers: body === undefined ? {} : { "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
    ...options,
  });

export const get = (path, options) => answerOf(path, options);
export const post = withBody("POST");
export const patch = withBody("PATCH");
export const remove = withBody("DELETE");

/** A file's bytes as an image of the server's -> IMAGE. */
export function upload(file, name, role) {
  const query = new URLSearchParams({ name: name || T.images.unnamed, role });
  return answerOf(`/images?${query}`, {
    method: "POST",
    headers: { "Content-Type": file.type || "application/octet-stream" },
    body: file,
  });
}

export const previewUrl = (job) => `${BASE}/jobs/${job.id}/preview?n=${job.preview}`;
/** The number at its end lets caches keep it until the job's next picture. */
export const thumbnailUrl = (job) => `${BASE}/jobs/${job.id}/thumbnail?n=${job.preview}-${job.state}`;
export const pictureUrl = (job, format = "png") => `${BASE}/jobs/${job.id}/picture?format=${format}`;
/** A painted film; `save` has the browser download it. */
export const filmUrl = (job, save = false) => `${BASE}/jobs/${job.id}/film${save ? "?download=1" : ""}`;
export const frameUrl = (job, number) => `${BASE}/jobs/${job.id}/frames/${number}`;
export const originalUrl = (job, number) => `${frameUrl(job, number)}/original`;
export const folderUrl = (group) => `${BASE}/groups/${group}/folder`;
export const downloadUrl = (job, format) => `${pictureUrl(job, format)}&download=1`;
export const firstFrameUrl = (job) => downloadUrl(job, "png");

/**
 * Listen to the server's events until the page closes. `on` has one function per event, and `lost()` and `back()`.
 * The browser reconnects by itself with Last-Event-ID after a dropped line; where it gives up (a proxy's 502, a
 * restarted server) this starts a new stream, and `back` fetches everything anew.
 */
export function listen(on) {
  let wait = 500;
  let down = false;
  let told;
  const lost = () => {
    down = true;
    // A line that is back within a second isn't worth a banner.
    told ??= setTimeout(on.lost, 1000);
  };
  const open = () => {
    const source = new EventSource(`${BASE}/events`);
    const hear = (name) => source.addEventListener(name, (event) => on[name](JSON.parse(event.data)));
    for (const name of ["job", "group", "image", "reset"]) hear(name);
    source.onopen = () => {
      clearTimeout(told);
      told = undefined;
      wait = 500;
      if (down) on.back();
      down = false;
    };
    source.onerror = () => {
      lost();
      if (source.readyState !== EventSource.CLOSED) return;
      source.close();
      setTimeout(async () => {
        // An EventSource hides its status: this finds out whether a login is needed.
        await get("/health").catch(() => {});
        open();
      }, wait);
      wait = Math.min(wait * 2, 8000);
    };
  };
  open();
}
