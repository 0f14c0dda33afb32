// Jobs as the server has them: one signal each, so that a step of one job redraws that job alone.
import { get, patch, post, remove } from "./api.js";
import { batch, computed, signal } from "./html.js";
import { announcement, attempt, loadHealth, show, toast, view } from "./state.js";
import { T } from "./texts.js";

const jobs = new Map();
const known = signal([]);
export const more = signal(null);

export const ACTIVE = ["running", "paused", "queued"];
export const isActive = (job) => ACTIVE.includes(job.state);
export const jobOf = (id) => jobs.get(id)?.value ?? null;

const ACTIVE_ORDER = (a, b) => (a.state === "queued") - (b.state === "queued") || a.position - b.position;
const NEWEST = (a, b) => (a.created < b.created ? 1 : -1);
const all = () => known.value.map((id) => jobs.get(id).value).filter((job) => !job.deleted);

// Joined ids compare equal while the list is the same: lists redraw when a job moves, not at each of its steps.
const idsOf = (pick, order) => {
  const joined = computed(() =>
    all()
      .filter(pick)
      .sort(order)
      .map((job) => job.id)
      .join(" "),
  );
  return computed(() => joined.value.split(" ").filter(Boolean));
};
export const activeIds = idsOf(isActive, ACTIVE_ORDER);
export const endedIds = idsOf((job) => !isActive(job) && job.state !== "cancelled", NEWEST);
/** Quick looks, newest first: the shelf shows them on its tiles. */
export const quickJobs = idsOf((job) => job.quick && !["cancelled", "failed"].includes(job.state), NEWEST);
export const runningId = computed(() => activeIds.value.find((id) => jobOf(id).state !== "queued") ?? null);
export const groupIds = (group) =>
  all()
    .filter((job) => job.group === group)
    .sort((a, b) => a.place - b.place)
    .map((job) => job.id);

/** Take a job from an answer or an event; an older state than the one here is dropped. */
export function keep(job) {
  const kept = jobs.get(job.id);
  if (!kept) {
    jobs.set(job.id, signal(job));
    known.value = [...known.value, job.id];
  } else if (job.seq >= kept.value.seq) {
    const before = kept.value.state;
    kept.value = job;
    if (before !== job.state) changed(job);
    // The list has one job for each group: another one stands for it now.
    if (job.deleted && job.group && !groupIds(job.group).length) loadGroup(job.group);
  }
  return job;
}

/** All jobs of a group, of which the history holds some. */
export const loadGroup = (group) =>
  get(`/jobs?limit=1000&group=${encodeURIComponent(group)}`)
    .then((page) => batch(() => page.jobs.forEach(keep)))
    .catch(() => {});

/** Ids as lines show them: [{group, ids}], a group where its first one stands, null for a job of its own. */
export function linesOf(ids) {
  const lines = new Map();
  for (const id of ids) {
    const { group } = jobOf(id);
    const key = group ?? id;
    if (!lines.has(key)) lines.set(key, { key, group, ids: [] });
    lines.get(key).ids.push(id);
  }
  return [...lines.values()];
}

function changed(job) {
  announcement.value = T.announce(job.title, job.state);
  if (!isActive(job)) loadHealth().catch(() => {});
}

export async function loadJobs() {
  const [page, ...active] = await Promise.all([
    get("/jobs?limit=60&history=true"),
    ...ACTIVE.map((state) => get(`/jobs?state=${state}&limit=1000`)),
  ]);
  batch(() => {
    for (const job of [...page.jobs, ...active.flatMap((one) => one.jobs)]) keep(job);
    more.value ??= page.next;
  });
}

/** After a gap in the events: what ended or moved meanwhile is asked for one by one. */
export async function refreshJobs() {
  const stale = activeIds.value;
  await loadJobs();
  await Promise.all(
    stale.map((id) =>
      get(`/jobs/${id}`)
        .then(keep)
        .catch(() => forget(id)),
    ),
  );
}

function forget(id) {
  known.value = known.value.filter((one) => one !== id);
  jobs.delete(id);
}

export async function loadMore() {
  const page = await get(`/jobs?limit=60&history=true&before=${encodeURIComponent(more.value)}`);
  batch(() => page.jobs.forEach(keep));
  more.value = page.next;
}

/** Ids of the runs that a text is found in, newest first; they are kept as well. */
export async function search(text) {
  const page = await get(`/jobs?search=${encodeURIComponent(text)}&limit=100`);
  batch(() => page.jobs.forEach(keep));
  return page.jobs.map((job) => job.id);
}

/** A job that the address names but the first page of the history doesn't hold. */
export function need(id) {
  if (jobs.has(id)) return;
  get(`/jobs/${id}`)
    .then(keep)
    .catch(() => {
      if (view.value.ids.includes(id)) show("photo");
    });
}

const act = (id, verb, body) => attempt(async () => keep(await post(`/jobs/${id}/${verb}`, body)));
export const pause = (id) => act(id, "pause");
export const resume = (id) => act(id, "resume");
export const stop = (id) => act(id, "stop");
export const cancel = (id) => act(id, "cancel");
export const change = async (id, what) => keep(await patch(`/jobs/${id}`, what));
export const edit = (id, what) => attempt(() => change(id, what));

export async function again(id) {
  const job = await act(id, "again");
  if (job) show("job", job.id);
}

export async function enlarge(id, size) {
  const job = await act(id, "enlarge", { size });
  if (job) show("job", job.id);
}

export async function cancelAll() {
  const answer = await attempt(() => post("/queue/cancel"));
  if (answer) toast(T.queue.cancelled(answer.cancelled));
}

export async function bin(id) {
  const job = jobOf(id);
  const gone = await attempt(async () => {
    await remove(`/jobs/${id}`);
    return true;
  });
  if (!gone) return;
  forget(id);
  if (view.value.ids.includes(id)) show("photo");
  loadHealth().catch(() => {});
  toast(T.history.deleted(job.title), T.undo, () => act(id, "restore").then((back) => back && show("job", id)));
}

/** The same for pictures of a group together. */
export async function binAll(ids, title) {
  const gone = await attempt(async () => {
    for (const id of ids) await remove(`/jobs/${id}`);
    return true;
  });
  if (!gone) return;
  batch(() => ids.forEach(forget));
  if (view.value.kind !== "photo") show("photo");
  loadHealth().catch(() => {});
  toast(T.history.deleted(title), T.undo, () => ids.forEach((id) => act(id, "restore")));
}

/** Put new jobs in front of the user: one is shown, several as their group. */
export function started({ jobs: created, group }) {
  batch(() => created.forEach(keep));
  if (created.length > 1 && group) show("group", group);
  else if (created.length) show("job", created[0].id);
}
