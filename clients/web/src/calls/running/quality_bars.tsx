/** How good the connection is, as bars; pressed, in words. */

import { useState } from "preact/hooks";

import type { Quality } from "@hubbub/client";

import { LEVELS, percentOf, rateOf } from "../words";

export function QualityBars({ quality }: { quality: Quality }) {
  const [open, setOpen] = useState(false);
  const words = `Connection: ${LEVELS[quality.level]}`;
  return (
    <span
      class="quality-mark"
      data-level={quality.level}
      onFocusOut={() => setOpen(false)}
      onKeyDown={(event) => event.key === "Escape" && setOpen(false)}
    >
      <button
        type="button"
        class="quality-button"
        aria-label={quality.text ? `${words}. ${quality.text}` : words}
        title={quality.text ?? words}
        aria-expanded={open}
        onClick={() => setOpen(!open)}
      >
        <svg viewBox="0 0 20 16" width="20" height="16" aria-hidden="true">
          {[1, 2, 3, 4].map((bar) => (
            <rect
              key={bar}
              x={bar * 5 - 5}
              y={16 - bar * 4}
              width="3.400"
              height={bar * 4}
              rx="1"
              class={bar <= quality.level ? "lit" : ""}
            />
          ))}
        </svg>
      </button>
      {open && (
        <dl class="quality-words">
          <dt>{words}</dt>
          {quality.text && <dd class="reason">{quality.text}</dd>}
          <Figure
            name="Round trip"
            value={quality.rtt_ms === undefined ? undefined : `${Math.round(quality.rtt_ms)} ms`}
          />
          <Figure
            name="Jitter"
            value={quality.jitter_ms === undefined ? undefined : `${Math.round(quality.jitter_ms)} ms`}
          />
          <Figure name="Lost" value={quality.loss === undefined ? undefined : percentOf(quality.loss)} />
          <Figure name="Receiving" value={quality.bps_in === undefined ? undefined : rateOf(quality.bps_in)} />
          <Figure name="Sending" value={quality.bps_out === undefined ? undefined : rateOf(quality.bps_out)} />
        </dl>
      )}
    </span>
  );
}

function Figure({ name, value }: { name: string; value: string | undefined }) {
  if (value === undefined) return null;
  return (
    <dd>
      <span>{name}</span> <b>{value}</b>
    </dd>
  );
}
