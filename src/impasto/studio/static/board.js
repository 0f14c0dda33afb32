// The canvas that a mask is painted on: mouse, pen, finger, keys.
import { html, signal, useEffect, useRef } from "./html.js";
import { T } from "./texts.js";

export const size = signal(12); // percent of the shorter side
export const softness = signal(0.3);
export const erasing = signal(false);

/** The canvas over its picture, and everything that draws on it: mouse, pen, finger, keys. */
export function Board({ layer, mask, redraw }) {
  const box = useRef(null);
  const ring = useRef(null);
  const { width, height } = mask.canvas;
  const diameter = () => (size.value / 100) * Math.min(width, height);

  useEffect(() => {
    const { canvas } = mask;
    canvas.className = "mask-canvas";
    canvas.setAttribute("aria-hidden", "true");
    box.current.append(canvas);
    return () => canvas.remove();
  }, [mask]);

  const place = (event) => {
    const { left, top, width: shown } = box.current.getBoundingClientRect();
    const scale = width / shown;
    return [(event.clientX - left) * scale, (event.clientY - top) * scale, 1 / scale];
  };
  const follow = (x, y, shown) => {
    const across = diameter() * shown;
    ring.current.style.cssText = `inline-size:${across}px;block-size:${across}px;transform:translate(${x * shown - across / 2}px,${y * shown - across / 2}px)`;
  };
  const tool = (event) => ({
    diameter: diameter(),
    softness: softness.value,
    erase: erasing.value || event.buttons === 32 || event.altKey,
  });
  const pressureOf = (one) => (one.pointerType === "pen" ? one.pressure : 1);
  const down = (event) => {
    if (event.button !== 0 && event.button !== 5) return;
    event.preventDefault();
    box.current.focus({ preventScroll: true });
    box.current.setPointerCapture(event.pointerId);
    const [x, y] = place(event);
    mask.begin(x, y, { ...tool(event), pressure: pressureOf(event) });
  };
  const moved = (event) => {
    const [x, y, shown] = place(event);
    follow(x, y, shown);
    if (!mask.stroke) return;
    // Fast strokes have more points than frames.
    for (const one of event.getCoalescedEvents?.() ?? [event]) {
      const [px, py] = place(one);
      mask.move(px, py, pressureOf(one));
    }
  };
  const up = () => {
    mask.end();
    redraw();
  };

  // Without a pointer: arrows move the brush, space or Enter dabs.
  const at = useRef([width / 2, height / 2]);
  const keys = (event) => {
    if (event.ctrlKey || event.metaKey) return; // of the whole page: undo, Paint
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const shown = box.current.getBoundingClientRect().width / width;
    if (step) {
      event.preventDefault();
      const by = (event.shiftKey ? 1 : 0.25) * diameter();
      at.current = [
        Math.min(width, Math.max(0, at.current[0] + step[0] * by)),
        Math.min(height, Math.max(0, at.current[1] + step[1] * by)),
      ];
      follow(...at.current, shown);
    } else if (event.key === " " || event.key === "Enter") {
      event.preventDefault();
      mask.begin(...at.current, tool(event));
      up();
      follow(...at.current, shown);
    }
  };
  return html`
    <div class="board" ref=${box} tabindex="0" role="application" aria-label=${T.masks.board(layer.label)}
      data-test="mask-board"
      onPointerDown=${down} onPointerMove=${moved} onPointerUp=${up} onPointerCancel=${up} onKeyDown=${keys}>
      <img src=${layer.backdrop.view} alt="" draggable=${false} />
      <span class="ring" ref=${ring} aria-hidden="true"></span>
    </div>`;
}
