// The middle: the picture that is being painted or was chosen, a group of pictures, or the photo to start from.
import { downloadUrl } from "./api.js";
import { Button, Dialog, Icon, Menu, html, said, signal, useSignal } from "./html.js";
import { BeforeAfter, Compare, comparing, pick, pickForCompare, screenUrl } from "./compare.js";
import { Curve } from "./curve.js";
import { draft } from "./draft.js";
import { again, bin, edit, enlarge, jobOf, need } from "./jobs.js";
import { Group, labelOf } from "./group.js";
import { MaskEditor } from "./masks.js";
import { Frame } from "./picture.js";
import { FilmFinished, FilmWatch } from "./scrubber.js";
import { imageOf, masking, show, tab, view } from "./state.js";
import { adopt } from "./restore.js";
import { Waiting, Watch } from "./watch.js";
import { Zoom } from "./zoom.js";
import { T } from "./texts.js";

const renaming = signal(null);
const LARGER = [1024, 2048, 4096];
const FORMATS = ["png", "jpg", "webp", "tif"];

function Head({ job }) {
  const styles = job.styles.map((one) => one.name).join(" + ");
  const labels = Object.keys(job.labels ?? {}).length ? labelOf(job) : "";
  return html`
    <div class="stage-head">
      <h2 title=${job.title}>${job.title}</h2>
      <p class="muted small">${T.job.line(job.content.name, styles)}${job.width ? ` · ${T.size(job.width, job.height)}` : ""}${job.state === "stopped" ? `, ${T.job.early}` : ""}${labels ? ` · ${labels}` : ""}</p>
      ${
        job.group &&
        html`<${Button} icon="grid" label=${T.group.open} kind="quiet small" test="group-open"
        onClick=${() => show("group", job.group)} />`
      }
    </div>`;
}

async function useSettings(job) {
  await adopt(job);
  tab.value = "create";
}

function Actions({ job, zoom }) {
  const longest = Math.max(job.width ?? 0, job.height ?? 0);
  return html`
    <div class="row center wrap actions">
      <${Button} icon="compare" label=${T.compare.before} pressed=${String(comparing.value)} test="compare"
        onClick=${() => (comparing.value = !comparing.value)} />
      <${Button} icon="zoom" label=${T.zoom.open} test="zoom" onClick=${zoom} />
      <${Menu} icon="download" label=${T.download.open} test="download" align="start">
        ${FORMATS.map(
          (format) => html`<a href=${downloadUrl(job, format)} download
          data-test=${`download-${format}`}>${T.download[format]}</a>`,
        )}
      <//>
      <${Menu} icon="larger" label=${T.job.larger} test="enlarge" align="start">
        ${LARGER.filter((size) => size > longest).map(
          (size) => html`
          <button type="button" data-test=${`enlarge-${size}`}
            onClick=${() => enlarge(job.id, size)}>${T.job.largerTo(size)}</button>`,
        )}
      <//>
      <${Rest} job=${job} />
    </div>`;
}

/** What may be done with anything that was painted. */
function Rest({ job }) {
  return html`
    <span class="actions-rest">
      <${Button} icon="settings" bare label=${T.job.use} kind="quiet" test="use-settings"
        onClick=${() => useSettings(job)} />
      <${Button} icon="again" bare label=${T.job.again} kind="quiet" test="again" onClick=${() => again(job.id)} />
      <${Button} icon="side" bare label=${T.compare.with} kind="quiet" test="compare-with"
        pressed=${String(pick.value === job.id)}
        onClick=${() => {
          pickForCompare(job.id);
          if (pick.value) tab.value = "history"; // where a phone has the second one
        }} />
      <${Button} icon="edit" bare label=${T.job.rename} kind="quiet" test="rename"
        onClick=${() => (renaming.value = job.id)} />
      <${Button} icon="pin" bare label=${job.pinned ? T.job.unpin : T.job.pin} kind="quiet" test="pin"
        pressed=${String(job.pinned)}
        onClick=${() => edit(job.id, { pinned: !job.pinned })} />
      <${Button} icon="trash" bare label=${T.job.delete} kind="quiet" test="delete" onClick=${() => bin(job.id)} />
    </span>`;
}

function Facts({ job }) {
  const open = useSignal(false);
  const set = Object.entries({ ...job.settings, ...job.film }).filter(([, value]) => value !== null);
  return html`
    <div class="facts small">
      <button type="button" class="disclosure" aria-expanded=${String(open.value)} data-test="facts"
        onClick=${() => (open.value = !open.value)}>
        <${Icon} name="chevron" /><span>${job.film ? T.film.settings : T.job.facts}</span></button>
      ${
        open.value &&
        html`
        <dl>
          <div><dt>${T.job.made}</dt><dd>${T.when(job.ended ?? job.created)}</dd></div>
          ${job.progress?.seconds ? html`<div><dt>${T.job.took}</dt><dd>${T.duration(job.progress.seconds)}</dd></div>` : null}
          <div><dt>${T.job.disk}</dt><dd>${T.bytes(job.bytes ?? 0)}</dd></div>
          ${job.preset && html`<div><dt>${T.controls.presets}</dt><dd>${job.preset}</dd></div>`}
          ${set.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${Array.isArray(value) ? value.join(", ") : String(value)}</dd></div>`)}
        </dl>
        ${!job.film && html`<${Curve} job=${job} />`}`
      }
    </div>`;
}

function Finished({ job }) {
  const zooming = useSignal(false);
  if (!job.has_picture) {
    return html`
      <div class="empty" data-test="no-picture">
        ${
          job.error
            ? html`<p class="error" role="alert">${said(job.error.message)}</p>`
            : html`<h3 class="ended">${T.job.cancelled}</h3><p class="muted">${T.job.nothing}</p>`
        }
        <div class="row center wrap">
          <${Button} icon="again" label=${T.job.again} kind="primary" test="again" onClick=${() => again(job.id)} />
          <${Button} icon="settings" label=${T.job.use} test="use-settings" onClick=${() => useSettings(job)} />
          <${Button} icon="trash" label=${T.job.delete} kind="quiet" test="delete" onClick=${() => bin(job.id)} />
        </div></div>`;
  }
  if (job.film)
    return html`<${FilmFinished} key=${job.id} job=${job}><${Rest} job=${job} /><//>
      <div class="stage-foot"><${Facts} key=${job.id} job=${job} /></div>`;
  return html`
    ${
      comparing.value
        ? html`<${BeforeAfter} key=${job.id} job=${job} />`
        : html`<${Frame} width=${job.width} height=${job.height}>
          <img src=${screenUrl(job)} alt=${T.watch.alt(job.title)}
            data-test="result" onDblClick=${() => (zooming.value = true)} /><//>`
    }
    <div class="stage-foot">
      ${job.error && html`<p class="error">${said(job.error.message)}</p>`}
      ${(job.notes ?? []).map((note) => html`<p class="muted small center">${said(note)}</p>`)}
      <${Actions} job=${job} zoom=${() => (zooming.value = true)} />
      <${Facts} key=${job.id} job=${job} />
    </div>
    ${zooming.value && html`<${Zoom} job=${job} onClose=${() => (zooming.value = false)} />`}`;
}

function Rename({ job }) {
  const close = () => (renaming.value = null);
  const save = (event) => {
    event.preventDefault();
    const title = new FormData(event.target).get("title").trim();
    if (title) edit(job.id, { title });
    close();
  };
  return html`
    <${Dialog} title=${T.job.rename} onClose=${close} test="rename-dialog"><form onSubmit=${save} class="stack">
      <label class="field">${T.job.title}<input name="title" value=${job.title} required maxlength="200" /></label>
      <div class="row end"><button class="primary" type="submit">${T.save}</button></div></form><//>`;
}

function Job({ id }) {
  need(id);
  const job = jobOf(id);
  if (!job) return html`<p class="empty muted">${T.loading}</p>`;
  const busy = job.film ? FilmWatch : Watch;
  const Body = job.state === "queued" ? Waiting : ["running", "paused"].includes(job.state) ? busy : Finished;
  return html`<${Head} job=${job} /><${Body} job=${job} />${renaming.value === id && html`<${Rename} job=${job} />`}`;
}

/** Before anything is painted: the photo as large as can be, or what to do first. */
function Start() {
  const [photo] = draft.value.contents;
  if (!photo) {
    return html`
      <div class="empty start">
        <svg viewBox="0 0 120 80" aria-hidden="true"><path d="M10 56c18 0 18-34 40-34s22 36 60 12" /></svg>
        <h2>${T.start.title}</h2>
        <ol>${T.start.steps.map((step) => html`<li>${step}</li>`)}</ol>
      </div>`;
  }
  const image = photo.id ? (imageOf(photo.id) ?? photo) : photo;
  const shown = image.view ?? image.thumbnail;
  return html`
    <div class="stage-head"><h2 title=${photo.name}>${photo.name}</h2>
      <p class="muted small">${photo.width ? T.size(photo.width, photo.height) : T.photo.uploading}</p></div>
    <${Frame} width=${image.width} height=${image.height}>${shown && html`<img src=${shown} alt=${T.photo.alt(photo.name)} />`}<//>
    <div class="stage-foot"><p class="muted center">${draft.value.styles.length ? T.start.paint : T.start.style}</p></div>`;
}

export function Stage() {
  const { kind, ids } = view.value;
  const photo = draft.value.contents[0];
  if (masking.value && photo?.id) return html`<${MaskEditor} key=${photo.id} photo=${photo} />`;
  if (kind === "job") return html`<${Job} key=${ids[0]} id=${ids[0]} />`;
  if (kind === "group") return html`<${Group} group=${ids[0]} />`;
  if (kind === "compare") return html`<${Compare} ids=${ids} />`;
  return html`<${Start} />`;
}
