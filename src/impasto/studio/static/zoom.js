// Zooming into a picture to its pixels, with OpenSeadragon, which is fetched when it's first wanted.
import { pictureUrl } from "./api.js";
import { Button, Dialog, html, useEffect, useRef, useSignal } from "./html.js";
import { T } from "./texts.js";

let loading = null;

/** The library is a classic script: it sets a global. */
function library() {
  loading ??= new Promise((yes, no) => {
    const script = Object.assign(document.createElement("script"), { src: "/static/vendor/openseadragon.js" });
    script.onload = () => yes(window.OpenSeadragon);
    script.onerror = () => {
      loading = null;
      no(new Error(T.connection.gone));
    };
    document.head.append(script);
  });
  return loading;
}

export function Zoom({ job, onClose }) {
  const place = useRef(null);
  const viewer = useRef(null);
  const ready = useSignal(false);
  useEffect(() => {
    let live = true;
    library()
      .then((osd) => {
        if (!live) return;
        const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
        viewer.current = osd({
          element: place.current,
          tileSources: { type: "image", url: pictureUrl(job) },
          drawer: "canvas",
          showNavigationControl: false,
          maxZoomPixelRatio: 12,
          minZoomImageRatio: 0.8,
          visibilityRatio: 0.6,
          animationTime: still ? 0 : 0.35,
          gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
          // Pixels are what one zooms in for: they stay square.
          imageSmoothingEnabled: false,
        });
        viewer.current.addOnceHandler("open", () => (ready.value = true));
      })
      .catch(() => onClose());
    return () => {
      live = false;
      viewer.current?.destroy();
    };
  }, [job.id]);
  const by = (factor) => {
    viewer.current?.viewport.zoomBy(factor);
    viewer.current?.viewport.applyConstraints();
  };
  const pixels = () => {
    const { viewport } = viewer.current ?? {};
    viewport?.zoomTo(viewport.imageToViewportZoom(1 / devicePixelRatio));
  };
  return html`
    <${Dialog} title=${job.title} onClose=${onClose} kind="full" test="zoom-dialog">
      <div class="zoom" ref=${place} data-test="zoom-view" data-ready=${String(ready.value)}></div>
      <div class="row center">
        <${Button} icon="minus" bare label=${T.zoom.out} test="zoom-out" onClick=${() => by(1 / 1.5)} />
        <${Button} icon="add" bare label=${T.zoom.in} test="zoom-in" onClick=${() => by(1.5)} />
        <${Button} label=${T.zoom.pixels} test="zoom-pixels" onClick=${pixels} />
        <${Button} icon="fit" label=${T.zoom.fit} test="zoom-fit" onClick=${() => viewer.current?.viewport.goHome()} />
      </div>
    <//>`;
}
