// The pictures of one sweep or batch: a line that opens, and a labelled grid, two varied knobs as rows and columns.
import { folderUrl, previewUrl, thumbnailUrl } from "./api.js";
import { Button, Icon, html, signal, useEffect } from "./html.js";
import { cancelGroup, groupOf, isBusy, pauseGroup, resumeGroup, retryGroup } from "./groups.js";
import { again, groupIds, isActive, jobOf, loadGroup, resume } from "./jobs.js";
import { Picking, choose, isSecond, pick, pickForCompare } from "./compare.js";
import { show, view } from "./state.js";
import { T } from "./texts.js";

export const pictureOf = (job) => {
  if (job.preview > 0 && isActive(job)) return previewUrl(job);
  return job.has_picture ? thumbnailUrl(job) : job.content.thumbnail;
};

/** What sets a job of a sweep apart, or its title. */
export const labelOf = (job) => {
  const pairs = Object.entries(job.labels ?? {});
  return pairs.length ? pairs.map(([name, value]) => `${name} ${value}`).join(", ") : job.title;
};

/** How a job ends that has come to no picture. */
const LOST = ["failed", "cancelled"];

function Cell({ id, label }) {
  const job = jobOf(id);
  const share = job.progress?.steps ? (100 * job.progress.step) / job.progress.steps : 0;
  const lost = LOST.includes(job.state);
  return html`
    <figure class=${`cell ${job.state}`}>
      <button type="button" onClick=${() => choose(job)} data-test="group-item"
        aria-label=${isSecond(job) ? T.compare.second(label) : T.group.cell(label, T.state[job.state])}>
        <img src=${pictureOf(job)} alt="" loading="lazy" />
        ${lost && html`<span class="badge small">${T.state[job.state]}</span>`}
        ${isActive(job) && html`<span class="progress"><span style=${`inline-size:${share}%`}></span></span>`}
      </button>
      <figcaption><span class="name" title=${label}>${label}</span>
        ${
          job.has_picture &&
          html`<${Button} icon="side" bare kind="tiny quiet" label=${T.compare.pick(label)}
            pressed=${String(pick.value === id)}
          onClick=${() => pickForCompare(id)} />`
        }
        ${
          lost &&
          html`<${Button} icon="again" bare kind="tiny quiet" label=${T.job.againNamed(label)} test="group-again"
          onClick=${() => (job.state === "failed" ? resume(id) : again(id))} />`
        }
      </figcaption>
    </figure>`;
}

function Table({ jobs, names: [down, across] }) {
  const values = (name) => [...new Set(jobs.map((job) => job.labels[name]))];
  return html`
    <div class="table-scroll"><table class="sheet">
      <thead><tr><th scope="col"><span class="muted">${T.group.axes(down, across)}</span></th>
        ${values(across).map((one) => html`<th scope="col">${one}</th>`)}</tr></thead>
      <tbody>${values(down).map(
        (row) => html`<tr><th scope="row">${row}</th>
        ${values(across).map((column) => {
          const job = jobs.find((one) => one.labels[down] === row && one.labels[across] === column);
          return html`<td>${job && html`<${Cell} id=${job.id} label=${`${down} ${row}, ${across} ${column}`} />`}</td>`;
        })}</tr>`,
      )}</tbody>
    </table></div>`;
}

const Bar = ({ told, kind }) => html`
  <span class=${`progress ${kind} ${told.running ? "" : "paused"}`} role="progressbar" aria-label=${T.group.progress}
    aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.round(100 * told.share)}
    data-test="group-progress"><span style=${`inline-size:${100 * told.share}%`}></span></span>`;

/** What became of a group so far, and how long the rest may take. */
const stateOf = (told) =>
  [T.group.done(told.done, told.pictures, told), isBusy(told) && T.watch.left(told.seconds_left)]
    .filter(Boolean)
    .join(", ");

/** Which groups are open, by list and group. */
const opened = signal(new Set());

function toggle(key, group) {
  const now = new Set(opened.value);
  if (!now.delete(key)) {
    now.add(key);
    loadGroup(group);
  }
  opened.value = now;
}

/**
 * A group as one line of the queue or the history, which opens to its pictures: `children`, drawn when it's open.
 *
 * `buttons` stand at its end, `test` is a name for its list, `rest` goes to the line itself.
 */
export function GroupLine({ group, ids, busy, test, buttons, kind = "", children, ...rest }) {
  const told = groupOf(group);
  if (!told) return null;
  const title = T.group.title(told);
  const key = `${test} ${group}`;
  const open = opened.value.has(key);
  const shown = ids.map(jobOf).find((job) => job.has_picture || job.preview > 0) ?? jobOf(ids[0]);
  return html`
    <li class=${`line group-line ${kind} ${view.value.ids[0] === group ? "current" : ""}`} data-test=${test} data-id=${group}
      ...${rest}>
      <div class="line-head">
        <button type="button" class="disclosure" aria-expanded=${String(open)} aria-label=${T.group.pictures(title)}
          data-test=${`${test}-open`} onClick=${() => toggle(key, group)}><${Icon} name="chevron" /></button>
        <button type="button" class="line-main" data-test=${`${test}-main`} onClick=${() => show("group", group)}>
          <img src=${pictureOf(shown)} alt="" loading="lazy" />
          <span class="line-text" title=${title}>${title}</span>
        </button>
        <span class="line-buttons">${buttons(told, title)}</span>
      </div>
      <div class="line-state small">
        <span class="muted" data-test=${`${test}-state`}>${T.group.line(T.group.size(told), stateOf(told))}</span>
        ${busy && html`<${Bar} told=${told} kind="thin" />`}</div>
      ${open && children()}
    </li>`;
}

/** Pause, or go on with, all of a group: with its name where the button stands beside others. */
export function PauseGroup({ told, title }) {
  const goesOn = told.running + told.waiting > 0;
  const label = goesOn ? (title ? T.group.pauseNamed(title) : T.group.pause) : null;
  const how = title ? { bare: true, kind: "tiny quiet" } : {};
  if (goesOn)
    return html`<${Button} icon="pause" label=${label} test="group-pause" ...${how}
      onClick=${() => pauseGroup(told.id)} />`;
  return html`<${Button} icon="play" label=${title ? T.group.resumeNamed(title) : T.group.resume} test="group-resume"
    ...${how} onClick=${() => resumeGroup(told.id)} />`;
}

function Actions({ told }) {
  const left = told.running + told.paused + told.waiting;
  return html`
    <div class="row wrap group-actions">
      ${left > 0 && html`<${PauseGroup} told=${told} />`}
      ${
        told.failed > 0 &&
        html`<${Button} icon="again" label=${T.group.retry(told.failed)} test="group-retry"
          onClick=${() => retryGroup(told.id)} />`
      }
      ${
        told.done > 0 &&
        html`<a class="button" href=${folderUrl(told.id)} download data-test="group-folder"><${Icon} name="download" />
          <span>${T.group.folder}</span></a>`
      }
      ${
        left > 0 &&
        html`<${Button} icon="close" label=${T.group.cancel(left)} test="group-cancel"
          onClick=${() => cancelGroup(told.id)} />`
      }
    </div>`;
}

export function Group({ group }) {
  useEffect(() => {
    loadGroup(group);
  }, [group]);
  const told = groupOf(group);
  const jobs = groupIds(group).map(jobOf);
  if (!told || !jobs.length) return html`<p class="empty muted">${T.loading}</p>`;
  const several = told.photos * told.styles > 1;
  const nameOf = (job) => (several && told.knobs.length ? `${job.title}, ${labelOf(job)}` : labelOf(job));
  return html`
    <div class="stage-head"><h2>${T.group.title(told)}</h2>
      <p class="muted small">${T.group.size(told)}</p>
      <p class="muted small" role="status">${stateOf(told)}</p></div>
    <div class="group-head">${isBusy(told) && html`<${Bar} told=${told} kind="" />`}<${Actions} told=${told} /></div>
    <${Picking} />
    ${
      told.knobs.length === 2 && !several
        ? html`<${Table} jobs=${jobs} names=${told.knobs} />`
        : html`<div class="cells">${jobs.map(
            (job) => html`<${Cell} key=${job.id} id=${job.id} label=${nameOf(job)} />`,
          )}</div>`
    }`;
}
