// Before and after under a slider, and two pictures side by side.
import { pictureUrl, previewUrl } from "./api.js";
import { Button, html, signal, useSignal } from "./html.js";
import { jobOf, need } from "./jobs.js";
import { Frame } from "./picture.js";
import { imageOf, show, tab } from "./state.js";
import { T } from "./texts.js";

const LARGE = 3000; // px; beyond, the screen shows the preview and zooming shows the pixels

/** What a screen shows of a job's result. */
export const screenUrl = (job) =>
  job.has_picture && Math.max(job.width ?? 0, job.height ?? 0) <= LARGE ? pictureUrl(job) : previewUrl(job);

/** Two pictures of one shape, the second from the line on; a range lies over them, so that keys and fingers move it. */
export function Slider({ before, after, width, height, label }) {
  const at = useSignal(50);
  return html`
    <${Frame} width=${width} height=${height} kind="slider">
      <img src=${before.src} alt=${before.alt} draggable=${false} />
      <img src=${after.src} alt=${after.alt} draggable=${false} style=${`clip-path:inset(0 0 0 ${at.value}%)`} />
      <input type="range" min="0" max="100" step="0.5" value=${at.value} aria-label=${label}
        aria-valuetext=${T.percent(Math.round(at.value))}
        data-test="compare-slider" onInput=${(event) => (at.value = Number(event.target.value))} />
      <span class="line" style=${`inset-inline-start:${at.value}%`} aria-hidden="true"></span>
      <span class="tag start" aria-hidden="true">${before.tag}</span><span class="tag end" aria-hidden="true">${after.tag}</span>
    <//>`;
}

export function BeforeAfter({ job }) {
  const photo = imageOf(job.content.image);
  return html`<${Slider} width=${job.width ?? photo?.width} height=${job.height ?? photo?.height}
    label=${T.compare.slider}
    before=${{ src: photo?.view ?? job.content.thumbnail, alt: T.photo.alt(job.content.name), tag: T.compare.photo }}
    after=${{ src: screenUrl(job), alt: T.watch.alt(job.title), tag: T.compare.painted }} />`;
}

/** Whether what was painted stands beside what it was painted of. */
export const comparing = signal(false);

/** The first picture that was picked for a comparison, until there is a second. */
export const pick = signal(null);

export function pickForCompare(id) {
  if (pick.value === id) pick.value = null;
  else if (pick.value === null) pick.value = id;
  else {
    show("compare", pick.value, id);
    pick.value = null;
  }
}

/** Whether a click on a picture would take it as the second one. */
export const isSecond = (job) => pick.value !== null && pick.value !== job.id && job.has_picture;

/** What a click on a picture in a list does. */
export const choose = (job) => (isSecond(job) ? pickForCompare(job.id) : show("job", job.id));

export const Picking = () =>
  pick.value &&
  html`<p class="note small" role="status" data-test="picking">${T.compare.picked} <button
    type="button" class="link" onClick=${() => (pick.value = null)}>${T.never}</button></p>`;

const side = signal(true);

/** In what two pictures differ: inputs, preset, knobs. */
function Differences({ jobs: [a, b] }) {
  const names = [...new Set([...Object.keys(a.settings), ...Object.keys(b.settings)])];
  const text = (value) => (value === undefined || value === null ? T.compare.usual : String(value));
  const styles = (job) => job.styles.map((one) => one.name).join(" + ");
  const rows = [
    [T.photo.title, a.content.name, b.content.name],
    [T.shelf.title, styles(a), styles(b)],
    [T.controls.presets, a.preset, b.preset],
    ...names.map((name) => [name, a.settings[name], b.settings[name]]),
  ].filter(([, left, right]) => JSON.stringify(left) !== JSON.stringify(right));
  return html`
    ${
      rows.length === 0
        ? html`<p class="muted small center">${T.compare.same}</p>`
        : html`<div class="table-scroll"><table class="differences"><thead><tr><td></td><th scope="col">${T.compare.left}</th><th scope="col">${T.compare.right}</th></tr></thead>
        <tbody>${rows.map(([name, left, right]) => html`<tr><th scope="row">${name}</th><td>${text(left)}</td><td>${text(right)}</td></tr>`)}</tbody></table></div>`
    }`;
}

export function Compare({ ids }) {
  ids.forEach(need);
  const jobs = ids.map(jobOf);
  if (jobs.length < 2 || jobs.some((one) => !one)) return html`<p class="muted center">${T.loading}</p>`;
  const [a, b] = jobs;
  const shot = (job) => ({ src: screenUrl(job), alt: T.watch.alt(job.title), tag: job.title });
  const close = () => show("job", b.id);
  return html`
    <div class="stage-head"><h2>${T.compare.title}</h2></div>
    ${
      side.value
        ? html`<div class="pair">${jobs.map(
            (job) => html`
          <figure><${Frame} width=${job.width} height=${job.height}><img src=${screenUrl(job)} alt=${T.watch.alt(job.title)} /><//>
            <figcaption>${job.title}</figcaption></figure>`,
          )}</div>`
        : html`<${Slider} width=${a.width} height=${a.height} before=${shot(a)} after=${shot(b)}
          label=${T.compare.two} />`
    }
    <div class="stage-foot">
      <div class="row center wrap">
        <${Button} icon="side" label=${T.compare.side} pressed=${String(side.value)} test="compare-side"
          onClick=${() => (side.value = true)} />
        <${Button} icon="compare" label=${T.compare.over} pressed=${String(!side.value)} test="compare-over"
          onClick=${() => (side.value = false)} />
        <${Button} icon="close" label=${T.close} kind="quiet" test="compare-close" onClick=${close} />
      </div>
      <${Differences} jobs=${jobs} />
    </div>`;
}
