// Pictures that come in: picked, dropped (folders too), pasted or photographed.
import { upload } from "./api.js";
import { signal } from "./html.js";
import { change, draft, styleOf } from "./draft.js";
import { keepImage, maskShelf, toast, view, show } from "./state.js";
import { T } from "./texts.js";

export const ACCEPT = "image/*,.heic,.heif,.tif,.tiff,.webp,.avif";
/** Films too, which are chosen where a photo is. */
export const ACCEPT_FILMS = `${ACCEPT},video/*,.mkv,.mts,.m2ts,.mxf,.nut,.vob,.y4m,.apng`;
const FILM = /\.(mp4|m4v|mov|mkv|webm|avi|ts|mts|m2ts|mpe?g|wmv|flv|ogv|3gp|mxf|nut|vob|y4m)$/i;
const PICTURE = /\.(jpe?g|png|webp|tiff?|heic|heif|avif|bmp|gif)$/i;
const isPicture = (file) => file.type.startsWith("image/") || PICTURE.test(file.name);
const isFilm = (file) => file.type.startsWith("video/") || FILM.test(file.name);
/** What is taken in at all; the server says what it really is. */
export const isTaken = (file) => isPicture(file) || isFilm(file);

export const photoErrors = signal([]);
export const styleErrors = signal([]);
/** An upload that impasto painted, and the photos before it: its recipe is offered. */
export const restorable = signal(null);

const byName = (a, b) => a.name.localeCompare(b.name, undefined, { numeric: true });

/** {files, folder}: the pictures and films of a drop, folders walked through, by name; and the folder's name, if it was one. */
export async function droppedFiles(transfer) {
  // Entries must be taken before the first await: the browser empties the list then.
  const entries = [...transfer.items]
    .filter((one) => one.kind === "file")
    .map((one) => one.webkitGetAsEntry?.() ?? one.getAsFile());
  const files = (await Promise.all(entries.filter(Boolean).map(walk))).flat();
  const folder = entries.length === 1 && entries[0]?.isDirectory ? entries[0].name : null;
  return { files: files.filter(isTaken).sort(byName), folder };
}

async function walk(entry) {
  if (entry instanceof File) return [entry];
  if (entry.isFile) return [await new Promise((yes, no) => entry.file(yes, no))];
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((yes, no) => reader.readEntries(yes, no));
    if (!some.length) break;
    found.push(...some);
  }
  return (await Promise.all(found.map(walk))).flat();
}

let pendings = 0;
let rounds = 0;

/** The photos of a folder that was chosen, by name. */
export function addFolder(chosen) {
  const files = chosen.filter(isPicture).sort(byName);
  if (chosen.length && !files.length) toast(T.photo.notPictures);
  return addPhotos(files, files[0]?.webkitRelativePath.split("/")[0]);
}

/** Photos become the draft's contents; several are a batch. Each shows at once and is replaced by the server's. */
export async function addPhotos(files, folder = null) {
  if (!files.length) return;
  const round = ++rounds;
  photoErrors.value = [];
  const waiting = files.map((file) => ({
    pending: `p${++pendings}`,
    name: file.name,
    thumbnail: isPicture(file) ? URL.createObjectURL(file) : null, // a film's first frame comes from the server
  }));
  const { contents: before, masks, strengthMap } = draft.value;
  change({ contents: waiting, folder, masks: {}, strengthMap: null });
  if (view.value.kind !== "photo") show("photo");
  // One after another: a folder of large photos would otherwise fill the line, and the first would come last.
  for (const [index, file] of files.entries()) {
    const mine = waiting[index];
    let image = null;
    try {
      image = keepImage(await upload(file, file.name, "content"));
    } catch (fault) {
      // A fault of photos that were replaced meanwhile is of no use any more.
      if (round !== rounds) return;
      photoErrors.value = [
        ...photoErrors.value,
        { message: files.length > 1 ? T.photo.named(file.name, fault.message) : fault.message },
      ];
    }
    const { contents } = draft.value;
    // A photo that the user took away meanwhile stays away; the same photo twice is one.
    const others = contents.filter((one) => one.pending !== mine.pending);
    const wanted = others.length < contents.length;
    const twice = image && others.some((one) => one.id === image.id);
    if (wanted)
      change({
        contents: image && !twice ? contents.map((one) => (one.pending === mine.pending ? image : one)) : others,
      });
    if (wanted && image?.recipe && files.length === 1) {
      const back = { contents: before.filter((one) => one.id), masks, strengthMap };
      restorable.value = { image, back };
    }
  }
}

/** Paintings go onto the shelf and are chosen: the last one alone, or all where styles are mixed. */
export async function addPaintings(files, mixing = false) {
  styleErrors.value = [];
  for (const file of files) {
    try {
      const style = styleOf.image(keepImage(await upload(file, file.name, "style")));
      const others = mixing ? draft.value.styles.filter((one) => one.key !== style.key) : [];
      change({ styles: [...others, style] });
    } catch (fault) {
      styleErrors.value = [...styleErrors.value, { message: fault.message }];
    }
  }
}

export async function uploadMask(blob, name) {
  const image = await upload(blob, name, "mask");
  keepImage(image);
  maskShelf.value = [image, ...maskShelf.value.filter((one) => one.id !== image.id)];
  return image;
}

export const picked = (use) => (event) => {
  const files = [...event.target.files];
  // The same file may be picked again after it was taken away.
  event.target.value = "";
  use(files);
};
