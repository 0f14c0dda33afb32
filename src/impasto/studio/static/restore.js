// Settings and inputs back from a run or from a picture's recipe.
import { get } from "./api.js";
import { ELSEWHERE, change, draft, styleOf } from "./draft.js";
import { changedOptions } from "./film.js";
import { fetchImage, knobs, swatches, toast } from "./state.js";
import { T } from "./texts.js";

/** Take settings and inputs from a finished run. */
export async function adopt(job) {
  const whole = await get(`/jobs/${job.id}`).catch(() => job);
  const ids = (list) => (list ?? []).map((id) => ({ image: id }));
  await restore({
    ...whole,
    content: { name: whole.content.name, image: whole.content.image },
    masks: ids(whole.masks),
    style_masks: ids(whole.style_masks),
    strength_map: { image: whole.strength_map },
    init: { image: whole.init },
    film: whole.film && changedOptions(whole.film),
  });
}

/** Take settings and inputs from a recipe; what isn't on this server is named, and the user's own stays. */
export async function restore(recipe) {
  const missing = [];
  const image = async (one) => {
    if (!one?.image) return (one?.name && missing.push(one.name), null);
    return fetchImage(one.image).catch(() => (missing.push(one.name ?? one.image), null));
  };
  const content = await image(recipe.content);
  const styles = [];
  const masks = {};
  const styleMasks = {};
  const weights = recipe.settings?.style_weights ?? [];
  const shares = {};
  for (const [index, one] of recipe.styles.entries()) {
    const painting = one.swatch ? null : await image(one);
    if (!one.swatch && !painting) continue;
    const swatch = swatches.value.find((known) => known.name === one.swatch);
    if (one.swatch && !swatch) {
      missing.push(one.swatch);
      continue;
    }
    const style = swatch ? styleOf.swatch(swatch) : styleOf.image(painting);
    styles.push(style);
    masks[style.key] = recipe.masks?.[index]?.image ? await image(recipe.masks[index]) : null;
    styleMasks[style.key] = recipe.style_masks?.[index]?.image ? await image(recipe.style_masks[index]) : null;
    if (weights[index] !== undefined) shares[style.key] = weights[index];
  }
  const settings = Object.fromEntries(
    Object.entries(recipe.settings ?? {}).filter(([name]) => {
      const knob = knobs.value.get(name);
      // Pictures come as images, not by the names that files had: of such knobs only words stay settings.
      return knob && !ELSEWHERE.has(name) && (!knob.images || (knob.words ?? []).includes(recipe.settings[name]));
    }),
  );
  change({
    contents: content ? [content] : draft.value.contents,
    folder: content ? null : draft.value.folder,
    apart: false,
    styles: styles.length ? styles : draft.value.styles,
    shares,
    masks,
    styleMasks,
    settings,
    preset: recipe.preset ?? null,
    strengthMap: recipe.strength_map?.image ? await image(recipe.strength_map) : null,
    film: recipe.film ?? {},
    init: recipe.init?.image ? await image(recipe.init) : null,
  });
  toast(missing.length ? T.restore.missing(missing) : T.restore.done);
}
