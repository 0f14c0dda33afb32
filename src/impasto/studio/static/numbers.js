// How a number's slider runs: knobs have bounds from 0.05 to 10¹², and a slider must still be of use.

const WIDE = 16; // bounds this far apart, as a ratio, run logarithmically
const REACH = 8; // such a slider goes from an eighth of the default to eight times it; the field takes the rest
const MOST = 1e6; // a range beyond this says nothing about what is usual

const starting = (knob) => (typeof knob.default === "number" ? knob.default : null);

/** {least, most, log} of a knob's slider, or null where a field alone serves. */
export function sliderOf(knob) {
  const { minimum, maximum } = knob;
  const usual = starting(knob);
  if (minimum > 0 && usual > 0 && (maximum === null || maximum / minimum >= WIDE)) {
    return { least: Math.max(minimum, usual / REACH), most: Math.min(maximum ?? Infinity, usual * REACH), log: true };
  }
  if (minimum === null || (maximum === null && !usual)) return null;
  if (maximum === null || (usual > 0 && maximum > 20 * usual)) return { least: minimum, most: 4 * usual, log: false };
  return maximum > MOST ? null : { least: minimum, most: maximum, log: false };
}

/** A knob's value at a place of its slider from 0 to 1000. */
export function valueAt(place, slider, knob) {
  const share = place / 1000;
  if (!slider.log) return rounded(slider.least + share * (slider.most - slider.least), knob, slider);
  return rounded(slider.least * (slider.most / slider.least) ** share, knob, slider);
}

export function placeOf(value, slider) {
  const within = Math.min(slider.most, Math.max(slider.least, value));
  const share = slider.log
    ? Math.log(within / slider.least) / Math.log(slider.most / slider.least)
    : (within - slider.least) / (slider.most - slider.least);
  return Math.round(1000 * share);
}

/** Round numbers, so that a slider gives 0.35 and 768, not 0.3517 and 769. */
function rounded(value, knob, slider) {
  if (knob.kind === "integer") {
    const grain = value >= 2000 ? 64 : value >= 128 ? 16 : 1;
    return Math.min(slider.most, Math.max(Math.ceil(slider.least), Math.round(value / grain) * grain));
  }
  const grain = slider.log
    ? 10 ** (Math.floor(Math.log10(value)) - 1)
    : 10 ** Math.floor(Math.log10((slider.most - slider.least) / 60));
  return Number((Math.round(value / grain) * grain).toPrecision(6));
}

/** The arrow keys' step of a slider, in its places: one grain, so that no press is lost. */
export function stepOf(slider, knob) {
  if (slider.log) return 10;
  const span = slider.most - slider.least;
  return knob.kind === "integer"
    ? Math.max(1, Math.round(1000 / span))
    : Math.max(1, Math.round((1000 * 10 ** Math.floor(Math.log10(span / 60))) / span));
}

/** Where a word such as auto is left for a number. */
export function firstNumber(knob) {
  const usual = starting(knob);
  if (usual !== null) return usual;
  if (knob.minimum !== null && knob.maximum !== null && knob.maximum <= 16) {
    const middle = knob.minimum > 0 ? Math.sqrt(knob.minimum * knob.maximum) : (knob.minimum + knob.maximum) / 2;
    return knob.kind === "integer" ? Math.round(middle) : Number(middle.toPrecision(2));
  }
  return Math.max(knob.minimum ?? 1, 1);
}
