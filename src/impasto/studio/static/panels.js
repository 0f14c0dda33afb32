// The short panel, all settings, and the bar with the plan and the Paint button.
import { Button, Icon, computed, html, said, signal } from "./html.js";
import { Control } from "./controls.js";
import {
  ELSEWHERE,
  change,
  draft,
  errors,
  knobStore,
  parts,
  plan,
  planning,
  ready,
  submit,
  submitting,
  unfit,
  uploading,
} from "./draft.js";
import { ACCEPT, picked } from "./files.js";
import { upload } from "./api.js";
import { attempt, keepImage, knobs, masking, presets, schema, tab } from "./state.js";
import { varying } from "./sweep.js";
import { T } from "./texts.js";

export const advanced = signal(false);
const query = signal("");

const shown = computed(() => (schema.value?.knobs ?? []).filter((knob) => !ELSEWHERE.has(knob.name)));
const typed = computed(() => shown.value.filter((knob) => !knob.images));

/** Knobs that name pictures: masks and the strength map are painted, any other takes words or a picture. */
const PAINTED = { mask: "masks", style_mask: "styleMasks", strength_map: "strengthMap" };

function PictureKnob({ knob }) {
  if (PAINTED[knob.name]) {
    const open = () => {
      masking.value = true;
      tab.value = "picture";
    };
    return html`
      <div class="control" id=${`control-${knob.name}`}>
        <div class="control-head"><span class="label">${knob.label}</span><span class="grow"></span>
          <${Button} icon="brush" label=${T.masks.paint} kind="small" disabled=${!ready.value.length}
            onClick=${open} /></div>
        <p class="help">${said(knob.help)}</p>
      </div>`;
  }
  const image = draft.value[knob.name];
  if (image === undefined) return null;
  const words = knob.words ?? (knob.choices ?? []).map((one) => one.value);
  const value = image ? null : knobStore.value(knob.name);
  const pick = (word) => {
    change({ [knob.name]: null });
    if (word === knob.default) knobStore.reset(knob.name);
    else knobStore.set(knob.name, word);
  };
  const take = async ([file]) => {
    const taken = file && (await attempt(() => upload(file, file.name, "any")));
    if (!taken) return;
    knobStore.reset(knob.name);
    change({ [knob.name]: keepImage(taken) });
  };
  return html`
    <div class="control" id=${`control-${knob.name}`} data-test=${`control-${knob.name}`}>
      <div class="control-head"><span class="label">${knob.label}</span></div>
      <div class="row wrap">
        ${words.map(
          (word) => html`<button type="button" class="chip small" aria-pressed=${String(value === word)}
          onClick=${() => pick(word)}>${word}</button>`,
        )}
        <label class=${`picker chip small ${image ? "on" : ""}`}><input type="file" accept=${ACCEPT}
          onChange=${picked(take)} />
          <span>${image ? image.name : T.controls.picture}</span></label>
      </div>
      <p class="help">${said(knob.help)}</p>
    </div>`;
}

function Presets() {
  const chosen = presets.value.find((one) => one.name === draft.value.preset);
  return html`
    <div class="control">
      <div class="control-head"><span class="label" id="presets-label">${T.controls.presets}</span></div>
      <div class="row wrap" role="group" aria-labelledby="presets-label">
        ${presets.value.map(
          (one) => html`
          <button type="button" class="chip small" title=${one.description} data-test=${`preset-${one.name}`}
            aria-pressed=${String(one.name === draft.value.preset)}
            onClick=${() => change({ preset: one.name === draft.value.preset ? null : one.name })}>${one.name}</button>`,
        )}
      </div>
      ${chosen && html`<p class="help">${chosen.description}</p>`}
    </div>`;
}

export function Usual() {
  return html`
    <section class="panel" aria-labelledby="usual-title">
      <div class="row between"><h2 id="usual-title">${T.controls.usual}</h2>
        ${
          Object.keys(draft.value.settings).length > 0 &&
          html`
          <${Button} icon="reset" label=${T.controls.resetAll} kind="quiet small" test="reset-all"
            onClick=${() => change({ settings: {} })} />`
        }
      </div>
      <${Presets} />
      ${typed.value.filter((knob) => knob.usual).map((knob) => html`<${Control} key=${knob.name} knob=${knob} store=${knobStore} />`)}
    </section>`;
}

const found = (knob, words) => {
  const text = `${knob.name} ${knob.label} ${knob.help} ${knob.group}`.toLowerCase();
  return words.every((word) => text.includes(word));
};

export function Advanced() {
  const words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
  const list = shown.value.filter((knob) => (words.length ? found(knob, words) : !knob.usual || knob.images));
  const groups = (schema.value?.groups ?? []).map((group) => [group, list.filter((knob) => knob.group === group)]);
  return html`
    <section class="panel" aria-labelledby="advanced-title">
      <h2 id="advanced-title" class="as-button">
        <button type="button" class="disclosure" aria-expanded=${String(advanced.value)} data-test="advanced"
          onClick=${() => (advanced.value = !advanced.value)}><${Icon} name="chevron" /><span>${T.controls.advanced}</span></button>
      </h2>
      ${
        advanced.value &&
        html`
        <div class="search"><${Icon} name="search" />
          <input type="search" value=${query.value} placeholder=${T.controls.search} aria-label=${T.controls.search}
            data-test="knob-search" onInput=${(event) => (query.value = event.target.value)} /></div>
        ${list.length === 0 && html`<p class="muted" role="status">${T.controls.none}</p>`}
        ${groups
          .filter(([, some]) => some.length)
          .map(
            ([group, some]) => html`
          <div class="group" key=${group} role="group" aria-label=${group}>
            <h3>${group}</h3>
            ${some.map((knob) =>
              knob.images
                ? html`<${PictureKnob} key=${knob.name} knob=${knob} />`
                : html`<${Control} key=${knob.name} knob=${knob} store=${knobStore} />`,
            )}
          </div>`,
          )}`
      }
    </section>`;
}

/** Lead to the control that an error is about, wherever it is. */
function reveal(name) {
  const knob = knobs.value.get(name);
  if (!knob) return;
  if (!knob.usual || knob.images) advanced.value = true;
  query.value = "";
  tab.value = "create";
  requestAnimationFrame(() => {
    const control = document.getElementById(`control-${name}`);
    control?.scrollIntoView({ block: "center" });
    control?.querySelector("input, select, button")?.focus();
  });
}

function PlanLine() {
  const { contents, styles } = draft.value;
  if (!contents.length) return T.plan.photo;
  if (!styles.length) return T.plan.style;
  if (uploading.value) return T.plan.uploading;
  if (plan.value?.film) return T.film.plan(plan.value);
  if (plan.value) return T.plan.line(plan.value, ready.value.length * parts.value);
  return planning.value ? T.plan.planning : "";
}

/** What a first picture was made smaller for, as long as it is that small. */
function Fitted() {
  const { fitted } = draft.value;
  if (!fitted || fitted.side !== knobStore.value("size")) return null;
  return html`
    <p class="plan" role="status" data-test="fitted">${T.plan.fitted(fitted)} <button type="button" class="link"
      data-test="unfit" onClick=${unfit}>${T.plan.unfit(fitted)}</button></p>`;
}

export function PaintBar() {
  const can = ready.value.length > 0 && draft.value.styles.length > 0 && !uploading.value && !submitting.value;
  return html`
    <div class="paint-bar">
      ${
        errors.value.length > 0 &&
        html`
        <div role="alert"><ul class="errors">
          ${errors.value.map(
            (one) => html`<li class="error">${said(one.message)}
            ${
              knobs.value.has(one.knob) &&
              html` <button type="button" class="link"
              onClick=${() => reveal(one.knob)}>${T.controls.reveal}</button>`
            }</li>`,
          )}
        </ul></div>`
      }
      <p class=${`plan ${planning.value ? "old" : ""}`} data-test="plan">${html`<${PlanLine} />`}</p>
      <${Fitted} />
      <div class="row">
        <${Button} icon="paint" label=${T.paint(ready.value.length, parts.value)} kind="primary big grow" test="paint"
          disabled=${!can} onClick=${() => submit()} />
        <${Button} icon="vary" label=${T.sweep.open} bare kind="big" test="vary" disabled=${!can}
          onClick=${() => (varying.value = true)} />
      </div>
    </div>`;
}
