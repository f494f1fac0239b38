/** Why was this call bad: what each device measured, in words and curves. */

import { useEffect, useState } from "preact/hooks";

import { asHubbubError, type CallQuality, type ParticipantQuality, type QualityWindow } from "@hubbub/client";

import { useClient } from "../../client";
import { nameOf } from "../../format";
import { Avatar, Dialog } from "../../parts";
import { useDesk } from "../desk";
import { Graph, type Point } from "./graph";
import { clockOf, pairWords, percentOf, rateOf, VERDICTS } from "../words";

/** Devices send their last measurements as the call ends, each for itself: asked at once, and again after these ms. */
const ASK_AGAIN_MS = [1_500, 5_000];

function useQuality(callId: string): { quality: CallQuality | undefined; problem: string } {
  const client = useClient();
  const [quality, setQuality] = useState<CallQuality>();
  const [problem, setProblem] = useState("");
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout>;
    const ask = (again: readonly number[]) => {
      const [next, ...rest] = again;
      if (next !== undefined) timer = setTimeout(() => ask(rest), next);
      client.calls.qualityOf(callId).then(
        (found) => (found.participants.length > 0 || next === undefined) && setQuality(found),
        (refusal: unknown) => {
          const { code, message } = asHubbubError(refusal);
          if (next !== undefined) return;
          setProblem(code === "not_found" ? "Nothing was kept of this call’s connection." : message);
        },
      );
    };
    ask(ASK_AGAIN_MS);
    return () => clearTimeout(timer);
  }, [client, callId]);
  return { quality, problem };
}

export function QualityDialog({ callId }: { callId: string }) {
  const desk = useDesk();
  const { quality, problem } = useQuality(callId);
  const bad = quality?.participants.some(({ verdict }) => verdict === "bad" || verdict === "fair");
  return (
    <Dialog
      title={bad ? "Why was this call bad?" : "How was the connection?"}
      onClose={() => desk.showQuality(undefined)}
    >
      {problem && <p role="alert">{problem}</p>}
      {!quality && !problem && <p role="status">Looking …</p>}
      {quality?.participants.length === 0 && <p>No device has measured anything in this call.</p>}
      {quality?.participants.map((one) => (
        <Measured key={one.device_id} one={one} />
      ))}
      {quality && quality.participants.length > 0 && (
        <p class="hint">Each device tells how the others arrived at it, and how it is connected.</p>
      )}
    </Dialog>
  );
}

function Measured({ one }: { one: ParticipantQuality }) {
  const client = useClient();
  const own = nameOf(client.people.user(one.user_id));
  const name = one.user_id === client.me?.id ? "You" : own;
  const start = one.windows[0]?.at ?? 0;
  const since = (at: number) => clockOf(at - start);
  return (
    <section class={`measured ${one.verdict}`} aria-label={name}>
      <header>
        <Avatar id={one.user_id} name={own} small />
        <h3>{name}</h3>
        <span class={`verdict ${one.verdict}`}>{VERDICTS[one.verdict]}</span>
      </header>
      {one.reasons.length > 0 && (
        <ul class="reasons">
          {one.reasons.map((reason) => (
            <li key={`${reason.reason} ${reason.from}`}>
              {reason.text}{" "}
              {start > 0 && reason.to > reason.from && (
                <span class="hint">
                  {since(reason.from)} – {since(reason.to)}
                </span>
              )}
            </li>
          ))}
        </ul>
      )}
      {one.verdict === "good" && one.reasons.length === 0 && <p>Nothing to complain of.</p>}
      {one.pair && <p>{pairWords(one.pair)}</p>}
      <Facts one={one} />
      <Curves windows={one.windows} start={start} />
    </section>
  );
}

function Facts({ one }: { one: ParticipantQuality }) {
  const facts: [string, string | undefined][] = [
    ["Sound, 1 to 4.5", one.mos?.toFixed(1)],
    ["Round trip", one.rtt_ms === undefined ? undefined : `${Math.round(one.rtt_ms)} ms`],
    ["Jitter", one.jitter_ms === undefined ? undefined : `${Math.round(one.jitter_ms)} ms`],
    ["Lost", one.loss === undefined ? undefined : percentOf(one.loss)],
    ["Frozen", one.freezes > 0 ? `${one.freezes} times, ${(one.freeze_ms / 1000).toFixed(1)} s` : undefined],
    ["Lost connection", one.reconnecting_ms > 0 ? `${(one.reconnecting_ms / 1000).toFixed(1)} s` : undefined],
    ["Received", rateOf(one.bps_in)],
    ["Sent", rateOf(one.bps_out)],
    ["Until connected", one.setup_ms === undefined ? undefined : `${(one.setup_ms / 1000).toFixed(1)} s`],
  ];
  return (
    <dl class="facts">
      {facts.map(([name, value]) =>
        value === undefined ? null : (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ),
      )}
    </dl>
  );
}

function Curves({ windows, start }: { windows: readonly QualityWindow[]; start: number }) {
  if (windows.length < 2) return null;
  const curve = (value: (window: QualityWindow) => number | undefined): Point[] =>
    windows.map((window) => ({ at: window.at - start, value: value(window) }));
  const lossOf = (window: QualityWindow) => {
    const lost = window.audio_lost + window.video_lost;
    const all = lost + window.audio_received + window.video_received;
    return all === 0 ? undefined : lost / all;
  };
  return (
    <div class="graphs">
      <Graph title="Sound" points={curve(({ mos }) => mos)} top={4.5} limit={3.5} low words={(mos) => mos.toFixed(1)} />
      <Graph
        title="Round trip"
        points={curve(({ rtt_ms }) => rtt_ms)}
        top={200}
        limit={300}
        words={(ms) => `${Math.round(ms)} ms`}
      />
      <Graph title="Lost" points={curve(lossOf)} top={0.05} limit={0.03} words={percentOf} />
      <Graph title="Received" points={curve(({ bps_in }) => bps_in)} top={100_000} words={rateOf} />
    </div>
  );
}
