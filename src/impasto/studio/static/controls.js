// One control for a knob, built from what the server's schema says of it: nothing here knows a knob by its name.
//
// A store says what a control shows and takes: value(name), set(name, value), reset(name), isSet(name), errors(name).
import { Button, Errors, html, said, useId, useSignal, useTyped } from "./html.js";
import { firstNumber, placeOf, sliderOf, stepOf, valueAt } from "./numbers.js";
import { T } from "./texts.js";

export function Control({ knob, store, open = false }) {
  const id = useId();
  const help = useSignal(open);
  const value = store.value(knob.name);
  const errors = store.errors(knob.name);
  const words = knob.words ?? [];
  const set = (next) => store.set(knob.name, next);
  const Kind = KINDS[knob.kind] ?? Text;
  const inHead = knob.kind === "boolean";
  const described = `${id}-help${errors.length ? ` ${id}-errors` : ""}`;
  const field = html`<${Kind} knob=${knob} id=${id}
    value=${value} set=${set} described=${described} invalid=${errors.length > 0} />`;
  return html`
    <div class=${`control ${errors.length ? "wrong" : ""}`}
      data-test=${`control-${knob.name}`} id=${`control-${knob.name}`}>
      <div class="control-head">
        <label for=${id}>${knob.label}</label>
        <button type="button" class="hint" aria-expanded=${String(help.value)} aria-label=${T.controls.help(knob.label)}
          title=${knob.help.replaceAll("`", "")} onClick=${() => (help.value = !help.value)}>?</button>
        <span class="grow"></span>
        ${
          NUMERIC.has(knob.kind) &&
          words.map(
            (word) => html`
          <button type="button" class="chip small" aria-pressed=${String(value === word)}
            data-test=${`word-${knob.name}-${word}`}
            aria-label=${T.controls.word(knob.label, word)}
              onClick=${() => set(value === word ? firstNumber(knob) : word)}>${word}</button>`,
          )
        }
        ${
          store.isSet(knob.name) &&
          store.reset &&
          html`
          <${Button} icon="reset" bare kind="tiny quiet" label=${T.controls.reset(knob.label)}
            test=${`reset-${knob.name}`}
            onClick=${() => store.reset(knob.name)} />`
        }
        ${inHead && field}
      </div>
      ${!inHead && field}
      <p class="help" id=${`${id}-help`} hidden=${!help.value}>${said(knob.help)}</p>
      <${Errors} errors=${errors} id=${`${id}-errors`} />
    </div>`;
}

const NUMERIC = new Set(["number", "integer"]);

function Numeric({ knob, id, value, set, described, invalid }) {
  const slider = sliderOf(knob);
  const number = typeof value === "number" ? value : null;
  const shown = number ?? (knob.words?.includes(value) ? "" : (value ?? ""));
  // What isn't a number is sent as it was typed: a print's size, or a slip that the server names.
  const typed = (event) => {
    const text = event.target.value.trim();
    if (text === "") return;
    set(Number.isNaN(Number(text)) ? text : Number(text));
  };
  const field = useTyped(shown, typed);
  return html`
    <div class="number">
      ${
        slider &&
        html`
        <input type="range" min="0" max="1000" step=${stepOf(slider, knob)}
          value=${placeOf(number ?? firstNumber(knob), slider)}
          class=${number === null ? "idle" : ""} aria-label=${T.controls.slider(knob.label)}
            aria-valuetext=${String(value)}
          data-test=${`slider-${knob.name}`}
          onInput=${(event) => set(valueAt(Number(event.target.value), slider, knob))} />`
      }
      <input type="text" inputmode="decimal" id=${id}
        ...${field} placeholder=${number === null ? String(value ?? "") : ""}
        aria-describedby=${described} aria-invalid=${invalid} data-test=${`number-${knob.name}`} autocomplete="off" />
    </div>`;
}

function Choice({ knob, id, value, set, described, invalid }) {
  const choices = knob.choices ?? [];
  const help = choices.find((one) => one.value === value)?.help;
  const letters = choices.reduce((sum, one) => sum + String(one.value).length + 4, 0);
  if (choices.length <= 4 && letters <= 44) {
    return html`
      <div class="segments" role="radiogroup" id=${id} aria-label=${knob.label} aria-describedby=${described}>
        ${choices.map(
          (one) => html`
          <label title=${one.help}><input type="radio" name=${id} value=${one.value} checked=${one.value === value}
            data-test=${`choice-${knob.name}-${one.value}`}
              onChange=${() => set(one.value)} /><span>${one.value}</span></label>`,
        )}
      </div>
      ${help && html`<p class="help">${help}</p>`}`;
  }
  return html`
    <select id=${id} value=${value} aria-describedby=${described} aria-invalid=${invalid}
      data-test=${`choice-${knob.name}`}
      onChange=${(event) => set(event.target.value)}>
      ${choices.map((one) => html`<option value=${one.value} selected=${one.value === value}>${one.value}</option>`)}
    </select>
    ${help && html`<p class="help">${help}</p>`}`;
}

const Switch = ({ knob, id, value, set, described }) => html`
  <span class="switch"><input type="checkbox" role="switch" id=${id} checked=${Boolean(value)} aria-describedby=${described}
    data-test=${`switch-${knob.name}`} onChange=${(event) => set(event.target.checked)} /></span>`;

const listed = (text) => text.split(/[,;\s]+/).filter(Boolean);

function Text({ knob, id, value, set, described, invalid }) {
  const list = knob.kind === "numbers" || knob.kind === "texts";
  const taken = (event) => {
    const text = event.target.value.trim();
    if (knob.kind === "texts") return set(listed(text));
    // A slip among numbers stays as typed: the server says what is wrong with it.
    if (knob.kind === "numbers") return set(listed(text).map((one) => (Number.isNaN(Number(one)) ? one : Number(one))));
    return set(/^\d+$/.test(text) && typeof knob.default === "number" ? Number(text) : text);
  };
  const field = useTyped(list ? (value ?? []).join(", ") : (value ?? ""), taken);
  return html`
    <input type="text" id=${id} ...${field} aria-describedby=${described}
      aria-invalid=${invalid} placeholder=${list ? T.controls.list : ""}
        data-test=${`text-${knob.name}`} autocomplete="off"
      spellcheck=${false} />
    ${
      !list &&
      knob.words?.length > 0 &&
      html`
      <div class="row wrap">${knob.words.map(
        (word) => html`
        <button type="button" class="chip small" aria-pressed=${String(value === word)}
          onClick=${() => set(word)}>${word}</button>`,
      )}</div>`
    }`;
}

const KINDS = { number: Numeric, integer: Numeric, choice: Choice, boolean: Switch };
