// The shelf of styles: the user's own paintings, then the bundled swatches; and the shares of those chosen.
import { patch, previewUrl, remove, thumbnailUrl } from "./api.js";
import { Button, Dialog, Errors, Icon, Menu, computed, html, signal } from "./html.js";
import { change, draft, quickLook, ready, styleOf } from "./draft.js";
import { ACCEPT, addPaintings, picked, styleErrors } from "./files.js";
import { isActive, jobOf, quickJobs } from "./jobs.js";
import { attempt, keepImage, shelf, show, swatches, toast } from "./state.js";
import { T } from "./texts.js";

const mixing = signal(false);
const renaming = signal(null);

const tiles = computed(() => [
  ...shelf.value.map((one) => ({ ...styleOf.image(one), title: one.name, own: one })),
  ...swatches.value.map((one) => ({ ...styleOf.swatch(one), title: one.title, own: null })),
]);

/** One style takes the place of the other, unless several are mixed or a modifier key is held. */
function choose(style, several) {
  const { styles } = draft.value;
  const there = styles.some((one) => one.key === style.key);
  if (!several) return change({ styles: [style] });
  return change({ styles: there ? styles.filter((one) => one.key !== style.key) : [...styles, style] });
}

async function takeAway(image) {
  const gone = await attempt(async () => (await remove(`/images/${image.id}`), true));
  if (!gone) return;
  keepImage({ ...image, shelf: false });
  change({ styles: draft.value.styles.filter((one) => one.image !== image.id) });
  toast(T.shelf.removed(image.name), T.undo, () =>
    attempt(async () => keepImage(await patch(`/images/${image.id}`, { shelf: true }))),
  );
}

/** The quick look of a style on the photo chosen now, if there was one. */
function lookOf(style) {
  const content = ready.value[0]?.id;
  const id = quickJobs.value.find((one) => {
    const job = jobOf(one);
    const [first] = job.styles;
    return job.content.image === content && (style.image ? first.image === style.image : first.swatch === style.swatch);
  });
  return id ? jobOf(id) : null;
}

function Tile({ tile }) {
  const { own, title, ...style } = tile;
  const chosen = draft.value.styles.some((one) => one.key === style.key);
  const look = lookOf(style);
  const painted = look?.has_picture || look?.preview > 0;
  const busy = look && isActive(look);
  const picture = painted ? (isActive(look) ? previewUrl(look) : thumbnailUrl(look)) : style.thumbnail;
  const pick = (event) => choose(style, mixing.value || event.ctrlKey || event.metaKey || event.shiftKey);
  const peek = () => {
    if (painted && !busy) show("job", look.id);
    else if (!busy) attempt(() => quickLook(style));
  };
  return html`
    <li class=${`tile ${chosen ? "chosen" : ""}`}>
      <button type="button" class="tile-main" aria-pressed=${String(chosen)} title=${title}
        data-test=${`style-tile-${style.name}`} aria-label=${T.shelf.choose(style.name)}
        onClick=${pick}>
        <img src=${picture} alt="" loading="lazy" />
        ${busy && html`<span class="busy" aria-hidden="true"></span>`}
        ${chosen && html`<span class="tick"><${Icon} name="check" /></span>`}
      </button>
      ${
        own &&
        html`<div class="tile-menu"><${Menu} icon="more" bare align="start" label=${T.shelf.actions(own.name)}
          test=${`style-menu-${own.name}`}>
        <button type="button" onClick=${() => (renaming.value = own)} data-test="style-rename">${T.shelf.rename}</button>
        <button type="button" onClick=${() => takeAway(own)} data-test="style-remove">${T.shelf.remove}</button>
      <//></div>`
      }
      <${Button} icon="eye" bare kind="tiny over tile-eye"
        label=${painted ? T.shelf.open(style.name) : T.shelf.quick(style.name)}
        test=${`quick-${style.name}`} disabled=${!ready.value.length} onClick=${peek} />
      <span class="tile-name name" title=${style.name} aria-hidden="true" onClick=${pick}>${T.shelf.short(style.name)}</span>
    </li>`;
}

function Shares() {
  const { styles, shares, apart } = draft.value;
  const total = styles.reduce((sum, one) => sum + (shares[one.key] ?? 1), 0) || 1;
  const choice = [
    [false, T.shelf.together],
    [true, T.shelf.apart],
  ];
  return html`
    <div class="segments" role="radiogroup" aria-label=${T.shelf.several}>
      ${choice.map(
        ([value, label]) => html`
        <label><input type="radio" name="apart" checked=${apart === value} data-test=${value ? "apart" : "together"}
          onChange=${() => change({ apart: value })} /><span>${label}</span></label>`,
      )}
    </div>
    ${!apart && html`<ul class="shares" aria-label=${T.shelf.shares}>
      ${styles.map((one) => {
        const share = shares[one.key] ?? 1;
        const percent = Math.round((100 * share) / total);
        return html`
          <li key=${one.key}>
            <img src=${one.thumbnail} alt="" />
            <label><span class="name">${T.shelf.short(one.name)}</span>
              <input type="range" min="0.05" max="1" step="0.05" value=${share} aria-valuetext=${T.percent(percent)}
                data-test=${`share-${one.name}`} aria-label=${T.shelf.share(one.name)}
                onInput=${(event) => change({ shares: { ...shares, [one.key]: Number(event.target.value) } })} />
            </label>
            <output>${T.percent(percent)}</output>
            <${Button} icon="close" bare kind="tiny quiet" label=${T.shelf.unchoose(one.name)}
              onClick=${() => change({ styles: styles.filter((other) => other.key !== one.key) })} />
          </li>`;
      })}
    </ul>`}`;
}

function Rename() {
  const image = renaming.value;
  const close = () => (renaming.value = null);
  const save = (event) => {
    event.preventDefault();
    const name = new FormData(event.target).get("name").trim();
    if (name) {
      attempt(async () => {
        const renamed = keepImage(await patch(`/images/${image.id}`, { name }));
        change({ styles: draft.value.styles.map((one) => (one.image === image.id ? styleOf.image(renamed) : one)) });
      });
    }
    close();
  };
  return html`
    <${Dialog} title=${T.shelf.rename} onClose=${close} test="rename-dialog">
      <form onSubmit=${save} class="stack">
        <label class="field">${T.shelf.name}<input name="name" value=${image.name} required maxlength="200" /></label>
        <div class="row end"><button class="primary" type="submit">${T.save}</button></div>
      </form>
    <//>`;
}

export function Shelf() {
  return html`
    <section class="panel" aria-labelledby="style-title" data-drop="style">
      <div class="row between">
        <h2 id="style-title">${draft.value.styles.length > 1 ? T.shelf.titles : T.shelf.title}</h2>
        <label class="switch small"><input type="checkbox" role="switch" checked=${mixing.value} data-test="mix"
          onChange=${(event) => (mixing.value = event.target.checked)} /><span>${T.shelf.mix}</span></label>
      </div>
      <ul class="tiles">
        <li class="tile">
          <label class="tile-main add-tile">
            <input type="file" accept=${ACCEPT} multiple data-test="style-input"
              onChange=${picked((files) => addPaintings(files, mixing.value))} />
            <${Icon} name="add" /><span>${T.shelf.add}</span>
          </label>
        </li>
        ${tiles.value.map((tile) => html`<${Tile} key=${tile.key} tile=${tile} />`)}
      </ul>
      <${Errors} errors=${styleErrors.value} />
      ${draft.value.styles.length > 1 && html`<${Shares} />`}
      ${renaming.value && html`<${Rename} />`}
    </section>`;
}
