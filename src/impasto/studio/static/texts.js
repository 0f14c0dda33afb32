// Every text that the page says, in English. To translate: copy this file, keep the names, change the texts.
// Knobs' labels and helps, presets and errors come from the server in its own words.

const minutes = (seconds) => {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
};
const bytes = (count) => {
  if (count < 1e6) return `${Math.max(1, Math.round(count / 1e3))} kB`;
  return count < 1e9 ? `${Math.round(count / 1e6)} MB` : `${(count / 1e9).toFixed(1)} GB`;
};
const plural = (count, one, many) => (count === 1 ? `1 ${one}` : `${count} ${many}`);
const pace = (seconds) => (seconds < 10 ? `${Number(seconds.toPrecision(2))} s` : minutes(seconds));
const list = (names) => names.join(", ");
const size = (width, height) => `${width} × ${height}`;

const STATE = {
  queued: "waiting",
  running: "painting",
  paused: "paused",
  done: "done",
  stopped: "stopped, picture kept",
  failed: "failed",
  cancelled: "cancelled",
};

export const T = {
  title: "Impasto Studio",
  titleAt: (share) => `${share} % · Impasto Studio`,
  close: "Close",
  save: "Save",
  undo: "Undo",
  never: "Cancel",
  retry: "Try again",
  loading: "Loading…",
  size,
  bytes,
  duration: minutes,
  percent: (value) => `${value} %`,
  loss: (value) => (value >= 1000 || value < 0.01 ? value.toExponential(0) : String(Number(value.toPrecision(2)))),
  when: (time) =>
    new Date(time).toLocaleString("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" }),
  paint: (photos, styles) => {
    if (styles > 1) return `Paint ${photos * styles} pictures`;
    return photos > 1 ? `Paint ${photos} photos` : "Paint";
  },
  state: STATE,
  announce: (title, state) => `${title}: ${STATE[state]}`,

  connection: {
    gone: "The studio doesn't answer: is impasto studio still running?",
    lost: "Reconnecting to the studio. What you set up is kept.",
    login: "Please sign in.",
    unknown: "Something went wrong.",
    status: (code) => `The studio answered with an error (${code}).`,
  },
  login: {
    why: "The token is shown where impasto studio was started.",
    token: "Token",
    enter: "Sign in",
    refused: "That isn't the token.",
  },
  header: {
    painting: (share) => `Painting, ${share} %`,
    stopped: "The painter has stopped",
    theme: (now, next) => `Colours: ${now}. Change to ${next}`,
    themes: { system: "the system's", light: "light", dark: "dark" },
  },
  tabs: { label: "Parts of the studio", create: "Create", picture: "Picture", history: "History" },
  images: { unnamed: "picture" },
  start: {
    title: "Your photo, painted",
    steps: ["Drop a photo or a film anywhere, or choose one.", "Pick a style.", "Press Paint."],
    style: "Now pick a style.",
    paint: "Ready: press Paint.",
  },
  photo: {
    title: "Photo",
    titles: "Photos",
    choose: "Choose a photo or film",
    how: "or drop or paste it;",
    several: "several make a batch",
    folder: "A folder",
    change: "Change",
    camera: "Camera",
    remove: "Remove the photo",
    removeNamed: (name) => `Remove ${name}`,
    alt: (name) => `Photo ${name}`,
    batch: (count, folder) => `${folder ? `${folder}: ` : ""}${count} photos, each painted with the same settings`,
    uploading: "Uploading…",
    named: (name, message) => `${name}: ${message}`,
    notPictures: "Nothing that was dropped is a picture or a film.",
    drop: { content: "Drop to paint it", style: "Drop to use it as a style" },
  },
  shelf: {
    title: "Style",
    titles: "Styles",
    mix: "Several",
    several: "What several styles make",
    together: "Mixed in each picture",
    apart: "A picture each",
    add: "Your own",
    shares: "Shares of the styles",
    share: (name) => `Share of ${name}`,
    short: (name) => name.replace(/\.(jpe?g|png|webp|tiff?|heic|avif)$/i, "").replace(/_/g, " "),
    choose: (name) => `Style ${name}`,
    unchoose: (name) => `Leave out ${name}`,
    quick: (name) => `Quick look in ${name}`,
    open: (name) => `Open the quick look in ${name}`,
    actions: (name) => `Actions for ${name}`,
    rename: "Rename",
    name: "Name",
    remove: "Remove from the shelf",
    removed: (name) => `${name} was removed from the shelf.`,
  },
  controls: {
    usual: "Settings",
    presets: "Preset",
    advanced: "All settings",
    search: "Search settings",
    none: "No setting has these words.",
    help: (label) => `What ${label} does`,
    word: (label, word) => `${label}: ${word}`,
    reset: (label) => `Back to the default: ${label}`,
    resetAll: "Defaults",
    slider: (label) => `${label}, slider`,
    list: "the default",
    picture: "a picture…",
    reveal: "Show",
  },
  plan: {
    photo: "Choose a photo to begin.",
    style: "Pick a style.",
    uploading: "Uploading…",
    planning: "Planning…",
    fitted: ({ side, usual, seconds }) =>
      `${side} px, for a first picture in under a minute: ${usual} px would take ${minutes(seconds)} here.`,
    unfit: ({ usual }) => `Take ${usual} px`,
    line: (plan, pictures) => {
      const seconds = plan.seconds === null ? null : `About ${minutes(plan.seconds * Math.max(1, pictures))}`;
      const tiles = plan.tile ? `in tiles of ${plan.tile}` : null;
      return [seconds, bytes(plan.peak_bytes), size(plan.width, plan.height), tiles].filter(Boolean).join(", ");
    },
  },
  film: {
    title: "Film",
    options: "How the film is painted",
    more: "More for films",
    settings: "Settings",
    facts: ({ frames, rate, seconds, sound }) =>
      [
        seconds < 10 ? `${Number(seconds.toPrecision(2))} s` : minutes(seconds),
        plural(frames, "frame", "frames"),
        `${Number(rate.toPrecision(4))} a second`,
        sound ? "sound" : "no sound",
      ].join(", "),
    plan: ({ seconds, peak_bytes, disk_bytes, width, height, film }) =>
      [
        `About ${minutes(seconds)} for ${plural(film.frames, "frame", "frames")}`,
        size(width, height),
        `${bytes(peak_bytes)} of memory`,
        `${bytes(disk_bytes)} on the disk`,
      ].join(", "),
    starting: "Going through the film…",
    progress: (step, steps, { seconds_each, shots }) =>
      [`${step} of ${plural(steps, "frame", "frames")}`, shots > 1 && `${shots} shots`, seconds_each && `${pace(seconds_each)} a frame`]
        .filter(Boolean)
        .join(", "),
    scrubber: "Frame that is shown",
    at: (number, frames) => `Frame ${number} of ${frames}`,
    frame: (title, number) => `Frame ${number} of ${title}, painted`,
    first: (name) => `First frame of ${name}`,
    original: (number) => `Frame ${number} of the film`,
    line: "Line between film and painting",
    before: "Film",
    alt: (title) => `Film ${title}`,
    play: "Play the film",
    download: "MP4, with its sound",
    downloadFirst: "First frame, PNG",
  },
  masks: {
    open: "Masks",
    openUsed: (count) => `Masks, ${count} in use`,
    paint: "Paint it",
    title: "Masks",
    layers: "Layers",
    strength: "strength",
    part: (name) => `part of ${name}`,
    whyOne: "Paint where the style goes; the photo stays elsewhere. Unpainted: everywhere.",
    whySome: (name) => `Paint where ${name} goes; a style without a mask takes the rest.`,
    whyStrength: "Paint where the style is to be at full strength; unpainted places stay photo.",
    whyPart: "Paint the part of the painting that counts.",
    spare: "To keep a face as photo, paint the face, then",
    swap: "swap painted and unpainted",
    board: (label) => `Mask for ${label}: arrow keys move the brush, space paints`,
    tools: "Brush tools",
    brush: "Brush",
    eraser: "Eraser",
    size: "Size",
    softness: "Softness",
    undo: "Undo",
    redo: "Redo",
    invert: "Invert",
    clear: "Clear",
    import: "Import a mask",
    export: "Export as PNG",
    earlier: "Earlier masks",
    noEarlier: "None yet.",
    done: "Use these masks",
    saving: "Saving…",
    file: (label) => `mask ${label}`.replace(/[^\w -]+/g, " ").trim(),
    keys: "[ ] size, X eraser, Ctrl+Z undo",
  },
  watch: {
    alt: (title) => `Painting ${title}`,
    waiting: (before) => (before > 0 ? `Waiting: ${plural(before, "picture", "pictures")} before it` : "Next in line"),
    starting: "Looking at the pictures…",
    progress: "Progress",
    at: ({ step, steps, scale, scales, width, height }) =>
      `Step ${step} of ${steps}${scales > 1 ? `, size ${scale} of ${scales}` : ""}${width ? ` (${size(width, height)})` : ""}`,
    short: (progress) =>
      progress
        ? `${Math.round((100 * progress.step) / Math.max(1, progress.steps))} %${progress.seconds_left != null ? `, ${minutes(progress.seconds_left)} left` : ""}`
        : "starting",
    left: (seconds) => (seconds == null ? "" : `about ${minutes(seconds)} left`),
    pause: "Pause",
    resume: "Go on",
    stop: "Stop and keep",
    cancel: "Cancel",
    details: "Details",
    live: "Change while it paints",
    liveMore: "More",
    curve: "Loss",
    curveNone: "Loss curve, no steps yet",
    curveText: (first, last, steps) =>
      `Loss curve: from ${first.toPrecision(3)} to ${last.toPrecision(3)} in ${steps} steps`,
  },
  compare: {
    before: "Compare",
    slider: "Line between photo and painting",
    photo: "Photo",
    painted: "Painted",
    title: "Two pictures",
    two: "Line between the two pictures",
    side: "Side by side",
    over: "Slider",
    with: "Compare with another picture",
    pick: (title) => `Compare ${title} with another picture`,
    picked: "Choose a second picture to compare.",
    second: (title) => `Compare with ${title}`,
    same: "Their settings are the same.",
    usual: "default",
    left: "Left",
    right: "Right",
  },
  zoom: { open: "Zoom", in: "Larger", out: "Smaller", pixels: "1 : 1", fit: "Fit" },
  download: {
    open: "Download",
    png: "PNG, with its recipe",
    jpg: "JPEG, small",
    webp: "WebP, with its recipe",
    tif: "TIFF, for print",
  },
  job: {
    line: (photo, styles) => `${photo} in ${styles}`,
    early: "stopped early",
    cancelled: "Cancelled",
    nothing: "Nothing of it was kept.",
    larger: "Larger",
    largerTo: (side) => `Continue at ${side} px`,
    use: "Use these settings",
    again: "Paint again",
    againNamed: (title) => `Paint again: ${title}`,
    rename: "Rename",
    title: "Title",
    pin: "Pin",
    unpin: "Unpin",
    delete: "Delete",
    facts: "Settings and loss",
    made: "made",
    took: "took",
    disk: "on disk",
  },
  group: {
    open: "All of its group",
    title: ({ title, first, photos, styles }) =>
      title ?? (photos * styles > 1 ? `${first} and ${photos * styles - 1} more` : first),
    size: ({ photos, styles, knobs, pictures }) => {
      const of = `${plural(photos, "photo", "photos")} × ${plural(styles, "style", "styles")}`;
      if (!knobs.length) return of;
      const varied = `${plural(pictures, "picture", "pictures")} by ${list(knobs)}`;
      return photos * styles > 1 ? `${of}, ${varied}` : varied;
    },
    line: (size, state) => `${size}: ${state}`,
    progress: "Progress of all its pictures",
    pictures: (title) => `Pictures of ${title}`,
    folder: "Download the folder",
    pause: "Pause all",
    pauseNamed: (title) => `Pause all of ${title}`,
    resume: "Go on with all",
    resumeNamed: (title) => `Go on with all of ${title}`,
    retry: (count) => (count === 1 ? "Try the failed one again" : `Try the ${count} failed ones again`),
    retryNamed: (title) => `Try again: ${title}`,
    cancelNamed: (title) => `Cancel what is left of ${title}`,
    delete: (title) => `Delete all pictures of ${title}`,
    done: (done, all, { failed, cancelled }) =>
      [`${done} of ${all} done`, failed && `${failed} failed`, cancelled && `${cancelled} cancelled`].filter(Boolean).join(", "),
    axes: (down, across) => `${down} ↓ ${across} →`,
    cell: (label, state) => `${label}: ${state}`,
    cancel: (count) => (count === 1 ? "Cancel the one left" : `Cancel the ${count} left`),
  },
  sweep: {
    open: "Compare values",
    why: (styles) => `One picture for each value, in ${styles}, shown as a sheet.`,
    knob: "Setting",
    values: "Values",
    second: "A second setting",
    remove: "Remove this setting",
    count: (counts, total) =>
      counts.length > 1
        ? `${counts.join(" × ")} = ${plural(total, "picture", "pictures")}`
        : plural(total, "picture", "pictures"),
    most: (total, most) => `${total} pictures are more than ${most}: take fewer values.`,
    start: (total) => `Paint ${total}`,
  },
  queue: {
    title: "Queue",
    empty: "Nothing waits.",
    waits: (quick) => (quick ? "quick look, waiting" : "waiting"),
    up: (title) => `Earlier: ${title}`,
    down: (title) => `Later: ${title}`,
    cancel: (title) => `Cancel ${title}`,
    cancelAll: "Cancel all",
    cancelled: (count) => `${plural(count, "picture was", "pictures were")} cancelled.`,
    sure: (count) => `Cancel ${plural(count, "picture", "pictures")}, the one being painted included?`,
    keep: "Keep them",
    last: "To the end",
  },
  history: {
    title: "History",
    search: "Search",
    filter: "Show",
    filters: { all: "All", pinned: "Pinned", quick: "Quick looks" },
    none: "Nothing was found.",
    empty: "Finished pictures come here and stay.",
    more: "Show older",
    open: (title, when, state) => `${title}, ${when}, ${state}`,
    facts: (side, strength, frames) =>
      [side ? `${side} px` : "", frames ? plural(frames, "frame", "frames") : "", strength === undefined ? "" : `strength ${strength}`].filter(Boolean).join(", "),
    pin: (title) => `Pin ${title}`,
    unpin: (title) => `Unpin ${title}`,
    delete: (title) => `Delete ${title}`,
    deleted: (title) => `${title} was deleted.`,
    disk: ({ used, quota }) => (quota ? `${bytes(used)} of ${bytes(quota)}` : bytes(used)),
  },
  restore: {
    title: "Painted by Impasto",
    what: (name) => `${name} carries its recipe. Restore its settings and inputs, or paint over the picture itself?`,
    yes: "Restore",
    asPhoto: "Use as a photo",
    done: "Settings and inputs are back.",
    missing: (names) => `Not on this studio: ${list(names)}. Please add ${names.length === 1 ? "it" : "them"}.`,
  },
  keys: {
    open: "Keyboard shortcuts",
    list: [
      [["Ctrl", "Enter"], "Paint"],
      [["Tab"], "Go through everything; space or Enter presses"],
      [["[", "]"], "Smaller or larger brush"],
      [["X"], "Brush or eraser"],
      [["Ctrl", "Z"], "Undo a stroke; with Shift, redo"],
      [["← ↑ ↓ →"], "Move the brush, a slider, or the comparison's line"],
      [["Esc"], "Close a dialog"],
      [["?"], "This list"],
    ],
  },
};
