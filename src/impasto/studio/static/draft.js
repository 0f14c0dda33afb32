// What the user is setting up: photos, styles, knobs, masks; checked and planned by the server as it changes.
import { get, post } from "./api.js";
import { computed, debounced, effect, signal } from "./html.js";
import { fitting } from "./fit.js";
import { keep, started } from "./jobs.js";
import { fetchImage, knobs, remember, remembered, schema } from "./state.js";

const EMPTY = {
  contents: [], // IMAGE each, or {pending, name, thumbnail} while it travels
  folder: null, // the name of the one that the photos came in, if one was dropped or chosen
  apart: false, // whether each style has pictures of its own, rather than a share of each
  styles: [], // {key, image, swatch, name, thumbnail}
  shares: {}, // by the style's key
  preset: null,
  settings: {}, // only what was set
  film: {}, // options of the films among the contents, only what was set
  masks: {}, // IMAGE by the style's key
  styleMasks: {},
  strengthMap: null,
  init: null,
  fitted: null, // {side, usual, seconds}: of a first picture, the usual side and what it would take: see fit.js
};
const KEY = "impasto-draft";

export const draft = signal(EMPTY);
export const resolved = signal({});
export const checkErrors = signal([]);
export const planErrors = signal([]);
export const submitErrors = signal([]);
export const plan = signal(null);
export const planning = signal(false);
export const submitting = signal(false);

/** Shares have their own sliders beside the styles. */
export const ELSEWHERE = new Set(["style_weights"]);

export const ready = computed(() => draft.value.contents.filter((one) => one.id));
export const uploading = computed(() => draft.value.contents.length > ready.value.length);
export const errors = computed(() => {
  const seen = new Set();
  return [...checkErrors.value, ...planErrors.value, ...submitErrors.value].filter(
    (one) => !seen.has(one.message) && seen.add(one.message),
  );
});

/** How many pictures the draft makes of each photo, before anything varies. */
export const parts = computed(() => (draft.value.apart ? Math.max(1, draft.value.styles.length) : 1));

/** How many masks and maps the draft has. */
export const maskCount = computed(() => {
  const { styles, masks, styleMasks, strengthMap } = draft.value;
  return [...styles.flatMap(({ key }) => [masks[key], styleMasks[key]]), strengthMap].filter(Boolean).length;
});

export function change(what) {
  submitErrors.value = [];
  draft.value = { ...draft.value, ...what };
}

export const styleOf = {
  swatch: (one) => ({
    key: `swatch:${one.name}`,
    image: null,
    swatch: one.name,
    name: one.name,
    thumbnail: one.thumbnail,
  }),
  image: (one) => ({ key: `image:${one.id}`, image: one.id, swatch: null, name: one.name, thumbnail: one.thumbnail }),
};

/** The knobs of the draft, in the form that controls take: see controls.js. */
export const knobStore = {
  value: (name) => draft.value.settings[name] ?? resolved.value[name] ?? knobs.value.get(name)?.default,
  isSet: (name) => name in draft.value.settings,
  set: (name, value) => change({ settings: { ...draft.value.settings, [name]: value } }),
  reset: (name) => {
    const { [name]: _, ...settings } = draft.value.settings;
    change({ settings });
  },
  errors: (name) => errors.value.filter((one) => one.knob === name),
};

/** The body of a job, and of a plan for it. */
export function body(what = draft.value) {
  const { styles, shares, apart, folder } = what;
  const settings = { ...what.settings };
  const weights = styles.map((one) => shares[one.key] ?? 1);
  if (!apart && styles.length > 1 && new Set(weights).size > 1) settings.style_weights = weights;
  // One entry a style, null for what the others leave; no list at all where nothing is painted.
  const perStyle = (masks) =>
    styles.some((one) => masks[one.key]) ? styles.map((one) => masks[one.key]?.id ?? null) : [];
  return {
    contents: what.contents.filter((one) => one.id).map((one) => one.id),
    styles: styles.map((one) => (one.image ? { image: one.image } : { swatch: one.swatch })),
    preset: what.preset,
    settings,
    masks: perStyle(what.masks),
    style_masks: perStyle(what.styleMasks),
    strength_map: what.strengthMap?.id ?? null,
    init: what.init?.id ?? null,
    vary: {},
    quick: false,
    each_style: apart,
    title: what.contents.length > 1 ? folder : null,
    film: what.contents.some((one) => one.film) ? what.film : null,
  };
}

let checks = 0;
const check = debounced(async () => {
  const mine = ++checks;
  const { preset, settings, styles } = body();
  const answer = await post("/settings/check", { preset, settings, styles: Math.max(1, styles.length) }).catch(
    () => null,
  );
  if (!answer || mine !== checks) return;
  checkErrors.value = answer.errors;
  if (answer.settings) resolved.value = answer.settings;
}, 200);

let asking = null;
const ask = debounced(async () => {
  asking?.abort();
  const mine = (asking = new AbortController());
  const wanted = body();
  // What the last plan said was of other settings, and a plan may take seconds.
  planErrors.value = [];
  if (!wanted.contents.length || !wanted.styles.length) {
    plan.value = null;
    planning.value = false;
    return;
  }
  planning.value = true;
  const planOf = (settings) =>
    post("/plan", { ...wanted, settings, contents: wanted.contents.slice(0, 1) }, { signal: mine.signal });
  try {
    plan.value = await planOf(wanted.settings);
    // A first picture is smaller where the usual size takes long on this machine; once, and never where one was set.
    const fitted = unfitted() && (await fitting(plan.value, (size) => planOf({ ...wanted.settings, size })));
    if (fitted && unfitted()) change({ fitted, settings: { ...draft.value.settings, size: fitted.side } });
  } catch (fault) {
    if (mine.signal.aborted) return;
    plan.value = null;
    planErrors.value = fault.status === 422 ? fault.errors : [];
  }
  if (asking === mine) planning.value = false;
}, 350);

// Of a film the size isn't what takes long.
const unfitted = () => !draft.value.contents[0]?.film && !draft.value.fitted && !draft.value.preset && !knobStore.isSet("size");

/** Whoever presses Paint before the first plan has come waits for it, as it may say that the size takes long. */
async function fittedOrLate() {
  const until = Date.now() + 15000;
  while (unfitted() && planning.value && Date.now() < until) await new Promise((done) => setTimeout(done, 100));
}

/** The usual size after all. */
export const unfit = () => knobStore.reset("size");

/** Check, plan and remember at each change; called once, when the schema has come. */
export function follow() {
  effect(() => {
    const now = draft.value;
    if (!schema.value) return;
    remember(KEY, JSON.stringify({ ...now, contents: now.contents.filter((one) => one.id) }));
    check();
    ask();
  });
}

/** The draft of before a reload, without the images that the server no longer has. */
export async function recall() {
  let kept;
  try {
    const text = remembered(KEY);
    if (!text) return;
    kept = { ...EMPTY, ...JSON.parse(text) };
  } catch {
    return;
  }
  const there = async (image) => (image?.id ? fetchImage(image.id).catch(() => null) : null);
  const contents = (await Promise.all(kept.contents.map(there))).filter(Boolean);
  const styles = await Promise.all(
    kept.styles.map(async (one) => (one.image && !(await there({ id: one.image })) ? null : one)),
  );
  const known = Object.fromEntries(Object.entries(kept.settings).filter(([name]) => knobs.value.has(name)));
  // Who was faster than the server's answers keeps what was just set.
  if (draft.value === EMPTY) draft.value = { ...kept, contents, styles: styles.filter(Boolean), settings: known };
}

/** What comes before a job is made of the draft, and whether that may go on; see masks.js. */
let prepare = async () => true;
export const beforeSubmit = (run) => (prepare = run);

export async function submit(extra = {}) {
  submitting.value = true;
  submitErrors.value = [];
  try {
    if (!(await prepare())) return false;
    await fittedOrLate();
    started(await post("/jobs", { ...body(), ...extra }));
    return true;
  } catch (fault) {
    submitErrors.value = fault.errors ?? [{ message: fault.message, knob: null }];
    return false;
  } finally {
    submitting.value = false;
  }
}

/** A small, quick job in one style; the shelf shows it on the style's tile. */
export async function quickLook(style) {
  const { contents, preset, settings } = body();
  const { style_weights: _, ...own } = settings;
  const answer = await post("/jobs", {
    contents: contents.slice(0, 1),
    styles: [style.image ? { image: style.image } : { swatch: style.swatch }],
    preset,
    settings: own,
    masks: [],
    style_masks: [],
    strength_map: null,
    init: null,
    vary: {},
    quick: true,
  });
  return keep(answer.jobs[0]);
}
