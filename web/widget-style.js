import { css } from "lit";

/** Colours and sizes are variables, for pages to set on the element. */
export const styles = css`
  :host {
    --accent: var(--msrp-accent, light-dark(#0b57d0, #8ab4f8));
    --on-accent: var(--msrp-on-accent, light-dark(#fff, #0b1f3f));
    --surface: var(--msrp-surface, light-dark(#fff, #17191d));
    --raised: var(--msrp-raised, light-dark(#f1f3f7, #23262c));
    --text: var(--msrp-text, light-dark(#1b1d21, #e8eaed));
    --muted: var(--msrp-muted, light-dark(#5b616b, #9aa2ad));
    --line: var(--msrp-line, light-dark(#dfe3ea, #33373f));
    --danger: var(--msrp-danger, light-dark(#b3261e, #f2928a));
    display: block;
    min-height: 20rem;
    color-scheme: light dark;
    font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
    color: var(--text);
  }
  :host([hidden]) {
    display: none;
  }
  .root {
    position: relative;
    display: flex;
    flex-direction: column;
    height: 100%;
    background: var(--surface);
    border: 1px solid var(--line);
    border-radius: var(--msrp-radius, 14px);
    overflow: hidden;
  }
  header {
    display: flex;
    align-items: center;
    gap: 0.75rem;
    padding: 0.75rem 1rem;
    border-bottom: 1px solid var(--line);
  }
  .avatar {
    flex: none;
    display: grid;
    place-items: center;
    width: 2.4rem;
    height: 2.4rem;
    border-radius: 50%;
    background: var(--raised);
    color: var(--muted);
    font-weight: 600;
  }
  .avatar.on {
    background: var(--accent);
    color: var(--on-accent);
  }
  .who {
    flex: 1;
    min-width: 0;
    display: flex;
    flex-direction: column;
  }
  .who strong {
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: nowrap;
  }
  .status {
    color: var(--muted);
    font-size: 0.85em;
  }
  .problem {
    display: flex;
    align-items: center;
    gap: 1rem;
    margin: 0;
    padding: 0.6rem 1rem;
    background: color-mix(in srgb, var(--danger) 12%, var(--surface));
    color: var(--danger);
  }
  .problem span {
    flex: 1;
  }
  .list {
    flex: 1;
    min-height: 0;
    overflow-y: auto;
    display: flex;
    flex-direction: column;
    gap: 0.35rem;
    padding: 1rem;
    overscroll-behavior: contain;
  }
  .list > :first-child {
    margin-top: auto;
  }
  .hint,
  .note {
    margin: 0.5rem auto;
    max-width: 32rem;
    color: var(--muted);
    font-size: 0.9em;
    text-align: center;
  }
  .entry {
    display: flex;
    flex-direction: column;
    align-items: flex-start;
    max-width: min(80%, 36rem);
  }
  .entry.out {
    align-self: flex-end;
    align-items: flex-end;
  }
  .bubble {
    padding: 0.5rem 0.8rem;
    border-radius: 1.1rem;
    border-end-start-radius: 0.35rem;
    background: var(--raised);
    overflow-wrap: anywhere;
    white-space: pre-wrap;
  }
  .out .bubble {
    border-radius: 1.1rem;
    border-end-end-radius: 0.35rem;
    background: var(--accent);
    color: var(--on-accent);
  }
  .bubble.image,
  .bubble.file {
    white-space: normal;
  }
  .bubble.image {
    max-width: min(100%, 21rem);
    padding: 0.35rem;
  }
  .bubble img {
    display: block;
    max-width: 100%;
    max-height: 16rem;
    border-radius: 0.85rem;
  }
  .file {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: 0.25rem 0.75rem;
  }
  .image .file {
    padding: 0.35rem 0.5rem 0.1rem;
    font-size: 0.9em;
  }
  .filename {
    font-weight: 500;
    overflow-wrap: anywhere;
  }
  .size {
    opacity: 0.85;
    font-variant-numeric: tabular-nums;
  }
  progress {
    display: block;
    width: 100%;
    min-width: 12rem;
    height: 4px;
    margin-top: 0.4rem;
    accent-color: currentColor;
  }
  .meta {
    display: flex;
    flex-wrap: wrap;
    gap: 0.4rem;
    padding: 0.1rem 0.4rem;
    color: var(--muted);
    font-size: 0.75em;
  }
  .out .meta {
    justify-content: flex-end;
  }
  .tick.delivered {
    color: var(--accent);
  }
  .tick.failed,
  .error {
    color: var(--danger);
  }
  .tick.failed {
    font-weight: 700;
  }
  .composer {
    display: flex;
    align-items: flex-end;
    gap: 0.5rem;
    padding: 0.75rem;
    border-top: 1px solid var(--line);
  }
  textarea {
    flex: 1;
    min-width: 0;
    box-sizing: border-box;
    min-height: 2.6rem;
    max-height: 160px;
    padding: 0.55rem 0.9rem;
    border: 1px solid var(--line);
    border-radius: 1.3rem;
    background: var(--surface);
    color: inherit;
    font: inherit;
    resize: none;
  }
  .attach,
  .send {
    flex: none;
    display: grid;
    place-items: center;
    width: 2.6rem;
    height: 2.6rem;
    border-radius: 50%;
    cursor: pointer;
  }
  .attach {
    color: var(--muted);
  }
  .attach:hover {
    background: var(--raised);
  }
  .attach:has(:disabled) {
    opacity: 0.45;
    cursor: default;
  }
  .attach input {
    position: absolute;
    width: 1px;
    height: 1px;
    opacity: 0;
  }
  .send {
    border: 0;
    background: var(--accent);
    color: var(--on-accent);
  }
  .send:disabled {
    opacity: 0.45;
    cursor: default;
  }
  svg {
    width: 1.35rem;
    height: 1.35rem;
    fill: none;
    stroke: currentColor;
    stroke-width: 1.8;
    stroke-linecap: round;
    stroke-linejoin: round;
  }
  .quiet {
    padding: 0.35rem 0.75rem;
    border: 1px solid currentColor;
    border-radius: 999px;
    background: none;
    color: inherit;
    font: inherit;
    font-size: 0.85em;
    text-decoration: none;
    cursor: pointer;
  }
  header .quiet {
    color: var(--danger);
  }
  .drop {
    position: absolute;
    inset: 0.5rem;
    display: grid;
    place-items: center;
    border: 2px dashed var(--accent);
    border-radius: 10px;
    background: color-mix(in srgb, var(--accent) 15%, var(--surface));
    color: var(--accent);
    font-size: 1.2em;
    font-weight: 600;
    pointer-events: none;
  }
  :is(button, a, textarea, .list):focus-visible,
  .attach:has(:focus-visible) {
    outline: 2px solid var(--accent);
    outline-offset: 2px;
  }
  @media (forced-colors: active) {
    .bubble,
    .send {
      border: 1px solid;
    }
  }
`;
