// Groups as the server counts them: of a large one the page may hold some jobs alone.
import { get, patch, post } from "./api.js";
import { signal } from "./html.js";
import { attempt } from "./state.js";

const groups = new Map();

function signalOf(id) {
  if (!groups.has(id)) groups.set(id, signal(null));
  return groups.get(id);
}

/** Take a group from an answer or an event; an older state than the one here is dropped. */
export function keepGroup(group) {
  const kept = signalOf(group.id);
  if (group.seq >= (kept.value?.seq ?? 0)) kept.value = group;
  return group;
}

/** A group by its id, null until it has come. */
export function groupOf(id) {
  const asked = groups.has(id);
  const kept = signalOf(id);
  if (!asked) ask(id).catch(() => groups.delete(id));
  return kept.value;
}

const ask = (id) => get(`/groups/${id}`).then(keepGroup);

/** After a gap in the events, or a start of the studio, which may number anew. */
export const refreshGroups = () =>
  Promise.all([...groups].map(([id, kept]) => get(`/groups/${id}`).then((group) => (kept.value = group), () => {})));

const act = (verb) => (id) => attempt(async () => keepGroup(await post(`/groups/${id}/${verb}`)));
export const pauseGroup = act("pause");
export const resumeGroup = act("resume");
export const retryGroup = act("retry");
export const cancelGroup = act("cancel");

/** Put all that waits of a group before a job that waits, or last (null). */
export const moveGroup = (id, before) => attempt(async () => keepGroup(await patch(`/groups/${id}`, { before })));

export const isBusy = ({ running, paused, waiting }) => running + paused + waiting > 0;
