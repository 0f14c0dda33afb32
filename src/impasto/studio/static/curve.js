// The loss over the steps of a job. The library comes only when a curve is looked at.
import { get } from "./api.js";
import { html, useEffect, useRef, useSignal } from "./html.js";
import { isActive } from "./jobs.js";
import { systemDark, theme } from "./state.js";
import { T } from "./texts.js";

const HEIGHT = 124; // px
const EVERY = 2000; // ms between two looks at a curve that grows

async function library() {
  if (!document.getElementById("uplot-style")) {
    const link = Object.assign(document.createElement("link"), {
      id: "uplot-style",
      rel: "stylesheet",
      href: "/static/vendor/uplot.css",
    });
    document.head.append(link);
  }
  return (await import("./vendor/uplot.js")).default;
}

function options(width) {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const axis = {
    stroke: colour("--muted"),
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { show: false },
    font: "11px system-ui",
  };
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, points: { show: false } },
    // The loss falls by decades: a logarithm shows the last steps too.
    scales: { x: { time: false }, y: { distr: 3 } },
    axes: [
      { ...axis, size: 26 },
      { ...axis, size: 44, values: (_, ticks) => ticks.map((one) => (one === null ? "" : T.loss(one))) },
    ],
    series: [{}, { stroke: colour("--accent"), width: 1.5, points: { show: false } }],
  };
}

export function Curve({ job }) {
  const place = useRef(null);
  const chart = useRef(null);
  const asked = useRef(0);
  const data = useSignal(null);
  const dark = theme.value === "dark" || (theme.value === "system" && systemDark.matches);

  useEffect(() => {
    if (isActive(job) && Date.now() - asked.current < EVERY) return;
    asked.current = Date.now();
    get(`/jobs/${job.id}/curve`)
      .then((curve) => (data.value = curve))
      .catch(() => {});
  }, [job.progress?.step, job.state]);

  useEffect(() => {
    let live = true;
    let watch;
    library().then((UPlot) => {
      if (!live || !place.current) return;
      const box = place.current;
      chart.current = new UPlot(options(box.clientWidth), [[], []], box);
      draw();
      watch = new ResizeObserver(() => chart.current?.setSize({ width: box.clientWidth, height: HEIGHT }));
      watch.observe(box);
    });
    return () => {
      live = false;
      watch?.disconnect();
      chart.current?.destroy();
      chart.current = null;
    };
  }, [job.id, dark]);

  const draw = () => {
    const { steps = [], loss = [] } = data.value ?? {};
    // A logarithmic axis has no place for zero.
    chart.current?.setData([steps, loss.map((one) => (one > 0 ? one : null))]);
  };
  useEffect(draw, [data.value]);

  const losses = data.value?.loss ?? [];
  const text = losses.length ? T.watch.curveText(losses[0], losses.at(-1), losses.length) : T.watch.curveNone;
  return html`<figure class="curve"><figcaption>${T.watch.curve}</figcaption>
    <div ref=${place} role="img" aria-label=${text}></div></figure>`;
}
