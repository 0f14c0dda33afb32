// Every run that ended: pictures, search, pins, and what they take of the disk.
import { thumbnailUrl } from "./api.js";
import { Button, Icon, debounced, effect, html, signal } from "./html.js";
import { Picking, choose, isSecond, pick, pickForCompare } from "./compare.js";
import { FilmBadge } from "./film.js";
import { GroupLine, labelOf } from "./group.js";
import { bin, binAll, edit, endedIds, jobOf, linesOf, loadGroup, loadMore, more, search } from "./jobs.js";
import { attempt, disk, view } from "./state.js";
import { T } from "./texts.js";

const query = signal("");
const found = signal(null);
const filter = signal("all");

const FILTERS = {
  all: (job) => !job.quick,
  pinned: (job) => job.pinned,
  quick: (job) => job.quick,
};

let searches = 0;
const ask = debounced(async () => {
  const mine = ++searches;
  const text = query.value.trim();
  const ids = text ? await attempt(() => search(text)) : null;
  if (mine === searches) found.value = ids;
}, 200);
// What comes, goes and is brought back meanwhile is found too.
effect(() => {
  query.value;
  endedIds.value;
  ask();
});

function Item({ id }) {
  const job = jobOf(id);
  if (!job) return null;
  const title = Object.keys(job.labels ?? {}).length ? labelOf(job) : job.title;
  const when = T.when(job.ended ?? job.created);
  const facts = T.history.facts(Math.max(job.width ?? 0, job.height ?? 0), job.scheduled?.strength, job.film && job.progress?.steps);
  const current = view.value.ids.includes(id);
  return html`
    <li class=${`item ${current ? "current" : ""} ${job.has_picture ? "" : "bare-item"}`}>
      <button type="button" class="item-main"
        data-test="history-item" data-id=${id} aria-current=${current ? "true" : undefined}
        aria-label=${isSecond(job) ? T.compare.second(job.title) : T.history.open(job.title, when, T.state[job.state])}
          onClick=${() => choose(job)}>
        ${
          job.has_picture
            ? html`<img src=${thumbnailUrl(job)} alt="" loading="lazy" />`
            : html`<span class="no-picture">${T.state[job.state]}</span>`
        }
        ${job.film && html`<${FilmBadge} />`}${job.pinned && html`<span class="pinned"><${Icon} name="pin" /></span>`}
      </button>
      <span class="item-text small" title=${[...new Set([job.title, title, facts, when])].filter(Boolean).join(" · ")}>
        <span class="name">${title}</span>${facts && html`<span class="muted">${facts}</span>`}</span>
      <span class="item-buttons">
        ${
          job.has_picture &&
          html`<${Button} icon="side" bare kind="tiny" label=${T.compare.pick(job.title)} test="compare-pick"
          pressed=${String(pick.value === id)} onClick=${() => pickForCompare(id)} />`
        }
        <${Button} icon="pin" bare kind="tiny"
          label=${job.pinned ? T.history.unpin(job.title) : T.history.pin(job.title)} test="history-pin"
          pressed=${String(job.pinned)} onClick=${() => edit(id, { pinned: !job.pinned })} />
        <${Button} icon="trash" bare kind="tiny" label=${T.history.delete(job.title)} test="history-delete"
          onClick=${() => bin(id)} />
      </span>
    </li>`;
}

/** A group, one line across, over its pictures where it is open. */
function GroupInHistory({ line }) {
  const remove = async (title) => {
    await loadGroup(line.group);
    binAll(endedIds.value.filter((id) => jobOf(id).group === line.group), title);
  };
  const buttons = (told, title) => html`
    <${Button} icon="trash" bare kind="tiny quiet" label=${T.group.delete(title)} test="history-group-delete"
      onClick=${() => remove(title)} />`;
  return html`
    <${GroupLine} group=${line.group} ids=${line.ids} test="history-group" buttons=${buttons}>${() => html`
      <ul class="items">${line.ids.map((id) => html`<${Item} key=${id} id=${id} />`)}</ul>`}<//>`;
}

export function History() {
  const ended = endedIds.value;
  const wanted = found.value ? found.value.filter((id) => ended.includes(id)) : ended;
  const ids = wanted.filter((id) => jobOf(id) && (found.value || FILTERS[filter.value](jobOf(id))));
  // What was looked for shows as what was found, one by one.
  const single = found.value || filter.value !== "all";
  const lines = single ? ids.map((id) => ({ key: id, group: null, ids: [id] })) : linesOf(ids);
  return html`
    <section class="panel history" aria-labelledby="history-title">
      <div class="row between"><h2 id="history-title">${T.history.title}</h2>
        ${disk.value && html`<span class="muted small" data-test="disk">${T.history.disk(disk.value)}</span>`}</div>
      <div class="row">
        <div class="search grow"><${Icon} name="search" />
          <input type="search" value=${query.value} placeholder=${T.history.search} aria-label=${T.history.search}
            data-test="search"
            onInput=${(event) => (query.value = event.target.value)} /></div>
        <select class="compact" aria-label=${T.history.filter} value=${filter.value} data-test="history-filter"
          onChange=${(event) => (filter.value = event.target.value)}>
          ${Object.keys(FILTERS).map((name) => html`<option value=${name}>${T.history.filters[name]}</option>`)}
        </select>
      </div>
      <${Picking} />
      ${ids.length === 0 && html`<p class="muted small">${query.value ? T.history.none : T.history.empty}</p>`}
      <ul class="items">${lines.map((line) =>
        line.group
          ? html`<${GroupInHistory} key=${line.key} line=${line} />`
          : html`<${Item} key=${line.key} id=${line.key} />`,
      )}</ul>
      ${
        more.value &&
        !found.value &&
        html`<${Button} label=${T.history.more} kind="quiet" test="history-more"
        onClick=${() => attempt(loadMore)} />`
      }
    </section>`;
}
