// A job that waits or runs: its picture as it comes, how far it is, and what may change meanwhile.
import { previewUrl } from "./api.js";
import { Button, Icon, computed, debounced, html, said, signal, useMemo } from "./html.js";
import { Control } from "./controls.js";
import { Curve } from "./curve.js";
import { activeIds, cancel, change, jobOf, pause, resume, stop } from "./jobs.js";
import { Frame, SwapImage } from "./picture.js";
import { imageOf, knobs, schema } from "./state.js";
import { T } from "./texts.js";

const details = signal(true);

/** A job's scheduled knobs as a store for controls: shown at once, sent after a pause, refused beside the control. */
function liveStore(id) {
  const pending = signal({});
  const errors = signal([]);
  const send = debounced(async () => {
    const settings = pending.value;
    try {
      await change(id, { settings });
      errors.value = [];
      if (pending.value === settings) pending.value = {};
    } catch (fault) {
      // The value stays as the user set it; with no knob named, the sentence belongs to what was sent.
      const [name] = Object.keys(settings);
      errors.value = (fault.errors ?? [fault]).map((one) => ({ message: one.message, knob: one.knob ?? name }));
    }
  }, 250);
  return {
    // Whoever set it: the page, a preset, the server's own settings.
    value: (name) => pending.value[name] ?? jobOf(id)?.scheduled[name] ?? knobs.value.get(name).default,
    isSet: () => false,
    set: (name, value) => {
      pending.value = { ...pending.value, [name]: value };
      send();
    },
    errors: (name) => errors.value.filter((one) => one.knob === name),
  };
}

const scheduled = computed(() => (schema.value?.knobs ?? []).filter((knob) => knob.scheduled));

function Live({ job }) {
  const store = useMemo(() => liveStore(job.id), [job.id]);
  const usual = scheduled.value.filter((knob) => knob.usual);
  const rest = scheduled.value.filter((knob) => !knob.usual);
  const controls = (list) => list.map((knob) => html`<${Control} key=${knob.name} knob=${knob} store=${store} />`);
  return html`
    <section class="live" aria-labelledby="live-title" data-test="live">
      <h3 id="live-title">${T.watch.live}</h3>
      ${controls(usual)}
      ${rest.length > 0 && html`<details><summary>${T.watch.liveMore}</summary>${controls(rest)}</details>`}
    </section>`;
}

/** One bar a scale: the sizes from coarse to fine, the finest being the longest to wait for. */
function Progress({ job }) {
  const { step = 0, steps = 0, scale = 0, scales = 1 } = job.progress ?? {};
  const share = steps ? Math.round((100 * step) / steps) : 0;
  const marks = ["past", "now", ""];
  return html`
    <div class="progress-block">
      <div class=${`progress ${job.state}`} role="progressbar"
        aria-label=${T.watch.progress} aria-valuemin="0" aria-valuemax="100"
        aria-valuenow=${share} data-test="progress"><span style=${`inline-size:${share}%`}></span></div>
      <p class="row between small">
        <span>${job.progress ? T.watch.at(job.progress) : T.watch.starting}</span>
        ${
          scales > 1 &&
          html`<span class="scales" aria-hidden="true">
          ${Array.from({ length: scales }, (_, at) => html`<i class=${marks[Math.sign(at + 1 - scale) + 1]}></i>`)}</span>`
        }
        <span class="muted" data-test="seconds-left">${job.state === "paused" ? T.state.paused : T.watch.left(job.progress?.seconds_left)}</span>
      </p>
    </div>`;
}

export function Waiting({ job }) {
  const image = imageOf(job.content.image);
  const before = activeIds.value.indexOf(job.id);
  return html`
    <${Frame} width=${image?.width} height=${image?.height} kind="waiting">
      <img src=${image?.view ?? job.content.thumbnail} alt=${T.photo.alt(job.content.name)} />
      <p class="badge">${T.watch.waiting(before)}</p>
    <//>
    <div class="stage-foot"><div class="row center">
      <${Button} icon="close" label=${T.watch.cancel} test="cancel" onClick=${() => cancel(job.id)} /></div></div>`;
}

/** The photo's own shape and size hold the place: the picture grows sharper from scale to scale, not larger. */
export function Watch({ job }) {
  const image = imageOf(job.content.image);
  const paused = job.state === "paused";
  return html`
    <${Frame} width=${image?.width} height=${image?.height} kind="painting">
      <${SwapImage} key=${job.id} first=${image?.view ?? job.content.thumbnail} src=${job.preview > 0 ? previewUrl(job) : null}
        alt=${T.watch.alt(job.title)} data-test="preview" />
    <//>
    <div class="stage-foot">
      <${Progress} job=${job} />
      ${(job.notes ?? []).map((note) => html`<p class="muted small center">${said(note)}</p>`)}
      <div class="row center wrap">
        ${
          paused
            ? html`<${Button} icon="play" label=${T.watch.resume} kind="primary" test="resume"
              onClick=${() => resume(job.id)} />`
            : html`<${Button} icon="pause" label=${T.watch.pause} test="pause" onClick=${() => pause(job.id)} />`
        }
        <${Button} icon="stop" label=${T.watch.stop} test="stop" disabled=${!job.preview} onClick=${() => stop(job.id)} />
        <${Button} icon="close" label=${T.watch.cancel} test="cancel" onClick=${() => cancel(job.id)} />
        <button type="button" class="quiet" aria-expanded=${String(details.value)} data-test="watch-details"
          onClick=${() => (details.value = !details.value)}><${Icon} name="settings" /><span>${T.watch.details}</span></button>
      </div>
      ${details.value && html`<div class="watch-details"><${Live} job=${job} /><${Curve} job=${job} /></div>`}
    </div>`;
}
