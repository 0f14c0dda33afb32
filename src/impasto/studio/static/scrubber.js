// A film on the stage: its newest frame or the film itself, and a slider over the frames that are finished.
import { filmUrl, firstFrameUrl, frameUrl, originalUrl } from "./api.js";
import { Button, Menu, html, said, useSignal } from "./html.js";
import { Slider, comparing } from "./compare.js";
import { cancel, pause, resume } from "./jobs.js";
import { Frame, SwapImage } from "./picture.js";
import { imageOf } from "./state.js";
import { T } from "./texts.js";

/** The finished frame that is nearest to a number. */
function nearest(job, wanted) {
  const runs = job.progress?.film?.finished ?? [];
  const ends = runs.map(([first, end]) => Math.min(Math.max(wanted, first), end - 1));
  return ends.reduce((best, one) => (Math.abs(one - wanted) < Math.abs(best - wanted) ? one : best), ends[0] ?? 0);
}

/** A painted frame, beside the film's own under the line where they are compared. */
function Painted({ job, number, first, children }) {
  const alt = T.film.frame(job.title, number + 1);
  if (comparing.value)
    return html`<${Slider} width=${job.width} height=${job.height} label=${T.film.line}
      before=${{ src: originalUrl(job, number), alt: T.film.original(number + 1), tag: T.film.before }}
      after=${{ src: frameUrl(job, number), alt, tag: T.compare.painted }} />`;
  return html`<${Frame} width=${job.width} height=${job.height} kind="painting">
    <${SwapImage} key=${job.id} first=${first} src=${frameUrl(job, number)} alt=${alt} data-test="frame" />${children}<//>`;
}

/** The slider over the whole film, which stops at frames that are finished; `take` is given the one that is to show. */
function Scrubber({ job, number, take, children }) {
  const frames = job.progress?.steps ?? 1;
  const told = T.film.at(number + 1, frames);
  const move = (event) => {
    const there = nearest(job, Number(event.target.value));
    event.target.value = there;
    take(there);
  };
  return html`
    <div class="scrubber">
      ${children}
      <input type="range" min="0" max=${frames - 1} step="1" value=${number} disabled=${frames === 1}
        aria-label=${T.film.scrubber} aria-valuetext=${told} data-test="scrubber" onInput=${move} />
      <output class="small" data-test="scrubber-at">${told}</output>
    </div>`;
}

const CompareFrames = () => html`
  <${Button} icon="compare" label=${T.compare.before} pressed=${String(comparing.value)} test="compare"
    onClick=${() => (comparing.value = !comparing.value)} />`;

function Progress({ job }) {
  const { step = 0, steps = 0, film } = job.progress ?? {};
  const share = steps ? Math.round((100 * step) / steps) : 0;
  return html`
    <div class="progress-block">
      <div class=${`progress ${job.state}`} role="progressbar" aria-label=${T.watch.progress} aria-valuemin="0"
        aria-valuemax="100" aria-valuenow=${share} data-test="progress"><span style=${`inline-size:${share}%`}></span></div>
      <p class="row between small">
        <span data-test="film-progress">${film ? T.film.progress(step, steps, film) : T.film.starting}</span>
        <span class="muted" data-test="seconds-left">${job.state === "paused" ? T.state.paused : T.watch.left(job.progress?.seconds_left)}</span>
      </p>
    </div>`;
}

/** A film that is painted: the newest frame, until somebody looks at another. */
export function FilmWatch({ job }) {
  const image = imageOf(job.content.image);
  const chosen = useSignal(null);
  const newest = job.progress?.film?.newest ?? null;
  const number = chosen.value ?? newest;
  const look = (wanted) => (chosen.value = wanted === newest ? null : wanted);
  return html`
    ${
      newest === null
        ? html`<${Frame} width=${image?.width} height=${image?.height} kind="painting">
          <img src=${image?.view ?? job.content.thumbnail} alt=${T.film.first(job.content.name)} data-test="preview" /><//>`
        : html`<${Painted} job=${job} number=${number} first=${image?.view} />`
    }
    <div class="stage-foot">
      ${newest !== null && html`<${Scrubber} job=${job} number=${number} take=${look} />`}
      <${Progress} job=${job} />
      ${(job.notes ?? []).map((note) => html`<p class="muted small center">${said(note)}</p>`)}
      <div class="row center wrap">
        ${
          job.state === "paused"
            ? html`<${Button} icon="play" label=${T.watch.resume} kind="primary" test="resume"
              onClick=${() => resume(job.id)} />`
            : html`<${Button} icon="pause" label=${T.watch.pause} test="pause" onClick=${() => pause(job.id)} />`
        }
        ${newest !== null && html`<${CompareFrames} />`}
        <${Button} icon="close" label=${T.watch.cancel} test="cancel" onClick=${() => cancel(job.id)} />
      </div>
    </div>`;
}

/** A film that is finished: it plays, or stands still at the frame that the slider is at. */
export function FilmFinished({ job, children }) {
  const still = useSignal(false);
  const playing = useSignal(false);
  const number = useSignal(0);
  const frames = job.progress?.steps ?? 1;
  const follow = ({ target: { currentTime, duration } }) => {
    if (duration) number.value = Math.min(frames - 1, Math.floor((frames * currentTime) / duration));
  };
  const look = (wanted) => {
    number.value = wanted;
    still.value = true;
    playing.value = false;
  };
  const play = () => {
    comparing.value = false;
    still.value = false;
    playing.value = true;
  };
  const shown = still.value || comparing.value;
  // The film goes on where the slider was, and begins anew after its last frame.
  const loaded = ({ target }) => {
    if (number.value > 0 && number.value < frames - 1) target.currentTime = (target.duration * (number.value + 0.5)) / frames;
  };
  return html`
    ${
      shown
        ? html`<${Painted} job=${job} number=${number.value} />`
        : html`<${Frame} width=${job.width} height=${job.height} kind="film">
          <video src=${filmUrl(job)} poster=${frameUrl(job, 0)} controls playsinline preload="metadata"
            autoplay=${playing.value} onLoadedMetadata=${loaded}
            aria-label=${T.film.alt(job.title)} data-test="film" onTimeUpdate=${follow}></video><//>`
    }
    <div class="stage-foot">
      <${Scrubber} job=${job} number=${number.value} take=${look}>
        ${shown && html`<${Button} icon="play" bare label=${T.film.play} kind="small" test="film-play" onClick=${play} />`}
      <//>
      ${(job.notes ?? []).map((note) => html`<p class="muted small center">${said(note)}</p>`)}
      <div class="row center wrap actions">
        <${CompareFrames} />
        <${Menu} icon="download" label=${T.download.open} test="download" align="start">
          <a href=${filmUrl(job, true)} download data-test="download-mp4">${T.film.download}</a>
          <a href=${firstFrameUrl(job)} download data-test="download-first">${T.film.downloadFirst}</a>
        <//>
        ${children}
      </div>
    </div>`;
}
