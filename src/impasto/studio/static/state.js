// What the page knows of the server, and how it looks: signals that the panels read. No panel keeps a copy.
import { get } from "./api.js";
import { computed, effect, signal } from "./html.js";

export const schema = signal(null);
export const knobs = computed(() => new Map((schema.value?.knobs ?? []).map((knob) => [knob.name, knob])));
export const presets = signal([]);
export const swatches = signal([]);
export const shelf = signal([]);
export const maskShelf = signal([]);
export const health = signal(null);
export const disk = signal(null);
export const connected = signal(true);

/** Which picture the middle shows, from the address, so that reloading and the back button work. */
export const view = signal(viewOf(location.hash));
export const masking = signal(false);
/** What a phone shows of the three columns. */
export const tab = signal("create");

function viewOf(hash) {
  const [kind, ...ids] = hash.replace(/^#\/?/, "").split("/");
  return ["job", "group", "compare"].includes(kind) && ids[0] ? { kind, ids } : { kind: "photo", ids: [] };
}

export function show(kind, ...ids) {
  masking.value = false;
  tab.value = kind === "photo" ? "create" : "picture";
  const hash = kind === "photo" ? "#/" : `#/${[kind, ...ids].join("/")}`;
  if (location.hash !== hash) location.hash = hash;
}

addEventListener("hashchange", () => {
  view.value = viewOf(location.hash);
  masking.value = false;
});

// Images by id, for what jobs name but the shelf doesn't hold; asked for once each.
const images = new Map();

export function keepImage(image) {
  imageSignal(image.id).value = image;
  if (image.role === "style") {
    const others = shelf.value.filter((one) => one.id !== image.id);
    const there = others.length < shelf.value.length;
    if (!image.shelf) shelf.value = others;
    else shelf.value = there ? shelf.value.map((one) => (one.id === image.id ? image : one)) : [image, ...others];
  }
  return image;
}

function imageSignal(id) {
  if (!images.has(id)) images.set(id, signal(null));
  return images.get(id);
}

/** The image of an id, null until it has come. */
export function imageOf(id) {
  if (!id) return null;
  const asked = images.has(id);
  const kept = imageSignal(id);
  if (!asked)
    get(`/images/${id}`)
      .then((image) => (kept.value = image))
      .catch(() => images.delete(id));
  return kept.value;
}

export async function fetchImage(id) {
  return keepImage(await get(`/images/${id}`));
}

// Toasts: short notes at the bottom, one may have an action such as undo.
export const toasts = signal([]);
let toastId = 0;
const timers = new Map();

export function toast(text, action = null, run = null) {
  const id = ++toastId;
  toasts.value = [...toasts.value.slice(-2), { id, text, action, run }];
  release(id);
}

/** Whoever points at a note or has the focus in it may take any time; then its time begins anew. */
export const hold = (id) => clearTimeout(timers.get(id));

export function release(id) {
  hold(id);
  const one = toasts.value.find((other) => other.id === id);
  if (one) timers.set(id, setTimeout(() => dismiss(id), one.action ? 30000 : 6000));
}

export function dismiss(id) {
  hold(id);
  timers.delete(id);
  toasts.value = toasts.value.filter((one) => one.id !== id);
}

/** Run an action; what the server refuses is said in a toast and never thrown further. */
export async function attempt(run) {
  try {
    return await run();
  } catch (fault) {
    toast(fault.message ?? String(fault));
    return null;
  }
}

/** What a screen reader is told: only turning points, not each step. */
export const announcement = signal("");

export const theme = signal(document.documentElement.dataset.theme ?? "system");
effect(() => {
  const root = document.documentElement;
  if (theme.value === "system") delete root.dataset.theme;
  else root.dataset.theme = theme.value;
  remember("impasto-theme", theme.value);
});

/** Whether dark colours show now, by the switch or by the system: for canvases, which style sheets don't reach. */
export const systemDark = matchMedia("(prefers-color-scheme: dark)");

export function remember(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // A private window: the choice lasts as long as the page.
  }
}

export function remembered(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

export async function loadAll() {
  const [settings, named, bundled, styles, masks] = await Promise.all([
    get("/settings/schema"),
    get("/presets"),
    get("/swatches"),
    get("/images?role=style"),
    get("/images?role=mask"),
  ]);
  schema.value = settings;
  presets.value = named;
  swatches.value = bundled;
  shelf.value = styles;
  maskShelf.value = masks;
}

export async function loadHealth() {
  const [state, used] = await Promise.all([get("/health"), get("/disk")]);
  health.value = state;
  disk.value = used;
}
