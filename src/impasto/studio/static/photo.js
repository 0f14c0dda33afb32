// The photo to paint, or several of them.
import { Button, Errors, Icon, html } from "./html.js";
import { change, draft, maskCount } from "./draft.js";
import { ACCEPT, ACCEPT_FILMS, addFolder, addPhotos, photoErrors, picked } from "./files.js";
import { FilmBadge } from "./film.js";
import { masking, tab } from "./state.js";
import { T } from "./texts.js";

const without = (gone) => change({ contents: draft.value.contents.filter((one) => one !== gone) });

function Picker({ label, icon, test, capture, folder, kind = "button" }) {
  return html`
    <label class=${`picker ${kind}`}>
      <input type="file" accept=${capture ? ACCEPT : ACCEPT_FILMS} multiple=${!capture} capture=${capture} webkitdirectory=${folder}
        data-test=${test} onChange=${picked((files) => (folder ? addFolder(files) : addPhotos(files)))} />
      <${Icon} name=${icon} /><span>${label}</span>
    </label>`;
}

function Single({ photo }) {
  return html`
    <div class="photo-card">
      <div class="photo-thumb">${photo.thumbnail && html`<img src=${photo.thumbnail} alt=${T.photo.alt(photo.name)} />`}
        ${photo.pending && html`<div class="busy" aria-hidden="true"></div>`}</div>
      <div class="photo-facts">
        <span class="name" title=${photo.name}>${photo.name}</span>
        <span class="muted small">${photo.pending ? T.photo.uploading : T.size(photo.width, photo.height)}</span>
        ${photo.film && html`<span class="muted small" data-test="film-facts">${T.film.facts(photo.film)}</span>`}
        <${Tools} contents=${[photo]} />
      </div>
    </div>`;
}

function Tools({ contents }) {
  const count = maskCount.value;
  const edit = () => {
    masking.value = true;
    tab.value = "picture";
  };
  return html`
    <div class="row wrap tight">
      <${Picker} label=${T.photo.change} icon="image" test="photo-input" kind="button small" />
      ${
        contents.length === 1 &&
        !contents[0].pending &&
        html`
        <${Button} icon="brush" label=${T.masks.open} kind="small" test="mask-open" onClick=${edit}
          aria-label=${count ? T.masks.openUsed(count) : undefined}>${count > 0 && html`<b class="count">${count}</b>`}<//>`
      }
      <${Button} icon="close" label=${T.photo.remove} bare kind="quiet tiny" test="photo-remove"
        onClick=${() => change({ contents: [], masks: {}, strengthMap: null })} />
    </div>`;
}

function Batch({ contents }) {
  return html`
    <p class="muted">${T.photo.batch(contents.length, draft.value.folder)}</p>
    <ul class="thumbs">
      ${contents.map(
        (one) => html`
        <li key=${one.id ?? one.pending} class=${one.pending ? "waiting" : ""}>
          ${one.thumbnail && html`<img src=${one.thumbnail} alt=${one.name} />`}${one.film && html`<${FilmBadge} />`}
          <${Button} icon="close" bare kind="tiny" label=${T.photo.removeNamed(one.name)} onClick=${() => without(one)} />
        </li>`,
      )}
    </ul>`;
}

export function Photo() {
  const { contents } = draft.value;
  return html`
    <section class="panel" aria-labelledby="photo-title" data-drop="content">
      <h2 id="photo-title">${contents.length > 1 ? T.photo.titles : contents[0]?.film ? T.film.title : T.photo.title}</h2>
      ${
        contents.length === 0 &&
        html`
        <label class="dropzone">
          <input type="file" accept=${ACCEPT_FILMS} multiple data-test="photo-input"
            onChange=${picked((files) => addPhotos(files))} />
          <${Icon} name="image" /><strong>${T.photo.choose}</strong><span class="muted"><span class="fine-only">${T.photo.how} </span>${T.photo.several}</span>
        </label>
        <${Picker} label=${T.photo.folder} icon="folder" test="photo-folder" folder kind="button small fine-only" />
        <${Picker} label=${T.photo.camera} icon="camera" test="photo-camera" capture="environment"
          kind="button touch-only" />`
      }
      ${contents.length === 1 && html`<${Single} photo=${contents[0]} />`}
      ${contents.length > 1 && html`<${Batch} contents=${contents} /><${Tools} contents=${contents} />`}
      <${Errors} errors=${photoErrors.value} />
    </section>`;
}
