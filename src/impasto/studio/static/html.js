// Preact's pieces under one roof, and the small parts that every panel uses.
import { Component, Fragment, h, render } from "./vendor/preact.js";
import { useEffect, useId, useLayoutEffect, useMemo, useRef, useState } from "./vendor/preact-hooks.js";
import { batch, computed, effect, signal, useSignal } from "./vendor/signals.js";
import htm from "./vendor/htm.js";
import { paths } from "./icons.js";
import { T } from "./texts.js";

const html = htm.bind(h);
export {
  Component,
  Fragment,
  batch,
  computed,
  effect,
  h,
  html,
  render,
  signal,
  useEffect,
  useId,
  useLayoutEffect,
  useMemo,
  useRef,
  useSignal,
  useState,
};

export const Icon = ({ name }) => html`
  <svg class="icon" viewBox="0 0 20 20" aria-hidden="true" focusable="false">
    ${paths[name].map((d) => html`<path d=${d} />`)}
  </svg>`;

/** A button with an icon; `label` is its text, shown unless `bare`. */
export function Button({ icon, label, bare, kind = "", test, pressed, children, ...rest }) {
  return html`
    <button type="button" class=${`${kind} ${bare ? "bare" : ""}`} data-test=${test} aria-pressed=${pressed}
      aria-label=${bare ? label : undefined} title=${bare ? label : undefined} ...${rest}>
      ${icon && html`<${Icon} name=${icon} />`}${!bare && label && html`<span>${label}</span>`}${children}
    </button>`;
}

/** A button that opens a small list of actions: closes on Escape, on a click elsewhere and after a choice. */
export function Menu({ icon, label, bare, test, children, align = "end" }) {
  const open = useSignal(false);
  const root = useRef(null);
  useEffect(() => {
    if (!open.value) return undefined;
    const outside = (event) => {
      if (!root.current?.contains(event.target)) open.value = false;
    };
    document.addEventListener("pointerdown", outside);
    return () => document.removeEventListener("pointerdown", outside);
  }, [open.value]);
  const keys = (event) => {
    if (event.key === "Escape" && open.value) {
      event.stopPropagation();
      open.value = false;
      root.current.querySelector("button").focus();
    }
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && open.value) {
      event.preventDefault();
      const items = [...root.current.querySelectorAll(".menu a, .menu button")];
      items.at((items.indexOf(document.activeElement) + step) % items.length)?.focus();
    }
  };
  const chosen = (event) => {
    if (event.target.closest("a, button")) open.value = false;
  };
  return html`
    <div class="menu-root" ref=${root} onKeyDown=${keys}>
      <${Button} icon=${icon} label=${label} bare=${bare} test=${test} aria-expanded=${String(open.value)}
        onClick=${() => (open.value = !open.value)} />
      ${open.value && html`<div class=${`menu ${align}`} onClick=${chosen}>${children}</div>`}
    </div>`;
}

/** A modal dialog of the browser's own, which keeps the focus inside and gives it back. */
export function Dialog({ title, onClose, test, children, kind = "" }) {
  const element = useRef(null);
  const heading = useId();
  useEffect(() => {
    const dialog = element.current;
    const before = document.activeElement;
    dialog.showModal();
    // The first thing to do, rather than the cross that comes first.
    dialog.querySelector("form input, form select, .primary")?.focus();
    return () => {
      dialog.close();
      before?.focus?.();
    };
  }, []);
  const cancel = (event) => {
    event.preventDefault();
    onClose();
  };
  const backdrop = (event) => {
    if (event.target === element.current) onClose();
  };
  return html`
    <dialog ref=${element} class=${kind} aria-labelledby=${heading} data-test=${test} onCancel=${cancel}
      onClick=${backdrop}>
      <div class="dialog-body">
        <header><h2 id=${heading}>${title}</h2>
          <${Button} icon="close" label=${T.close} bare kind="quiet" test="dialog-close" onClick=${onClose} />
        </header>
        ${children}
      </div>
    </dialog>`;
}

/** A text field that keeps what is being typed, whatever else is drawn meanwhile, and gives it to `take` at the end. */
export function useTyped(shown, take) {
  const typing = useSignal(null);
  return {
    value: typing.value ?? shown,
    onInput: (event) => (typing.value = event.target.value),
    onChange: (event) => {
      typing.value = null;
      take(event);
    },
    onBlur: () => (typing.value = null),
  };
}

/** A sentence of the server's, which marks names with backticks: "`hue` is 3" -> [, <code>hue</code>, " is 3"]. */
export const said = (text) =>
  text.split(/`([^`]+)`/).map((part, at) => (at % 2 ? html`<code>${part}</code>` : part));

/** Errors as the server says them. */
export const Errors = ({ errors, id }) =>
  errors?.length
    ? html`<div class="errors" id=${id}>${errors.map((one) => html`<p class="error">${said(one.message)}</p>`)}</div>`
    : null;

/** A function that runs once the calls have paused for `wait` ms. */
export function debounced(run, wait) {
  let timer;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => run(...given), wait);
  };
}
