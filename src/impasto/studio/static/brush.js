// A mask that is painted: a canvas whose alpha is the mask, brush and eraser, undo, and PNG in and out.
//
// No interface here: masks.js draws around it. The colour is only for the eye; alpha alone is the mask.

const MOST_UNDO = 60;
const SPACING = 0.12; // between two dabs, in brush diameters: closer looks the same and takes longer

const canvasOf = (width, height) => Object.assign(document.createElement("canvas"), { width, height });
const clamp = (value, most) => Math.min(most, Math.max(0, value));

export class Mask {
  constructor(width, height, colour) {
    this.canvas = canvasOf(width, height);
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    this.colour = colour;
    this.done = [];
    this.undone = [];
    this.stroke = null;
    /** Whether it differs from what was last uploaded. */
    this.dirty = false;
  }

  get empty() {
    const { data } = this.context.getImageData(0, 0, this.canvas.width, this.canvas.height);
    for (let at = 3; at < data.length; at += 4) if (data[at]) return false;
    return true;
  }

  /** Begin a stroke at a place in the mask's pixels. `softness` from 0, a hard rim, to 1; `pressure` as in `move`. */
  begin(x, y, { diameter, softness, erase, level = 1, pressure = 1 }) {
    const before = canvasOf(this.canvas.width, this.canvas.height);
    before.getContext("2d").drawImage(this.canvas, 0, 0);
    this.stroke = {
      x,
      y,
      diameter,
      softness,
      erase,
      level,
      left: 0,
      before,
      box: [Infinity, Infinity, -Infinity, -Infinity],
    };
    this.dab(x, y, pressure);
  }

  /** Draw on to a place; `pressure` from 0 to 1 makes a pen's line thinner. */
  move(x, y, pressure = 1) {
    const { stroke } = this;
    if (!stroke) return;
    const gap = Math.max(1, stroke.diameter * SPACING);
    const length = Math.hypot(x - stroke.x, y - stroke.y);
    let at = gap - stroke.left;
    for (; at <= length; at += gap) {
      this.dab(stroke.x + ((x - stroke.x) * at) / length, stroke.y + ((y - stroke.y) * at) / length, pressure);
    }
    stroke.left = length - (at - gap);
    Object.assign(stroke, { x, y });
  }

  dab(x, y, pressure) {
    const { stroke, context } = this;
    const radius = Math.max(0.5, (stroke.diameter / 2) * (0.3 + 0.7 * pressure));
    const gradient = context.createRadialGradient(x, y, radius * (1 - stroke.softness) * 0.98, x, y, radius);
    // Soft dabs overlap many times; fainter ones add up to a soft rim instead of a hard one.
    const strength = stroke.level * (1 - 0.7 * stroke.softness);
    gradient.addColorStop(0, `rgb(${this.colour} / ${strength})`);
    gradient.addColorStop(1, `rgb(${this.colour} / 0)`);
    context.globalCompositeOperation = stroke.erase ? "destination-out" : "source-over";
    context.fillStyle = gradient;
    context.fillRect(x - radius, y - radius, 2 * radius, 2 * radius);
    context.globalCompositeOperation = "source-over";
    const { box } = stroke;
    stroke.box = [
      Math.min(box[0], x - radius),
      Math.min(box[1], y - radius),
      Math.max(box[2], x + radius),
      Math.max(box[3], y + radius),
    ];
  }

  end() {
    if (!this.stroke) return;
    const { before, box } = this.stroke;
    this.stroke = null;
    this.record(before, box);
  }

  /** Keep for undo what a change replaced, only where it did. */
  record(before, [left, top, right, bottom]) {
    const x = Math.floor(clamp(left - 1, this.canvas.width - 1));
    const y = Math.floor(clamp(top - 1, this.canvas.height - 1));
    const width = Math.ceil(clamp(right + 1, this.canvas.width)) - x;
    const height = Math.ceil(clamp(bottom + 1, this.canvas.height)) - y;
    if (width <= 0 || height <= 0) return;
    this.done = [
      ...this.done.slice(1 - MOST_UNDO),
      {
        x,
        y,
        before: before.getContext("2d").getImageData(x, y, width, height),
        after: this.context.getImageData(x, y, width, height),
      },
    ];
    this.undone = [];
    this.dirty = true;
  }

  undo() {
    const last = this.done.pop();
    if (!last) return;
    this.context.putImageData(last.before, last.x, last.y);
    this.undone.push(last);
    this.dirty = true;
  }

  redo() {
    const next = this.undone.pop();
    if (!next) return;
    this.context.putImageData(next.after, next.x, next.y);
    this.done.push(next);
    this.dirty = true;
  }

  /** Change the whole mask, as one step of undo. */
  whole(change) {
    const { width, height } = this.canvas;
    const before = canvasOf(width, height);
    before.getContext("2d").drawImage(this.canvas, 0, 0);
    change(this.context, width, height);
    this.record(before, [0, 0, width, height]);
  }

  clear() {
    this.whole((context, width, height) => context.clearRect(0, 0, width, height));
  }

  invert() {
    this.whole((context, width, height) => {
      const pixels = context.getImageData(0, 0, width, height);
      const [red, green, blue] = this.colour.split(" ").map(Number);
      for (let at = 0; at < pixels.data.length; at += 4) {
        pixels.data.set([red, green, blue, 255 - pixels.data[at + 3]], at);
      }
      context.putImageData(pixels, 0, 0);
    });
  }

  /** Take a picture as the mask: white is painted, black is not, greys between; transparent counts as black. */
  async load(url) {
    const image = new Image();
    image.src = url;
    await image.decode();
    this.whole((context, width, height) => {
      const sheet = canvasOf(width, height).getContext("2d", { willReadFrequently: true });
      sheet.fillStyle = "#000";
      sheet.fillRect(0, 0, width, height);
      sheet.drawImage(image, 0, 0, width, height);
      const pixels = sheet.getImageData(0, 0, width, height);
      const [red, green, blue] = this.colour.split(" ").map(Number);
      const { data } = pixels;
      for (let at = 0; at < data.length; at += 4) {
        const light = Math.round(0.2126 * data[at] + 0.7152 * data[at + 1] + 0.0722 * data[at + 2]);
        data.set([red, green, blue, light], at);
      }
      context.putImageData(pixels, 0, 0);
    });
  }

  /** The mask as a PNG, white on black. */
  png() {
    const { width, height } = this.canvas;
    const pixels = this.context.getImageData(0, 0, width, height);
    for (let at = 0; at < pixels.data.length; at += 4) {
      const value = pixels.data[at + 3];
      pixels.data.set([value, value, value, 255], at);
    }
    const sheet = canvasOf(width, height);
    sheet.getContext("2d").putImageData(pixels, 0, 0);
    return new Promise((done) => sheet.toBlob(done, "image/png"));
  }
}
