// What runs and waits, in order, a group as one line: drag a line or press its arrows.
import { Button, Dialog, Icon, html, signal } from "./html.js";
import { cancelGroup, moveGroup } from "./groups.js";
import { activeIds, cancel, cancelAll, edit, jobOf, linesOf } from "./jobs.js";
import { GroupLine, PauseGroup, labelOf, pictureOf } from "./group.js";
import { show, view } from "./state.js";
import { T } from "./texts.js";

const dragged = signal(null);
const over = signal(null);
const asking = signal(false);

const queued = () => activeIds.value.filter((id) => jobOf(id).state === "queued");

/** Put a line in front of a job; null is the end of the queue. */
function move(line, before) {
  if (line.ids.includes(before)) return;
  if (line.group) moveGroup(line.group, before);
  else edit(line.ids[0], { before });
}

/** Put a line a place earlier or later among others, which may be all of the queue or a part of it. */
function step(lines, at, by) {
  const order = queued();
  const behind = order[order.indexOf(lines.at(-1).ids.at(-1)) + 1] ?? null;
  const next = by < 0 ? lines[at - 1] : lines[at + 2];
  move(lines[at], next ? next.ids[0] : behind);
}

function drop(event, before) {
  event.preventDefault();
  if (dragged.value) move(dragged.value, before);
  dragged.value = over.value = null;
}

/** What makes a line that waits one that is dragged, and dropped upon. */
function dragging(line) {
  if (!line) return { draggable: false };
  return {
    draggable: true,
    onDragStart: (event) => {
      dragged.value = line;
      event.dataTransfer.effectAllowed = "move";
      event.dataTransfer.setData("text/x-impasto-job", line.key);
    },
    onDragEnd: () => (dragged.value = over.value = null),
    onDragOver: (event) => {
      if (!dragged.value) return;
      event.preventDefault();
      over.value = line.key;
    },
    onDrop: (event) => drop(event, line.ids[0]),
  };
}

function Moves({ lines, at, title }) {
  if (lines.length < 2) return null;
  return html`
    <span class="moves">
      <${Button} icon="up" bare kind="tiny quiet" label=${T.queue.up(title)} test="queue-up" disabled=${at === 0}
        onClick=${() => step(lines, at, -1)} />
      <${Button} icon="down" bare kind="tiny quiet" label=${T.queue.down(title)} test="queue-down"
        disabled=${at === lines.length - 1} onClick=${() => step(lines, at, 1)} /></span>`;
}

/** A job, with the `lines` among which it waits. */
function Line({ id, lines, within }) {
  const job = jobOf(id);
  const waits = job.state === "queued";
  const at = lines.findIndex((line) => line.key === id);
  const share = job.progress?.steps ? (100 * job.progress.step) / job.progress.steps : 0;
  // Below its group, whose title says the rest, what sets it apart comes first.
  const labels = Object.keys(job.labels ?? {}).length ? labelOf(job) : null;
  const title = (within ? [labels, job.title] : [job.title, labels]).filter(Boolean).join(" · ");
  return html`
    <li class=${`line ${job.state} ${over.value === id && dragged.value ? "over" : ""} ${view.value.ids[0] === id ? "current" : ""}`}
      data-test="queue-item" data-id=${id} ...${dragging(within ? null : lines[at])}>
      <button type="button" class="line-main" onClick=${() => show("job", id)}>
        <img src=${pictureOf(job)} alt="" />
        <span class="line-text"><span class="name">${title}</span>
          ${
            waits
              ? html`<span class="muted small">${T.queue.waits(job.quick)}</span>`
              : html`<span class="muted small">${job.state === "paused" ? T.state.paused : T.watch.short(job.progress)}</span>`
          }
          ${!waits && html`<span class="progress thin"><span style=${`inline-size:${share}%`}></span></span>`}
        </span>
      </button>
      <span class="line-buttons">
        ${waits && at >= 0 && html`<${Moves} lines=${lines} at=${at} title=${title} />`}
        <${Button} icon="close" bare kind="tiny quiet" label=${T.queue.cancel(title)} test="queue-cancel"
          onClick=${() => cancel(id)} />
      </span>
    </li>`;
}

const alone = (ids) => ids.map((id) => ({ key: id, group: null, ids: [id] }));

/** A group, whose pictures wait among themselves. */
function GroupInQueue({ line, lines }) {
  const at = lines.findIndex((one) => one.key === line.key);
  const waiting = alone(lines[at]?.ids ?? []);
  const buttons = (told, title) => html`
    ${at >= 0 && html`<${Moves} lines=${lines} at=${at} title=${title} />`}
    <${PauseGroup} told=${told} title=${title} />
    <${Button} icon="close" bare kind="tiny quiet" label=${T.group.cancelNamed(title)} test="queue-group-cancel"
      onClick=${() => cancelGroup(line.group)} />`;
  return html`
    <${GroupLine} group=${line.group} ids=${line.ids} busy test="queue-group" buttons=${buttons}
      kind=${over.value === line.key && dragged.value ? "over" : ""} ...${dragging(lines[at])}>${() => html`
      <ol class="inner">${line.ids.map((id) => html`<${Line} key=${id} id=${id} lines=${waiting} within />`)}</ol>`}<//>`;
}

export function Queue() {
  const ids = activeIds.value;
  const lines = linesOf(queued());
  return html`
    <section class="panel queue" aria-labelledby="queue-title">
      <div class="row between"><h2 id="queue-title">${T.queue.title} ${ids.length > 0 && html`<span class="count">${ids.length}</span>`}</h2>
        ${
          ids.length > 1 &&
          html`<${Button} label=${T.queue.cancelAll} kind="quiet small" test="cancel-all"
          onClick=${() => (asking.value = true)} />`
        }</div>
      ${ids.length === 0 && html`<p class="muted small">${T.queue.empty}</p>`}
      <ol class="lines">${linesOf(ids).map((line) =>
        line.group
          ? html`<${GroupInQueue} key=${line.key} line=${line} lines=${lines} />`
          : html`<${Line} key=${line.key} id=${line.key} lines=${lines} />`,
      )}</ol>
      ${
        dragged.value &&
        html`<div class=${`drop-end ${over.value === "end" ? "over" : ""}`} onDragOver=${(event) => {
          event.preventDefault();
          over.value = "end";
        }} onDrop=${(event) => drop(event, null)}><${Icon} name="down" />${T.queue.last}</div>`
      }
      ${
        asking.value &&
        html`<${Dialog} title=${T.queue.cancelAll} onClose=${() => (asking.value = false)} test="cancel-all-dialog">
        <p>${T.queue.sure(ids.length)}</p>
        <div class="row end"><${Button} label=${T.queue.keep} onClick=${() => (asking.value = false)} />
          <${Button} label=${T.queue.cancelAll} kind="danger" test="cancel-all-yes" onClick=${() => {
            asking.value = false;
            cancelAll();
          }} /></div><//>`
      }
    </section>`;
}
