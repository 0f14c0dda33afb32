// The page: header, three columns, what is dropped or pasted anywhere, and the line to the server.
import { listen } from "./api.js";
import { Button, Dialog, Icon, batch, effect, html, render, said, signal, useEffect } from "./html.js";
import { change, draft, follow, ready, recall, submit } from "./draft.js";
import { addPaintings, addPhotos, droppedFiles, isTaken, restorable } from "./files.js";
import { FilmOptions } from "./film.js";
import { History } from "./history.js";
import { keepGroup, refreshGroups } from "./groups.js";
import { activeIds, jobOf, keep, loadJobs, refreshJobs, runningId } from "./jobs.js";
import { Advanced, PaintBar, Usual } from "./panels.js";
import { Photo } from "./photo.js";
import { Queue } from "./queue.js";
import { restore } from "./restore.js";
import { Shelf } from "./shelf.js";
import { Stage } from "./stage.js";
import {
  announcement,
  connected,
  dismiss,
  health,
  hold,
  keepImage,
  loadAll,
  loadHealth,
  masking,
  release,
  schema,
  show,
  tab,
  theme,
  toast,
  toasts,
  view,
} from "./state.js";
import { Sweep } from "./sweep.js";
import { T } from "./texts.js";

const helping = signal(false);
const dropping = signal(null);
const failed = signal(null);

const THEMES = ["system", "light", "dark"];

function Status() {
  const job = runningId.value && jobOf(runningId.value);
  if (job) {
    const share = job.progress?.steps ? Math.round((100 * job.progress.step) / job.progress.steps) : 0;
    return html`<button type="button" class="quiet small status" data-test="status" onClick=${() => show("job", job.id)}>
      <span class="dot-live" aria-hidden="true"></span>${job.state === "paused" ? T.state.paused : T.header.painting(share)}</button>`;
  }
  return health.value?.worker === "stopped"
    ? html`<span class="small error" role="status">${T.header.stopped}</span>`
    : null;
}

function Header() {
  const next = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length];
  return html`
    <header class="top">
      <h1><a href="#/" data-test="home">
        <svg viewBox="0 0 32 32" aria-hidden="true"><rect width="32" height="32" rx="8" /><path d="M7 21c4 0 4-10 9-10s5 10 9 4" /></svg>
        ${T.title}</a></h1>
      <span class="grow"></span>
      <${Status} />
      <${Button} icon="keyboard" bare kind="quiet wide-only" label=${T.keys.open} test="keys"
        onClick=${() => (helping.value = true)} />
      <${Button} icon=${theme.value} bare kind="quiet"
        label=${T.header.theme(T.header.themes[theme.value], T.header.themes[next])} test="theme"
        onClick=${() => (theme.value = next)} />
    </header>`;
}

const Tabs = () => html`
  <nav class="tabs" aria-label=${T.tabs.label}>
    ${[
      ["create", "brush"],
      ["picture", "image"],
      ["history", "history"],
    ].map(
      ([name, icon]) => html`
      <button type="button" aria-current=${tab.value === name ? "page" : undefined} data-test=${`tab-${name}`}
        onClick=${() => (tab.value = name)}>
        <${Icon} name=${icon} /><span>${T.tabs[name]}</span>
        ${name === "history" && activeIds.value.length > 0 && html`<b class="count">${activeIds.value.length}</b>`}</button>`,
    )}
  </nav>`;

const Toasts = () => html`
  <div class="toasts" role="status" aria-live="polite">
    ${toasts.value.map(
      (one) => html`
      <div class="toast" key=${one.id} onMouseEnter=${() => hold(one.id)} onMouseLeave=${() => release(one.id)}
        onFocusIn=${() => hold(one.id)} onFocusOut=${() => release(one.id)}><span>${said(one.text)}</span>
        ${
          one.action &&
          html`<button type="button" class="link" data-test="undo-toast" onClick=${() => {
            dismiss(one.id);
            one.run();
          }}>${one.action}</button>`
        }
        <${Button} icon="close" bare kind="tiny quiet" label=${T.close} onClick=${() => dismiss(one.id)} /></div>`,
    )}
  </div>`;

function Restore() {
  if (!restorable.value) return null;
  const { image, back } = restorable.value;
  const close = () => (restorable.value = null);
  const never = () => {
    close();
    change(back);
  };
  const { content, styles, masks = [] } = image.recipe;
  const missing = [content, ...styles, ...masks]
    .filter((one) => one && !one.image && !one.swatch && one.name)
    .map((one) => one.name);
  return html`
    <${Dialog} title=${T.restore.title} onClose=${never} test="restore-dialog">
      <div class="stack">
        <div class="row"><img class="thumb" src=${image.thumbnail} alt="" /><p>${T.restore.what(image.name)}</p></div>
        ${missing.length > 0 && html`<p class="note small">${T.restore.missing(missing)}</p>`}
        <div class="row end"><${Button} label=${T.restore.asPhoto} test="restore-photo" onClick=${close} />
          <${Button} label=${T.restore.yes} kind="primary" test="restore" onClick=${async () => {
            close();
            await restore(image.recipe);
          }} /></div>
      </div><//>`;
}

const Keys = () => html`
  <${Dialog} title=${T.keys.open} onClose=${() => (helping.value = false)} test="keys-dialog">
    <dl class="keys">${T.keys.list.map(([keys, what]) => html`<div><dt>${keys.map((key) => html`<kbd>${key}</kbd>`)}</dt><dd>${what}</dd></div>`)}</dl><//>`;

/** Drops and pastes go to the styles when that is where they land, else they are photos. */
function useDrops() {
  useEffect(() => {
    const isFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
    const target = (event) => (event.target.closest?.("[data-drop=style]") ? "style" : "content");
    const use = (files, where, folder) =>
      where === "style" ? addPaintings(files, files.length > 1) : addPhotos(files, folder);
    let depth = 0;
    const on = {
      dragenter: (event) => isFiles(event) && (depth += 1),
      dragleave: (event) => {
        if (isFiles(event) && --depth <= 0) dropping.value = null;
      },
      dragover: (event) => {
        if (!isFiles(event)) return;
        event.preventDefault();
        dropping.value = target(event);
      },
      drop: async (event) => {
        if (!isFiles(event)) return;
        event.preventDefault();
        depth = 0;
        dropping.value = null;
        const where = target(event);
        const { files, folder } = await droppedFiles(event.dataTransfer).catch(() => ({ files: [] }));
        if (files.length) use(files, where, folder);
        else toast(T.photo.notPictures);
      },
      paste: (event) => {
        const files = [...(event.clipboardData?.files ?? [])].filter(isTaken);
        if (!files.length) return;
        event.preventDefault();
        use(files, document.activeElement?.closest?.("[data-drop=style]") ? "style" : "content");
      },
      keydown: (event) => {
        if (
          event.target.matches?.("input:not([type=range]), textarea, select") ||
          document.querySelector("dialog[open]")
        )
          return;
        if (event.key === "?") helping.value = true;
        if (
          (event.ctrlKey || event.metaKey) &&
          event.key === "Enter" &&
          ready.value.length &&
          draft.value.styles.length
        )
          submit();
      },
    };
    for (const [name, run] of Object.entries(on)) addEventListener(name, run);
    return () => Object.entries(on).forEach(([name, run]) => removeEventListener(name, run));
  }, []);
}

function App() {
  useDrops();
  if (failed.value)
    return html`<main class="empty"><p class="error" role="alert">${said(failed.value)}</p><${Button} label=${T.retry}
      onClick=${start} /></main>`;
  return html`
    <${Header} />
    ${
      !connected.value &&
      html`<p class="banner" role="status"
      data-test="offline"><span class="dot-live" aria-hidden="true"></span>${T.connection.lost}</p>`
    }
    <main class="columns" data-tab=${tab.value}>
      <div class="create"><div class="create-scroll">
        <${Photo} /><${Shelf} />${schema.value && html`<${FilmOptions} /><${Usual} /><${Advanced} />`}
      </div><${PaintBar} /></div>
      <section class="stage" aria-label=${T.tabs.picture} data-view=${masking.value ? "masks" : view.value.kind}><${Stage} /></section>
      <div class="side"><${Queue} /><${History} /></div>
    </main>
    <${Tabs} />
    <${Sweep} /><${Restore} />
    ${helping.value && html`<${Keys} />`}
    ${dropping.value && html`<div class="drop-hint" aria-hidden="true"><span>${T.photo.drop[dropping.value]}</span></div>`}
    <${Toasts} />
    <p class="hidden" role="status" aria-live="polite">${announcement.value}</p>`;
}

async function start() {
  failed.value = null;
  try {
    await Promise.all([loadAll(), loadJobs(), loadHealth()]);
  } catch (fault) {
    failed.value = fault.message;
    return;
  }
  await recall();
  follow();
  // Coming back, from a phone or after a crash: what is being painted comes first.
  if (view.value.kind === "photo" && runningId.value) show("job", runningId.value);
  const anew = () => Promise.all([loadAll(), refreshJobs(), refreshGroups(), loadHealth()]).catch(() => {});
  listen({
    job: (job) => batch(() => keep(job)),
    group: keepGroup,
    image: keepImage,
    reset: anew,
    lost: () => (connected.value = false),
    back: () => {
      connected.value = true;
      anew();
    },
  });
}

// Nothing that was dropped beside a target may replace the page.
addEventListener("dragover", (event) => event.preventDefault());
// How far it is, for whoever looks at another tab meanwhile.
effect(() => {
  const { step, steps } = (runningId.value && jobOf(runningId.value)?.progress) || {};
  document.title = steps ? T.titleAt(Math.round((100 * step) / steps)) : T.title;
});
render(html`<${App} />`, document.getElementById("app"));
start();
