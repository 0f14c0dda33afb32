// A film among the contents: what it has, how it is set up, and the line that plans it.
import { Icon, computed, html } from "./html.js";
import { Control } from "./controls.js";
import { change, draft, errors } from "./draft.js";
import { schema } from "./state.js";
import { T } from "./texts.js";

const controls = computed(() => schema.value?.film ?? []);

/** The options of a film, in the form that controls take: see controls.js. Only what was set goes to the server. */
const filmStore = {
  value: (name) => draft.value.film[name] ?? controls.value.find((one) => one.name === name).default,
  isSet: (name) => name in draft.value.film,
  set: (name, value) => (value === "" ? filmStore.reset(name) : change({ film: { ...draft.value.film, [name]: value } })),
  reset: (name) => {
    const { [name]: _, ...film } = draft.value.film;
    change({ film });
  },
  errors: (name) => errors.value.filter((one) => one.knob === name),
};

/** Of a job's options those that aren't what they are by themselves. */
export const changedOptions = (options) =>
  Object.fromEntries(controls.value.filter((one) => options[one.name] !== one.default).map(({ name }) => [name, options[name]]));

export const FilmBadge = () => html`<span class="filmed"><${Icon} name="film" /></span>`;

/** What a film is painted by, besides what a photo is. */
export function FilmOptions() {
  if (!draft.value.contents.some((one) => one.film)) return null;
  const some = (usual) =>
    controls.value
      .filter((knob) => knob.usual === usual)
      .map((knob) => html`<${Control} key=${knob.name} knob=${knob} store=${filmStore} />`);
  return html`
    <section class="panel film-options" aria-labelledby="film-title" data-test="film-options">
      <h2 id="film-title">${T.film.options}</h2>
      ${some(true)}
      <details><summary>${T.film.more}</summary>${some(false)}</details>
    </section>`;
}
