// Pictures that change while they're looked at, in a frame of their own shape.
import { html, useEffect, useRef, useSignal } from "./html.js";

/** An image whose next picture is decoded before it shows: no flicker, and none is waited for twice. */
export function SwapImage({ src, alt, first, ...rest }) {
  const shown = useSignal(first ?? null);
  const wanted = useRef(null);
  const busy = useRef(false);
  const gone = useRef(false);
  useEffect(() => () => (gone.current = true), []);
  useEffect(() => {
    wanted.current = src;
    if (!src || busy.current) return;
    busy.current = true;
    (async () => {
      let last = null;
      while (!gone.current && wanted.current !== last) {
        last = wanted.current;
        const next = new Image();
        next.src = last;
        // A preview may be gone by the time it's asked for; the one that shows stays.
        if (
          await next.decode().then(
            () => true,
            () => false,
          )
        )
          shown.value = last;
      }
      busy.current = false;
    })();
  }, [src]);
  return shown.value && html`<img src=${shown.value} alt=${alt} draggable=${false} ...${rest} />`;
}

/** The largest box of a picture's shape that fits; small pictures grow to two and a half times at most. */
export const Frame = ({ width, height, children, kind = "" }) => html`
  <div class="frame">
    <div class=${`fit ${kind}`} style=${`--w:${width || 4};--h:${height || 3}`}>${children}</div>
  </div>`;
