// Painting masks over the photo: one layer a style, one for the strength, one for what counts of a painting.
import { Button, Icon, Menu, html, useEffect, useMemo, useRef, useSignal } from "./html.js";
import { Board, erasing, size, softness } from "./board.js";
import { Mask } from "./brush.js";
import { beforeSubmit, change, draft } from "./draft.js";
import { picked, uploadMask } from "./files.js";
import { Frame } from "./picture.js";
import { attempt, imageOf, maskShelf, masking, tab } from "./state.js";
import { T } from "./texts.js";

const SIDE = 1280; // px of a mask's longer side: masks are soft, and this is finer than any brush
const COLOURS = ["92 110 255", "255 122 64", "34 178 138", "220 76 160", "214 170 20"];

/** Boards by the photo's id: what was painted outlives a look at another picture. */
const boards = new Map();

function boardsOf(photo) {
  if (!boards.has(photo.id)) boards.set(photo.id, new Map());
  return boards.get(photo.id);
}

/** What can be painted: {key, label, why, saved, save(IMAGE|null), backdrop}. */
function layersOf({ styles, masks, styleMasks, strengthMap }, photo) {
  return [
    ...styles.map((style) => ({
      key: style.key,
      label: style.name,
      why: styles.length > 1 ? T.masks.whySome(style.name) : T.masks.whyOne,
      saved: masks[style.key],
      save: (image) => change({ masks: { ...draft.value.masks, [style.key]: image } }),
      backdrop: photo,
    })),
    {
      key: "strength",
      label: T.masks.strength,
      why: T.masks.whyStrength,
      saved: strengthMap,
      save: (image) => change({ strengthMap: image }),
      backdrop: photo,
    },
    ...styles
      .filter((style) => style.image)
      .map((style) => ({
        key: `of ${style.key}`,
        label: T.masks.part(style.name),
        why: T.masks.whyPart,
        saved: styleMasks[style.key],
        save: (image) => change({ styleMasks: { ...draft.value.styleMasks, [style.key]: image } }),
        backdrop: imageOf(style.image),
      })),
  ];
}

/** What is being taken from boards: one after another, so that no mask is sent twice. */
let taking = Promise.resolve();

/** Take what was painted over a photo into the draft; whether all of it was. What wasn't stays on its board. */
function take(photo) {
  const isChosen = () => draft.value.contents[0]?.id === photo.id;
  taking = taking.then(() =>
    attempt(async () => {
      for (const one of layersOf(draft.value, photo)) {
        const painted = boards.get(photo.id)?.get(one.key);
        if (!painted?.dirty || !isChosen()) continue;
        const image = painted.empty ? null : await uploadMask(await painted.png(), `${T.masks.file(one.label)}.png`);
        if (!isChosen()) continue;
        Object.assign(painted, { dirty: false, saved: image?.id });
        one.save(image);
      }
      return true;
    }),
  );
  return taking;
}

// Whoever presses Paint while the board is open means what is on it.
beforeSubmit(async () => {
  if (!(await take(draft.value.contents[0]))) return false;
  masking.value = false;
  return true;
});

function sized({ width, height }) {
  const factor = Math.min(1, SIDE / Math.max(width, height));
  return [Math.max(1, Math.round(width * factor)), Math.max(1, Math.round(height * factor))];
}

function Tools({ mask, redraw, layer }) {
  const act = (run) => async () => {
    await attempt(run);
    redraw();
  };
  const load = (url) => act(() => mask.load(url))();
  const take = ([file]) => file && load(URL.createObjectURL(file));
  const save = async () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await mask.png());
    link.download = `${T.masks.file(layer.label)}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 5000);
  };
  return html`
    <div class="tools" role="toolbar" aria-label=${T.masks.tools}>
      <${Button} icon="brush" label=${T.masks.brush} test="brush" pressed=${String(!erasing.value)}
        onClick=${() => (erasing.value = false)} />
      <${Button} icon="eraser" label=${T.masks.eraser} test="eraser" pressed=${String(erasing.value)}
        onClick=${() => (erasing.value = true)} />
      <label class="slim">${T.masks.size}<input type="range" min="1" max="60" value=${size.value}
        aria-valuetext=${T.percent(size.value)} data-test="brush-size"
        onInput=${(event) => (size.value = Number(event.target.value))} /></label>
      <label class="slim">${T.masks.softness}<input type="range" min="0" max="1" step="0.05" value=${softness.value}
        data-test="brush-softness"
        aria-valuetext=${T.percent(Math.round(100 * softness.value))}
          onInput=${(event) => (softness.value = Number(event.target.value))} /></label>
      <span class="row">
        <${Button} icon="undo" label=${T.masks.undo} kind="word" test="undo" disabled=${!mask.done.length}
          onClick=${act(() => mask.undo())} />
        <${Button} icon="redo" label=${T.masks.redo} kind="word" test="redo" disabled=${!mask.undone.length}
          onClick=${act(() => mask.redo())} />
        <${Button} icon="invert" label=${T.masks.invert} kind="word" test="invert" title=${T.masks.swap}
          onClick=${act(() => mask.invert())} />
        <${Button} icon="trash" label=${T.masks.clear} kind="word" test="clear" onClick=${act(() => mask.clear())} />
        <label class="picker button bare" title=${T.masks.import}><input type="file" accept="image/*"
          data-test="mask-import" aria-label=${T.masks.import}
          onChange=${picked(take)} /><${Icon} name="upload" /></label>
        <${Button} icon="download" bare label=${T.masks.export} test="mask-export" onClick=${() => attempt(save)} />
        <${Menu} icon="history" bare label=${T.masks.earlier} test="mask-earlier">
          ${maskShelf.value.length === 0 && html`<p class="muted small">${T.masks.noEarlier}</p>`}
          <div class="earlier">${maskShelf.value.slice(0, 24).map(
            (one) => html`
            <button type="button" title=${one.name} aria-label=${one.name} data-test="mask-reuse"
              onClick=${() => load(one.file)}><img src=${one.thumbnail} alt="" /></button>`,
          )}</div>
        <//>
      </span>
    </div>`;
}

export function MaskEditor({ photo }) {
  const masks = useMemo(() => boardsOf(photo), [photo.id]);
  const layers = layersOf(draft.value, photo);
  const chosen = useSignal(layers[0].key);
  const drawn = useSignal(0);
  const saving = useSignal(false);
  const redraw = () => (drawn.value += 1);
  const layer = layers.find((one) => one.key === chosen.value) ?? layers[0];
  drawn.value; // buttons follow what can be undone

  const there = masks.get(layer.key);
  // Another mask may have come from a recipe or an earlier run; what isn't saved yet stays.
  if (layer.backdrop && (!there || (!there.dirty && there.saved !== layer.saved?.id))) {
    const mask = new Mask(...sized(layer.backdrop), COLOURS[layers.indexOf(layer) % COLOURS.length]);
    mask.saved = layer.saved?.id;
    masks.set(layer.key, mask);
    if (layer.saved) {
      attempt(() => mask.load(layer.saved.file)).then(() => {
        // What was saved is where this session's undo begins.
        Object.assign(mask, { done: [], dirty: false });
        redraw();
      });
    }
  }
  const mask = masks.get(layer.key);

  const finish = async () => {
    saving.value = true;
    const kept = await take(photo);
    saving.value = false;
    if (!kept) return; // what was painted stays on the board
    masking.value = false;
    tab.value = "create";
  };
  const leave = () => {
    boards.delete(photo.id);
    masking.value = false;
    tab.value = "create";
  };
  // Whoever looks at another picture meanwhile hasn't taken anything back either.
  useEffect(() => () => take(photo), []);
  const swap = () => {
    mask.invert();
    redraw();
  };
  const live = useRef(null);
  live.current = { mask, finish };
  useEffect(() => {
    const keys = (event) => {
      if (event.target.matches("input:not([type=range]), textarea, select") || document.querySelector("dialog[open]"))
        return;
      const undoes = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z";
      const done = {
        "[": () => (size.value = Math.max(1, Math.round(size.value * 0.85 - 0.5))),
        "]": () => (size.value = Math.min(60, Math.round(size.value * 1.15 + 0.5))),
        x: () => (erasing.value = !erasing.value),
        b: () => (erasing.value = false),
        e: () => (erasing.value = true),
      };
      const run = undoes
        ? () => live.current.mask[event.shiftKey ? "redo" : "undo"]()
        : event.ctrlKey || event.metaKey
          ? null
          : done[event.key.toLowerCase()];
      if (!run) return;
      event.preventDefault();
      run();
      redraw();
    };
    addEventListener("keydown", keys);
    return () => removeEventListener("keydown", keys);
  }, []);

  return html`
    <div class="stage-head masks-head"><h2>${T.masks.title}</h2><p class="muted small">${layer.why}
      ${
        mask &&
        layer.backdrop === photo &&
        html` ${T.masks.spare} <button type="button" class="link" data-test="swap" onClick=${swap}>${T.masks.swap}</button>.`
      }</p></div>
    <div class="layers" role="group" aria-label=${T.masks.layers}>
      ${layers.map(
        (one, at) => html`
        <button type="button" class="chip" aria-pressed=${String(one.key === layer.key)} data-test=${`layer-${one.key}`}
          style=${`--dot:rgb(${COLOURS[at % COLOURS.length]})`} onClick=${() => (chosen.value = one.key)}>
          <i class=${one.saved || masks.get(one.key)?.done.length ? "dot full" : "dot"}></i>${T.shelf.short(one.label)}</button>`,
      )}
    </div>
    ${
      mask
        ? html`<${Tools} mask=${mask} redraw=${redraw} layer=${layer} />
        <${Frame} width=${layer.backdrop.width} height=${layer.backdrop.height}><${Board} key=${layer.key} layer=${layer} mask=${mask} redraw=${redraw} /><//>`
        : html`<p class="muted">${T.loading}</p>`
    }
    <div class="stage-foot"><div class="row center wrap">
      <${Button} icon="check" label=${saving.value ? T.masks.saving : T.masks.done} kind="primary" test="mask-done"
        disabled=${saving.value} onClick=${finish} />
      <${Button} label=${T.never} test="mask-cancel" onClick=${leave} />
      <span class="muted small keys-hint">${T.masks.keys}</span>
    </div></div>`;
}
