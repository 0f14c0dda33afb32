// "Compare values": one or two knobs, some values each, one picture for each combination.
import { Button, Dialog, Errors, computed, html, signal } from "./html.js";
import { ELSEWHERE, draft, knobStore, parts, ready, submit, submitErrors, submitting } from "./draft.js";
import { knobs, schema } from "./state.js";
import { T } from "./texts.js";

export const varying = signal(false);
const rows = signal([{ knob: "", values: "" }]);
const MOST = 36; // pictures; more is a mistake or a night's work for the command line

const KINDS = ["number", "integer", "choice", "boolean"];
const variable = computed(() =>
  (schema.value?.knobs ?? []).filter((knob) => KINDS.includes(knob.kind) && !knob.images && !ELSEWHERE.has(knob.name)),
);

/** Values to begin with: all choices, or three over the range. */
function suggested(knob) {
  if (knob.kind === "boolean") return "false, true";
  if (knob.kind === "choice") return knob.choices.map((one) => one.value).join(", ");
  const value = knobStore.value(knob.name);
  const middle = typeof value === "number" && value > 0 ? value : knob.default > 0 ? knob.default : 0.5;
  const { minimum: least, maximum: most } = knob;
  if (least !== null && most !== null && most - least <= 1)
    return [0.25, 0.5, 0.75].map((share) => least + share * (most - least)).join(", ");
  const within = (one) => Math.min(most ?? one, Math.max(least ?? one, one));
  return [0.5, 1, 2]
    .map((factor) => (knob.kind === "integer" ? Math.round(within(middle * factor)) : within(middle * factor)))
    .join(", ");
}

function parsed({ knob: name, values }) {
  const knob = knobs.value.get(name);
  const words = values
    .split(/[,;]/)
    .map((one) => one.trim())
    .filter(Boolean);
  if (knob?.kind === "boolean") return words.map((one) => ["true", "yes", "on", "1"].includes(one.toLowerCase()));
  return [...new Set(words)].map((one) => (knob?.kind === "choice" || Number.isNaN(Number(one)) ? one : Number(one)));
}

const change = (at, what) => (rows.value = rows.value.map((row, index) => (index === at ? { ...row, ...what } : row)));

function Row({ row, at }) {
  const other = rows.value[1 - at]?.knob;
  const choose = (event) => {
    const knob = knobs.value.get(event.target.value);
    change(at, { knob: knob.name, values: suggested(knob) });
  };
  return html`
    <div class="vary-row">
      <label class="field">${T.sweep.knob}
        <select value=${row.knob} data-test=${`vary-knob-${at}`} onChange=${choose}>
          ${variable.value
            .filter((knob) => knob.name !== other)
            .map(
              (knob) => html`<option
            value=${knob.name} selected=${knob.name === row.knob}>${knob.label}</option>`,
            )}
        </select></label>
      <label class="field grow">${T.sweep.values}
        <input type="text" value=${row.values} data-test=${`vary-values-${at}`} autocomplete="off"
          onInput=${(event) => change(at, { values: event.target.value })} /></label>
      ${
        at > 0 &&
        html`<${Button} icon="close" bare kind="quiet" label=${T.sweep.remove}
        onClick=${() => (rows.value = rows.value.slice(0, 1))} />`
      }
    </div>`;
}

const first = (taken) =>
  variable.value.find((knob) => knob.usual && knob.kind === "number" && knob.name !== taken) ?? variable.value[0];
const rowOf = (knob) => ({ knob: knob.name, values: suggested(knob) });

export function Sweep() {
  if (!varying.value) return null;
  if (!rows.value[0].knob) rows.value = [rowOf(first())];
  const counts = rows.value.map((row) => parsed(row).length);
  const total = counts.reduce((a, b) => a * b, 1) * ready.value.length * parts.value;
  const close = () => (varying.value = false);
  const start = async (event) => {
    event.preventDefault();
    if (await submit({ vary: Object.fromEntries(rows.value.map((row) => [row.knob, parsed(row)])) })) close();
  };
  return html`
    <${Dialog} title=${T.sweep.open} onClose=${close} test="vary-dialog">
      <form class="stack" onSubmit=${start}>
        <p class="muted">${T.sweep.why(draft.value.styles.map((one) => one.name).join(" + "))}</p>
        ${rows.value.map((row, at) => html`<${Row} key=${at} row=${row} at=${at} />`)}
        ${
          rows.value.length < 2 &&
          html`<div><${Button} icon="add" label=${T.sweep.second} kind="quiet" test="vary-second"
          onClick=${() => (rows.value = [...rows.value, rowOf(first(rows.value[0].knob))])} /></div>`
        }
        <${Errors} errors=${submitErrors.value} />
        <div class="row between"><span class=${total > MOST ? "error" : "muted"} role="status">${total > MOST ? T.sweep.most(total, MOST) : T.sweep.count(counts, total)}</span>
          <button type="submit" class="primary" data-test="vary-start"
            disabled=${!total || total > MOST || submitting.value}>${T.sweep.start(total)}</button></div>
      </form>
    <//>`;
}
